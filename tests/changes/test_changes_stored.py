"""Changes are those of the stored row: values are of the field's own type, as the database has them."""

import datetime
from decimal import Decimal

import pytest
from django.db import connection, models, transaction
from django.utils.translation import override

from heliograph import UNKNOWN, BeforeCommit, Change, Durable, changed, changes_of, created
from heliograph.changes.values import NO_ROW
from heliograph.outbox.work.runner import drain
from heliograph.signals import post_delete, post_save, pre_save
from tests.app.models import Account, Article, Audiobook, Money, Novel, Offer, Writer

pytestmark = pytest.mark.django_db


# --- of the field's own type ----------------------------------------------------------------------------------------


class State(models.TextChoices):
    OPEN = "open"
    PAID = "paid"


ASSIGNED = {
    "a number as a text": (Article, "words", "5"),
    "a number as a truth": (Article, "words", True),
    "a text as a number": (Article, "title", 5),
    "a text as a member": (Article, "title", State.PAID),
    "a decimal as a text": (Article, "price", "5"),
    "a decimal as a float": (Article, "price", 1.5),
    "a decimal as an integer": (Article, "price", 5),
    "a decimal that is rounded down": (Article, "price", Decimal("1.239")),
    "a decimal that is rounded at the half": (Article, "price", Decimal("1.005")),
    "a decimal that is rounded at another half": (Article, "price", Decimal("1.015")),
    "a negative decimal": (Article, "price", Decimal("-2.345")),
    "a date and time as a text": (Article, "published", "2026-01-02T03:04:05+00:00"),
    "a date and time as a date": (Article, "published", datetime.date(2026, 1, 2)),
    "a date and time without a zone": (Article, "published", datetime.datetime(2026, 1, 2, 3, 4)),
}


@pytest.mark.filterwarnings("ignore:DateTimeField .* received a naive datetime")
@pytest.mark.parametrize("case", ASSIGNED)
def test_a_value_is_reported_as_it_is_stored(listen_to_changes, case):
    model, name, value = ASSIGNED[case]
    received = listen_to_changes(model, name)
    key = model.objects.create().pk
    instance = model.objects.get()
    setattr(instance, name, value)
    instance.save()
    stored = getattr(model.objects.get(pk=key), name)
    new = received[0][name].new
    assert (new, type(new)) == (stored, type(stored))
    assert isinstance(new, datetime.date) or str(new) == str(stored)
    assert len(received) == 1
    # The next change is measured from it, and it is no change to save it once more.
    instance.save()
    model.objects.get().save()
    fresh = model.objects.get()
    setattr(instance, name, getattr(fresh, name))
    instance.save()
    assert len(received) == 1


def test_a_key_that_is_assigned_as_a_text_is_reported_as_a_number(listen_to_changes):
    received = listen_to_changes(Article, "author")
    writer = Writer.objects.create(name="Ada")
    Article.objects.create()
    article = Article.objects.get()
    article.author_id = str(writer.pk)
    article.save()
    assert received == [{"author": Change(None, writer.pk)}]
    assert type(received[0]["author"].new) is int


def test_a_decimal_that_is_rounded_to_what_was_stored_is_no_change(listen_to_changes):
    received = listen_to_changes(Article, "price")
    Article.objects.create(price=Decimal("2.50"))
    article = Article.objects.get()
    article.price = Decimal("2.499")
    assert changes_of(article) == {}
    article.save()
    assert received == []


def test_the_next_change_is_measured_from_the_rounded_decimal(listen_to_changes):
    received = listen_to_changes(Article, "price")
    article = Article.objects.create(price=Decimal("1.239"))
    article.price = Decimal("1.24")
    article.save()
    article.price = 3
    article.save()
    assert [[str(value) for value in changes["price"]] for changes in received] == [["1.24", "3.00"]]


def test_a_condition_on_a_value_asks_for_the_stored_one(listen_to_changes, receive):
    received = []

    @receive(post_save, sender=Article, when=changed("price", to=Decimal("1.24")))
    def record(changes, **kwargs):
        received.append(changes["price"].new)

    article = Article.objects.create()
    article.price = Decimal("1.239")
    article.save()
    assert received == [Decimal("1.24")]


def test_a_batch_has_stored_values_too(receive):
    received = []

    @receive(post_save, sender=Article, when=created | changed("price"), delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        received.extend(event.changes for event in batch.events)

    article = Article.objects.create(price=2)
    received.clear()
    with transaction.atomic():
        article.price = Decimal("1.5")
        article.save()
        article.price = Decimal("1.239")
        article.save()
    assert [str(changes["price"].new) for changes in received] == ["1.24"]


# --- generated fields -----------------------------------------------------------------------------------------------


def new_value(value):
    """Return the new value of a generated field, where Django reads it after an update."""
    return value if getattr(connection.features, "can_return_rows_from_update", False) else UNKNOWN


@pytest.mark.parametrize("names", [None, ["balance"]])
def test_a_generated_field_changes_with_the_fields_that_it_is_made_of(listen_to_changes, names):
    received = listen_to_changes(Account, "twice")
    Account.objects.create(balance=1)
    account = Account.objects.get()
    account.save()
    account.limit = 7
    account.save()
    assert received == []
    account.balance = 4
    account.save(update_fields=names)
    assert received == [{"twice": Change(2, new_value(8))}]
    account.save()
    account.save(update_fields=names)
    Account.objects.get().save()
    assert len(received) == 1
    assert changes_of(account) == {}
    account.balance = 5
    account.save()
    assert received[1:] == [{"twice": Change(new_value(8), new_value(10))}]


def test_a_generated_field_is_known_again_when_the_row_is_read(listen_to_changes):
    received = listen_to_changes(Account, "twice", fetch=True)
    account = Account.objects.create(balance=1)
    account.balance = 2
    account.save()
    account.refresh_from_db()
    account.balance = 3
    account.save()
    account.balance = 4
    account.save()
    assert [change["twice"].old for change in received] == [2, 4, 6]


def test_a_generated_field_is_about_to_change_with_its_sources(listen_to_changes):
    received = listen_to_changes(Account, "twice", signal=pre_save)
    account = Account.objects.create(balance=1)
    account.balance = 2
    assert changes_of(account) == {"twice": Change(2, UNKNOWN)}
    account.save()
    account.save()
    assert received == [{"twice": Change(2, UNKNOWN)}]


def test_a_generated_field_is_not_known_after_a_bulk_update(listen_to_changes):
    received = listen_to_changes(Account, "twice")
    account = Account.objects.create(balance=1)
    account.balance = 2
    Account.objects.bulk_update([account], ["balance"])
    account.save()
    account.balance = 3
    account.save()
    assert received == [{"twice": Change(new_value(4), new_value(6))}]


def test_a_generated_field_changes_once_in_a_batch(receive):
    received = []

    @receive(post_save, sender=Account, when=changed("twice"), delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        received.extend(event.changes for event in batch.events)

    account = Account.objects.create(balance=1)
    with transaction.atomic():
        for balance in (5, 1):
            account.balance = balance
            account.save()
    assert received == []
    with transaction.atomic():
        for balance in (5, 6):
            account.balance = balance
            account.save()
    assert [changes["twice"].new for changes in received] == [new_value(12)]


# --- fields that prepare a value ------------------------------------------------------------------------------------


def test_a_value_that_a_field_prepares_is_reported_although_no_attribute_keeps_it(listen_to_changes):
    received = listen_to_changes(Offer, "code")
    before = listen_to_changes(Offer, "code", signal=pre_save)
    offer = Offer.objects.create(code="abc")
    offer.save()
    assert changes_of(offer, "code") == {}
    Offer.objects.get().save()
    assert (received, before) == ([], [])
    offer.code = "def"
    offer.save()
    offer.save(update_fields=["code"])
    offer.title_en = "An offer"
    offer.save()
    assert (received, before) == ([{"code": Change("ABC", "DEF")}], [{"code": Change("ABC", "def")}])


def test_a_value_that_a_field_prepares_is_forgotten_when_it_is_rolled_back(listen_to_changes):
    received = listen_to_changes(Offer, "code")
    offer = Offer.objects.create(code="abc")
    offer.code = "def"
    with transaction.atomic():
        offer.save()
        transaction.set_rollback(True)
    offer.save()
    assert received == [{"code": Change("ABC", "DEF")}] * 2


# --- attributes that are more than a column -------------------------------------------------------------------------


def test_a_field_of_two_columns_is_always_what_its_attribute_gives(listen_to_changes):
    received = listen_to_changes(Offer, "price")
    Offer.objects.create(price=Money("1.00", "EUR"))
    offer = Offer.objects.get()
    offer.price = Money("2.00", "EUR")  # before anybody has read it
    offer.save()
    offer = Offer.objects.get()
    assert offer.price == Money("2.00", "EUR")
    offer.price = Money("3.00", "USD")
    offer.save()
    offer.price = 4
    offer.save()
    one, two, three, four = Money("1.00", "EUR"), Money("2.00", "EUR"), Money("3.00", "USD"), Money("4.00", "USD")
    assert [change["price"] for change in received] == [(one, two), (two, three), (three, four)]


def test_a_change_of_the_second_column_alone_is_one_of_the_field(listen_to_changes):
    received = listen_to_changes(Offer, "price")
    Offer.objects.create(price=Money("1.00", "EUR"))
    offer = Offer.objects.get()
    offer.price = Money("1.00", "USD")
    assert changes_of(offer) == {"price": Change(Money("1.00", "EUR"), Money("1.00", "USD"))}
    offer.save()
    offer.price_currency = "GBP"
    offer.save(update_fields=["price_currency"])
    offer.save()
    offer = Offer.objects.get()
    offer.title_en = "An offer"
    offer.save()
    assert [change["price"] for change in received] == [
        (Money("1.00", "EUR"), Money("1.00", "USD")),
        (Money("1.00", "USD"), Money("1.00", "GBP")),
    ]


def test_only_the_columns_that_are_written_count(listen_to_changes):
    received = listen_to_changes(Offer, "price")
    Offer.objects.create(price=Money("1.00", "EUR"))
    offer = Offer.objects.get()
    offer.price = Money("2.00", "USD")
    offer.save(update_fields=["price"])
    assert received == [{"price": Change(Money("1.00", "EUR"), Money("2.00", "EUR"))}]


def test_a_rounded_amount_is_as_it_is_stored(listen_to_changes):
    received = listen_to_changes(Offer, "price")
    offer = Offer.objects.create(price=Money("2.50", "EUR"))
    offer.price = Money("2.499", "EUR")
    offer.save()
    offer.price = Money("1.239", "EUR")
    offer.save()
    assert received == [{"price": Change(Money("2.50", "EUR"), Money("1.24", "EUR"))}]


def test_old_values_of_a_field_of_two_columns_are_fetched_together(listen_to_changes):
    received = listen_to_changes(Offer, "price", fetch=True)
    key = Offer.objects.create(price=Money("1.00", "USD")).pk
    Offer(pk=key, price=Money("2.00", "USD")).save()
    assert received == [{"price": Change(Money("1.00", "USD"), Money("2.00", "USD"))}]


def test_a_change_of_all_fields_has_each_once(listen_to_changes):
    received = listen_to_changes(Offer)
    offer = Offer.objects.create(price=Money("1.00", "EUR"))
    offer.text = "New"
    offer.save()
    assert {name: change for name, change in received[0].items() if name != "text"} == {}


def test_a_text_of_the_language_is_reported_as_each_column_gets_it(listen_to_changes):
    received = listen_to_changes(Offer, "title", "title_en", "title_de")
    with override("en"):
        Offer.objects.create(title="Hello", title_en="Hello", title_de="Hallo")
        offer = Offer.objects.get()
        offer.title = "Hi"
        offer.save()
        offer.save()
    with override("de"):
        offer = Offer.objects.get()
        assert offer.title == "Hallo"
        offer.save()
    hello = {"title": Change("Hello", "Hi"), "title_en": Change("Hello", "Hi")}
    assert received == [hello, {"title": Change("Hi", "Hallo")}]


def test_values_that_do_not_compare_are_reported_where_the_column_changes(listen_to_changes):
    received = listen_to_changes(Offer, "text")
    Offer.objects.create(text="Old")
    offer = Offer.objects.get()
    offer.title_en = "An offer"
    offer.save()
    offer.text = "New"
    offer.save()
    offer.save()
    assert [[value.text for value in change["text"]] for change in received] == [["Old", "New"]]


def test_a_deferred_field_of_two_columns_is_unknown(listen_to_changes):
    received = listen_to_changes(Offer, "price")
    Offer.objects.create(price=Money("1.00", "EUR"))
    offer = Offer.objects.defer("price", "price_currency").get()
    offer.price = Money("2.00", "EUR")
    offer.save()
    assert received == [{"price": Change(UNKNOWN, Money("2.00", "EUR"))}]


# --- where changes go -----------------------------------------------------------------------------------------------

EUR, USD = Money("1.00", "EUR"), Money("2.00", "USD")


def set_price(instance):
    """Save an offer with another price, and return the changes of the price that this is."""
    instance.price = USD
    instance.save()
    return Change(EUR, USD)


def delete(instance):
    """Delete an offer whose price somebody has read."""
    assert instance.price == EUR
    instance.delete()
    return Change(EUR, NO_ROW)


@pytest.mark.parametrize(("signal", "write"), [(post_save, set_price), (post_delete, delete)])
@pytest.mark.parametrize("batch", [False, True])
def test_a_durable_receiver_has_a_field_of_two_columns_as_it_was(receive, signal, write, batch):
    received = []
    options = {"sender": Offer, "when": changed("price", "text"), "delivery": Durable(batch=batch)}

    def record_one(changes, instance, **kwargs):
        received.append((changes["price"], instance.price))

    def record_batch(batch, **kwargs):
        received.extend((event.changes["price"], event.instance.price) for event in batch.events)

    receive(signal, **options)(record_batch if batch else record_one)
    Offer.objects.create(price=EUR)
    change = write(Offer.objects.get())
    drain()
    assert received == [(change, USD if signal is post_save else EUR)]


def test_a_durable_receiver_has_values_that_do_not_compare(receive):
    received = []

    @receive(post_save, sender=Offer, when=changed("text"), delivery=Durable())
    def record(changes, **kwargs):
        received.append([value.text for value in changes["text"]])

    offer = Offer.objects.create(text="Old")
    offer.text = "New"
    offer.save()
    drain()
    assert received == [["Old", "New"]]


def test_an_event_has_the_old_value_of_a_field_of_two_columns(receive):
    received = []

    @receive([post_save, post_delete], sender=Offer, when=changed("price"), delivery=BeforeCommit(batch=True))
    def record(batch, **kwargs):
        received.extend(event.old("price") for event in batch.events)

    offer = Offer.objects.create(price=EUR)
    with transaction.atomic():
        set_price(offer)
    with transaction.atomic():
        offer.delete()
    assert received == [EUR, USD]


# --- parents of children --------------------------------------------------------------------------------------------


def test_a_parent_that_django_makes_of_a_child_knows_what_the_child_knows(listen_to_changes, django_assert_num_queries):
    received = listen_to_changes(Novel, "name", subclasses=True)
    Audiobook.objects.create(name="Old")
    audiobook = Audiobook.objects.get()
    with django_assert_num_queries(0):
        assert changes_of(audiobook.novel_ptr) == {}
    audiobook = Audiobook.objects.get()
    audiobook.name = "New"
    parent = audiobook.novel_ptr
    assert changes_of(parent) == {"name": Change("Old", "New")}
    parent.save()
    parent.name = "Newer"
    parent.save()
    assert received == [{"name": Change("Old", "New")}, {"name": Change("New", "Newer")}]


def test_the_deletion_of_a_child_has_the_values_of_the_parents_row(receive):
    received = []

    @receive(post_delete, sender=Novel, subclasses=True, when=changed("name"))
    def record(sender, changes, **kwargs):
        received.append((sender, changes))

    Audiobook.objects.create(name="Old")
    audiobook = Audiobook.objects.get()
    audiobook.name = "New"  # which nobody saves
    audiobook.delete()
    change = {"name": Change("Old", NO_ROW)}
    assert received == [(Audiobook, change), (Novel, change)]
