"""Every way in which the ORM writes many rows at once, and relations."""

from contextlib import suppress

import django
from django.db import DatabaseError, connection, transaction
from django.db.models import F, OuterRef, Subquery, Value
from django.db.models.functions import Concat, Upper

from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Band,
    Branch,
    Chapter,
    Contact,
    Country,
    Desk,
    Genre,
    Invoice,
    Loan,
    Novel,
    Offer,
    Performance,
    Pinned,
    Post,
    Reading,
    Reissue,
    Seat,
    Song,
    Ticket,
    Voucher,
    Ware,
    Writer,
)
from tests.audit.every_write import NAIL, asyncio_run, ware, write
from tests.helpers.errors import MishapError
from tests.helpers.writes import conflict

# --- bulk_create ------------------------------------------------------------------------------------------------


@write
def bulk_create(world):
    Ware.objects.bulk_create([Ware(name="a", stock=1), Ware(name="b", rank=9), Ware(pk=88, name="c")])


@write
def abulk_create(world):
    asyncio_run(lambda: Ware.objects.abulk_create([Ware(name="a")]))


@write
def bulk_create_in_batches(world):
    Ware.objects.bulk_create([Ware(name=f"{at}") for at in range(7)], batch_size=3)


@write
def bulk_create_ignoring_conflicts(world):
    Ware.objects.bulk_create([Ware(name="nail", stock=99), Ware(name="b")], ignore_conflicts=True)


@write
def bulk_create_updating_conflicts(world):
    rows = [Ware(name="nail", stock=99), Ware(name="screw", stock=6), Ware(name="b", stock=4)]
    Ware.objects.bulk_create(rows, **conflict("name", update=["stock"]))


@write
def bulk_create_with_decimals_and_defaults(world):
    Article.objects.bulk_create([Article(title="x", price="1.005"), Article(labels={"a": 1})])
    Account.objects.bulk_create([Account(balance=3), Account(balance=4, limit=5)])
    Contact.objects.bulk_create([Contact(email="b@x.de", name="BULK")])


@write
def bulk_create_with_an_expression(world):
    Ware.objects.bulk_create([Ware(name=Upper(Value("low")), stock=Value(3) + Value(4))])


@write
def bulk_create_of_uuids_and_composite_keys(world):
    Ticket.objects.bulk_create([Ticket(), Ticket(state="x")])
    Seat.objects.bulk_create([Seat(row=5, number=1), Seat(row=5, number=2, guest="z")])


@write
def bulk_create_of_fields_that_prepare(world):
    Offer.objects.bulk_create([Offer(code="low", title_de="zwei")])


@write
def bulk_create_and_update(world):
    Ware.objects.bulk_create([Ware(name="a", stock=1), Ware(name="b", stock=1)])
    Ware.objects.filter(stock=1).update(stock=F("stock") + 1)


@write
def bulk_create_and_delete(world):
    Ware.objects.bulk_create([Ware(name="a", stock=1), Ware(name="b", stock=1)])
    Ware.objects.filter(name="b").delete()


# --- bulk_update ------------------------------------------------------------------------------------------------


@write
def bulk_update(world):
    Ware.objects.bulk_update([ware(stock=7), ware(NAIL + 1, stock=8)], ["stock"])


@write
def bulk_update_of_stale_copies(world):
    stale = [ware(stock=7, name="x"), ware(NAIL + 1, stock=8)]
    Ware.objects.update(stock=70)
    Ware.objects.bulk_update(stale, ["stock", "name"])


@write
def bulk_update_f(world):
    Ware.objects.bulk_update([ware(stock=F("stock") + 7), ware(NAIL + 1, stock=F("rank"))], ["stock"])


@write
def bulk_update_to_the_same(world):
    Ware.objects.bulk_update([ware(), ware(NAIL + 1)], ["stock", "name", "rank"])


@write
def bulk_update_of_decimals(world):
    world.article.price = "3.336"
    Article.objects.bulk_update([world.article], ["price", "updated"])


@write
def bulk_update_in_batches(world):
    rows = [ware(stock=7), ware(NAIL + 1, stock=8)]
    Ware.objects.bulk_update(rows, ["stock"], batch_size=1)


@write
def bulk_update_of_a_child(world):
    world.novel.name, world.novel.minutes = "bulk", 90
    Audiobook.objects.bulk_update([world.novel], ["name", "minutes"])


# --- update() ---------------------------------------------------------------------------------------------------


@write
def update_a_constant(world):
    Ware.objects.update(stock=3)


@write
def update_to_the_same(world):
    Ware.objects.update(stock=F("stock"))


@write
def update_some_to_the_same(world):
    Ware.objects.update(stock=5)


@write
def update_nothing(world):
    Ware.objects.none().update(stock=5)
    Ware.objects.filter(stock=-1).update(stock=5)


@write
def aupdate(world):
    asyncio_run(lambda: Ware.objects.aupdate(stock=77))


@write
def update_f(world):
    Ware.objects.update(stock=F("stock") * 2, rank=F("stock"))


@write
def update_a_concat(world):
    Ware.objects.update(name=Concat("name", Value("-"), Upper("name")))


@write
def update_by_a_join(world):
    Article.objects.filter(author__name="Ada").update(words=9, price="1.239")


@write
def update_by_a_subquery(world):
    name = Subquery(Writer.objects.filter(pk=OuterRef("author")).values("name"))
    Article.objects.update(title=name)


@write
def update_several_fields(world):
    Article.objects.update(words=2, title="b", published=None, labels=["x"], cover="c.png", price=F("price") / 3)


@write
def update_a_foreign_key(world):
    Article.objects.filter(title="a").update(author=None)


@write
def update_of_a_slice(world):
    keys = Ware.objects.order_by("-stock").values("pk")[:1]
    Ware.objects.filter(pk__in=[*keys.values_list("pk", flat=True)]).update(stock=0)


@write
def update_of_a_child(world):
    Pinned.objects.update(text="x", rank=7)


@write
def update_of_a_childs_own_field(world):
    Pinned.objects.update(rank=F("rank") + 7)


@write
def update_of_a_parents_field(world):
    Pinned.objects.update(text="only")


@write
def update_of_a_child_with_a_key_of_its_own(world):
    Reissue.objects.update(name="updated")


@write
def update_of_a_grandchild(world):
    Invoice.objects.update(status="PAID", number="9")


@write
def update_of_a_generated_field(world):
    Account.objects.update(balance=F("balance") + 1)


@write
def update_of_a_primary_key(world):
    Ware.objects.filter(pk=NAIL).update(id=NAIL + 50)


@write
def update_of_a_primary_key_with_values(world):
    Ware.objects.filter(pk=NAIL).update(id=NAIL + 50, stock=1)
    Country.objects.update(code="XX", name="moved")


@write
def update_of_a_primary_key_and_back(world):
    Ware.objects.filter(pk=NAIL).update(id=NAIL + 50)
    Ware.objects.filter(pk=NAIL + 50).update(id=NAIL)


@write
def update_of_a_primary_key_after_a_save(world):
    ware(stock=8).save()
    Ware.objects.filter(pk=NAIL).update(id=NAIL + 50)


@write
def update_of_a_part_of_a_key(world):
    Seat.objects.filter(row=1).update(number=40)


@write
def update_and_save(world):
    Ware.objects.update(stock=30)
    ware(stock=31).save()
    Ware.objects.update(name=Concat("name", Value("+")))


@write
def update_there_and_back(world):
    Ware.objects.update(stock=F("stock") + 1)
    Ware.objects.update(stock=F("stock") - 1)


@write
def update_that_fails(world):
    with suppress(DatabaseError), transaction.atomic():
        Ware.objects.update(name="same")


# --- deletes ----------------------------------------------------------------------------------------------------


@write
def delete_by_a_query(world):
    Ware.objects.filter(stock__gt=5).delete()


@write
def delete_all(world):
    Ware.objects.update(stock=1)
    Ware.objects.all().delete()


@write
def delete_by_a_query_after_a_delete(world):
    ware().delete()
    Ware.objects.all().delete()


@write
def delete_by_a_query_with_a_cascade(world):
    Loan.objects.all().delete()
    Branch.objects.filter(code="north").delete()


@write
def delete_by_a_query_with_set_null(world):
    Desk.objects.all().delete()
    Branch.objects.filter(code="north").delete()


@write
def delete_children_by_a_query(world):
    Pinned.objects.all().delete()
    Invoice.objects.all().delete()


@write
def delete_parents_by_a_query(world):
    Post.objects.all().delete()


@write
def delete_and_roll_back(world):
    with suppress(MishapError), transaction.atomic():
        Ware.objects.all().delete()
        raise MishapError


@write
def delete_uuids_and_composite_keys(world):
    Ticket.objects.all().delete()
    Seat.objects.all().delete()


# --- related managers -------------------------------------------------------------------------------------------


@write
def reverse_add(world):
    article = Article.objects.create(title="x")
    world.writer.article_set.add(article)


@write
def reverse_add_by_saves(world):
    world.writer.article_set.add(Article.objects.create(title="x"), bulk=False)


@write
def reverse_set(world):
    world.writer.article_set.set([Article.objects.create(title="x")])


@write
def reverse_remove(world):
    world.writer.article_set.remove(world.article)


@write
def reverse_clear(world):
    world.writer.article_set.clear()


@write
def reverse_create(world):
    world.writer.article_set.create(title="x")


@write
def reverse_update(world):
    world.writer.article_set.update(title="of the writer")


@write
def order_with_respect_to(world):
    first, second = (Chapter.objects.create(novel_id=world.novel.pk, name=name) for name in "ab")
    Novel.objects.get(pk=world.novel.pk).set_chapter_order([second.pk, first.pk])


# --- many-to-many -----------------------------------------------------------------------------------------------


def genres(*names):
    return [Genre.objects.get_or_create(name=name)[0] for name in names]


def novel_with(*names):
    novel = Novel.objects.create(name="m2m")
    novel.genres.add(*genres(*names))
    return novel


@write
def m2m_add(world):
    novel_with("a", "b").genres.add(*genres("b", "c"))


@write
def m2m_add_keys(world):
    world.novel.genres.add(*(one.pk for one in genres("a", "b")))


@write
def m2m_remove(world):
    novel_with("a", "b").genres.remove(*genres("b", "c"))


@write
def m2m_clear(world):
    novel_with("a", "b").genres.clear()


@write
def m2m_set(world):
    novel_with("a", "b").genres.set(genres("b", "c"))


@write
def m2m_create(world):
    world.novel.genres.create(name="new")


@write
def m2m_reverse_add(world):
    novel, [genre] = novel_with("a"), genres("z")
    genre.novels.add(novel, world.novel)


@write
def m2m_reverse_set(world):
    novel, [genre] = novel_with("a"), genres("a")
    genre.novels.set([world.novel.pk])
    assert novel.pk


@write
def m2m_reverse_clear(world):
    novel_with("a", "b")
    genres("a")[0].novels.clear()


@write
def m2m_there_and_back(world):
    novel, [genre] = novel_with("a"), genres("z")
    novel.genres.add(genre)
    novel.genres.remove(genre)


@write
def m2m_far_object_deleted(world):
    novel_with("a", "b")
    genres("a")[0].delete()


@write
def m2m_far_objects_deleted_by_a_query(world):
    novel_with("a", "b")
    Genre.objects.all().delete()


@write
def m2m_own_object_deleted(world):
    novel_with("a", "b").delete()


@write
def m2m_rolled_back(world):
    novel = novel_with("a")
    with suppress(MishapError), transaction.atomic():
        novel.genres.set(genres("b"))
        raise MishapError


@write
def m2m_through_with_fields(world):
    novel = novel_with()
    novel.readers.add(world.writer, through_defaults={"stars": 4})
    Reading.objects.update(stars=5)
    novel.readers.remove(world.writer)
    novel.readers.add(world.writer)


@write
def m2m_through_by_its_model(world):
    novel = novel_with()
    one = Reading.objects.create(novel=novel, reader=world.writer, stars=2)
    one.stars = 3
    one.save()
    Reading.objects.bulk_create([Reading(novel_id=world.novel.pk, reader=Writer.objects.create(name="Bob"))])
    Reading.objects.filter(pk=one.pk).update(novel=world.novel.pk)
    Reading.objects.filter(novel=world.novel.pk).delete()


@write
def m2m_to_itself(world):
    one, two = (Band.objects.create(name=name, code=name) for name in "xy")
    one.partners.add(two)
    one.heroes.add(two)
    two.fans.clear()
    two.partners.clear()


@write
def m2m_hidden(world):
    band, song = Band.objects.create(name="x", code="x"), Song.objects.create(name="s", slug="s")
    band.hidden.add(song)


@write
def m2m_by_keys_that_are_not_primary(world):
    band, song = Band.objects.create(name="x", code="x"), Song.objects.create(name="s", slug="s")
    band.songs.add(song, through_defaults={"year": 1999})
    Performance.objects.update(year=2000)


@write
def m2m_through_a_child(world):
    world.novel.genres.set(genres("a", "b"))
    world.novel.delete()


# --- everything in one transaction ------------------------------------------------------------------------------


@write
def many_writes_of_many_rows(world):
    Ware.objects.bulk_create([Ware(name=f"w{at}", stock=at) for at in range(5)])
    for one in Ware.objects.filter(stock__lt=3):
        one.stock += 100
        one.save()
    Ware.objects.filter(stock__gt=100).update(name=Concat("name", Value("!")))
    Ware.objects.filter(name="w3").delete()
    world.article.title = "t"
    world.article.save()
    world.article.delete()
    Voucher.objects.bulk_create([Voucher(code="a"), Voucher(code="b")])
    Voucher.objects.all().delete()


if django.VERSION >= (6, 1) and connection.features.supports_on_delete_db_cascade:

    @write
    def db_set_null_of_models_that_are_not_audited(world):
        """The audited rows are those of other tables: a cascade of the database is not seen (see test_unheard)."""
        ware(stock=12).save()
