"""Every kind of value and of primary key that the ORM writes in one row: functions of a world of rows."""

import datetime
from contextlib import suppress
from decimal import Decimal
from uuid import UUID

from django.db import DatabaseError, connection, transaction
from django.db.models import Value

from tests.app.models import (
    Account,
    Article,
    Contact,
    Country,
    Seat,
    Ticket,
    Token,
)
from tests.audit.every_write import ware, write

# --- values -----------------------------------------------------------------------------------------------------


@write
def decimals(world):
    world.article.price = Decimal("9.999")
    world.article.save()


@write
def a_decimal_as_a_float(world):
    world.article.price = 1.1
    world.article.save()


@write
def the_same_decimal(world):
    world.article.price = Decimal("1.5")
    world.article.save()


@write
def create_with_a_decimal_as_text(world):
    Article.objects.create(price="7.1")


@write
def json(world):
    world.article.labels.append({"a": [None, 1.5, "x"]})
    world.article.save()


@write
def json_null(world):
    world.article.labels = None
    with suppress(DatabaseError), transaction.atomic():
        world.article.save()
    world.article.labels = Value(None, world.article._meta.get_field("labels"))
    world.article.save()


@write
def json_in_its_own_tags(world):
    world.article.labels = {"$": "decimal", "value": "1"}
    world.article.save()


@write
def times(world):
    world.article.published = datetime.datetime(2026, 5, 1, 12, 30, 0, 123456, tzinfo=datetime.UTC)
    world.article.save()


@write
def times_as_text(world):
    world.article.published = "2026-05-01T12:30:00+02:00"
    world.article.save()


@write
def files(world):
    world.article.cover = "covers/b.png"
    world.article.save()


@write
def no_file(world):
    world.article.cover = None
    world.article.save()


@write
def auto_now_alone(world):
    world.article.save()


@write
def auto_now_with_a_field(world):
    world.article.words = 30
    world.article.save()


@write
def a_foreign_key(world):
    world.article.author = None
    world.article.save()


@write
def texts_with_everything(world):
    ware(name="ä\"'\\\n\t😀 %s {}").save()


@write
def a_generated_field(world):
    world.account.balance = 8
    world.account.save()


@write
def a_generated_field_with_some_fields(world):
    world.account.balance = 8
    world.account.save(update_fields=["balance"])
    world.account.limit = 3
    world.account.save()


@write
def a_default_of_the_database(world):
    Account.objects.create(balance=1)
    Contact.objects.create(email="new@x.de")


@write
def a_default_of_the_database_that_is_saved(world):
    world.contact.currency = "USD"
    world.contact.name = "BOB"
    world.contact.save()


@write
def a_field_that_prepares_its_value(world):
    world.offer.code = "lower"
    world.offer.save()


@write
def a_field_of_two_columns(world):
    from tests.app.models import Money

    world.offer.price = Money("3.5", "USD")
    world.offer.save()


@write
def a_field_with_a_view(world):
    from tests.app.models import Wrapped

    world.offer.text = Wrapped("wrapped")
    world.offer.save()


@write
def a_text_by_language(world):
    world.offer.title = "two"
    world.offer.save()


@write
def an_array(world):
    if connection.vendor == "postgresql":
        from tests.app.models import Basket

        one = Basket.objects.create(items=["a"])
        one.items.append("b, c")
        one.save()
        Basket.objects.update(items=["z"])


# --- keys -------------------------------------------------------------------------------------------------------


@write
def a_uuid(world):
    world.ticket.state = "used"
    world.ticket.save()
    Ticket.objects.create(id=UUID(int=7))
    Ticket.objects.filter(id=UUID(int=7)).update(state="sold")


@write
def a_key_that_the_database_computes(world):
    Token.objects.create(name="y")
    world.token.name = "z"
    world.token.save()


@write
def a_natural_key(world):
    world.country.name = "Deutschland"
    world.country.save()
    Country(code="FR", name="France").save()
    Country(code="DE", name="Allemagne").save()


@write
def a_composite_key(world):
    world.seat.guest = "Bob"
    world.seat.save()
    Seat.objects.create(row=1, number=3)
    Seat.objects.filter(row=1).update(guest="Eve")


@write
def a_composite_key_is_deleted(world):
    world.seat.delete()


@write
def another_key_is_another_row(world):
    world.country.code = "AT"
    world.country.save()
