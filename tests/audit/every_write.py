"""Every way in which the ORM writes one row at a time: functions of a world of rows."""

from contextlib import suppress
from types import SimpleNamespace

from django.core import serializers
from django.db import DatabaseError, transaction
from django.db.models import Case, F, Q, Value, When
from django.db.models.functions import Concat, Lower, Now, Upper

from heliograph import mute
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Branch,
    Checked,
    Contact,
    Country,
    Desk,
    Draft,
    Eager,
    Essay,
    Folder,
    Invoice,
    Item,
    Loan,
    Novel,
    Offer,
    Own,
    Pinned,
    Post,
    Reissue,
    Remark,
    Seat,
    Ticket,
    Token,
    Topic,
    Voucher,
    Ware,
    Writer,
)
from tests.helpers.errors import MishapError
from tests.helpers.savepoints import make_savepoint

WRITES = {}
NAIL = 1_000_001  # the key of a ware


def write(function):
    """Add a write to the table."""
    assert function.__name__ not in WRITES, function.__name__
    WRITES[function.__name__] = function
    return function


def world():
    """Make rows of the models, and return some of them by name."""
    writer = Writer.objects.create(name="Ada")
    article = Article.objects.create(title="a", words=1, price="1.50", author=writer, labels=[1], cover="covers/a.png")
    Article.objects.create(title="b", words=2, price="2.50", author=writer)
    Ware.objects.create(pk=NAIL, name="nail", stock=5)
    Ware.objects.create(pk=NAIL + 1, name="screw", stock=6, rank=1)
    branch = Branch.objects.create(code="main", city="Rome")
    north = Branch.objects.create(code="north", city="Oslo")
    for number in range(3):
        Desk.objects.create(branch=north, number=number)
    Loan.objects.create(nulled=north, defaulted=north, fixed=north, computed=north)
    novel = Audiobook.objects.create(name="n", writer=writer, minutes=7)
    Reissue.objects.create(code="r1", name="re", writer=writer)
    post = Pinned.objects.create(topic=Topic.objects.create(), text="t", rank=1)
    return SimpleNamespace(
        writer=writer,
        article=Article.objects.get(pk=article.pk),
        branch=branch,
        north=north,
        novel=novel,
        post=post,
        account=Account.objects.create(balance=4),
        ticket=Ticket.objects.create(),
        token=Token.objects.create(name="x"),
        seat=Seat.objects.create(row=1, number=2, guest="Ada"),
        country=Country.objects.create(code="DE", name="Germany"),
        offer=Offer.objects.create(code="a", title_en="one"),
        contact=Contact.objects.create(email="A@x.de", name="Ada"),
        invoice=Invoice.objects.create(number="1", amount="3.10"),
    )


def ware(key=NAIL, **values):
    """Return a copy of a ware, with values that are not saved yet."""
    one = Ware.objects.get(pk=key)
    for name, value in values.items():
        setattr(one, name, value)
    return one


# --- saves ------------------------------------------------------------------------------------------------------


@write
def create(world):
    Ware.objects.create(name="new", stock=3)


@write
def create_with_a_key(world):
    Ware.objects.create(pk=77, name="new")


@write
def create_by_save(world):
    Ware(name="new").save()


@write
def create_by_force(world):
    Ware(pk=78, name="new").save(force_insert=True)


@write
def create_a_copy(world):
    one = ware(name="copy", rank=None)
    one.pk, one._state.adding = None, True
    one.save()


@write
def save(world):
    ware(stock=9).save()


@write
def save_nothing(world):
    ware().save()


@write
def save_a_text_for_a_number(world):
    ware(stock="9").save()


@write
def save_a_text_for_the_same_number(world):
    ware(stock="5").save()


@write
def save_by_force(world):
    ware(stock=9).save(force_update=True)


@write
def save_some_fields(world):
    ware(stock=9, name="other").save(update_fields=["stock"])


@write
def save_no_fields(world):
    ware(stock=9).save(update_fields=[])


@write
def save_a_field_by_its_column(world):
    world.article.author = Writer.objects.create(name="Bob")
    world.article.save(update_fields=["author_id"])


@write
def save_a_stale_copy(world):
    stale = ware(stock=7)
    Ware.objects.filter(pk=NAIL).update(name="hammer", stock=50)
    stale.save()


@write
def save_a_stale_copy_after_another_save(world):
    stale, other = ware(stock=7), ware(stock=8, name="hammer")
    other.save()
    stale.save()


@write
def save_some_fields_of_a_stale_copy(world):
    stale = ware(stock=7)
    ware(name="hammer", stock=50).save()
    stale.save(update_fields=["stock"])


@write
def save_an_instance_made_by_its_key(world):
    Ware(pk=NAIL, name="hammer").save()


@write
def save_a_copy_of_a_deleted_row(world):
    copy = ware(stock=8)
    ware().delete()
    copy.save()


@write
def save_a_deferred_copy(world):
    one = Ware.objects.only("name").get(pk=NAIL)
    one.name = "hammer"
    one.save()


@write
def save_a_field_that_was_deferred(world):
    one = Ware.objects.defer("stock").get(pk=NAIL)
    one.stock = 99
    one.save()


@write
def save_with_a_read_of_deferred_fields(world):
    one = Eager.objects.create(name="a", extra="b")
    one = Eager.objects.only("name").get(pk=one.pk)
    one.extra = "c"
    one.save()


@write
def save_with_a_method_of_its_own(world):
    one = Own.objects.create(name="a")
    one.extra = "x"
    one.save()


@write
def save_with_a_select(world):
    one = Checked.objects.create(name="a")
    one.name = "b"
    one.save()


@write
def save_f(world):
    ware(stock=F("stock") + 3).save()


@write
def save_f_twice(world):
    one = ware(stock=F("stock") + 3)
    one.save()
    one.stock = F("stock") * 2
    one.save()


@write
def save_f_of_some_fields(world):
    ware(stock=F("stock") + 3).save(update_fields=["stock"])


@write
def save_a_concat(world):
    ware(name=Concat("name", Value("!"))).save()


@write
def save_a_case(world):
    ware(stock=Case(When(stock__gt=1, then=Value(0)), default=F("stock"))).save()


@write
def save_an_expression_for_the_table_of_a_parent(world):
    world.post.text, world.post.rank = Upper("text"), F("rank") + 1
    world.post.save()


@write
def create_with_an_expression(world):
    Ware.objects.create(name=Lower(Value("LOW")), stock=2)


@write
def create_with_the_time_of_the_database(world):
    Article.objects.create(title="now", published=Now())


@write
def asave(world):
    asyncio_run(ware(stock=9).asave)


@write
def acreate(world):
    asyncio_run(lambda: Ware.objects.acreate(name="async"))


def asyncio_run(function):
    from asgiref.sync import async_to_sync

    async def awaited():
        await function()

    async_to_sync(awaited)()


@write
def get_or_create_new(world):
    Ware.objects.get_or_create(name="new", defaults={"stock": 3})


@write
def get_or_create_old(world):
    Ware.objects.get_or_create(name="nail", defaults={"stock": 3})


@write
def update_or_create_new(world):
    Ware.objects.update_or_create(name="new", defaults={"stock": 3})


@write
def update_or_create_old(world):
    Ware.objects.update_or_create(name="nail", defaults={"stock": 3})


@write
def update_or_create_f(world):
    Ware.objects.update_or_create(name="nail", defaults={"stock": F("stock") + 2})


@write
def save_there_and_back(world):
    one = ware(stock=9)
    one.save()
    one.stock = 5
    one.save()


@write
def save_several_times(world):
    one = ware(stock=9)
    one.save()
    one.name = "hammer"
    one.save()
    one.stock = 10
    one.save()


@write
def create_and_save(world):
    one = Ware.objects.create(name="new", stock=1)
    one.stock = 2
    one.save()


@write
def create_and_delete(world):
    Ware.objects.create(name="new").delete()


@write
def create_update_and_delete(world):
    one = Ware.objects.create(name="new")
    Ware.objects.filter(name="new").update(stock=8)
    one.delete()


@write
def delete_and_create_the_key_again(world):
    ware().delete()
    Ware.objects.create(pk=NAIL, name="again", stock=5)


@write
def delete_and_create_the_same(world):
    ware().delete()
    Ware.objects.create(pk=NAIL, name="nail", stock=5)


@write
def refresh_and_save(world):
    one = ware()
    Ware.objects.filter(pk=NAIL).update(stock=70)
    one.refresh_from_db()
    one.name = "hammer"
    one.save()


# --- tables and classes -----------------------------------------------------------------------------------------


@write
def a_child(world):
    Pinned.objects.create(topic=world.post.topic, text="new", rank=2)


@write
def a_child_is_saved(world):
    world.post.text, world.post.rank = "u", 5
    world.post.save()


@write
def only_the_parents_field_of_a_child(world):
    world.post.text = "u"
    world.post.save()


@write
def only_the_childs_field(world):
    world.post.rank = 6
    world.post.save(update_fields=["rank"])


@write
def a_child_and_its_parent(world):
    parent = Post.objects.get(pk=world.post.pk)
    parent.text = "by the parent"
    parent.save()
    world.post.rank = 8
    world.post.save(update_fields=["rank"])


@write
def a_stale_child(world):
    Post.objects.filter(pk=world.post.pk).update(text="by the parent")
    world.post.rank = 8
    world.post.save()


@write
def a_child_over_an_existing_parent(world):
    parent = Post.objects.create(topic=world.post.topic, text="p")
    child = Pinned(post_ptr=parent, rank=3, text="c", topic=None)
    child.save()


@write
def a_child_over_an_existing_parent_raw(world):
    parent = Post.objects.create(topic=world.post.topic, text="p")
    Pinned(post_ptr=parent, rank=3).save_base(raw=True)


@write
def a_child_with_a_key_of_its_own(world):
    one = Reissue.objects.get(code="r1")
    one.name = "another"
    one.save()
    Reissue.objects.create(code="r2", name="second")


@write
def a_child_with_a_key_of_its_own_is_deleted(world):
    Reissue.objects.get(code="r1").delete()


@write
def a_child_is_deleted(world):
    world.post.delete()


@write
def a_child_is_deleted_without_its_parent(world):
    world.post.delete(keep_parents=True)


@write
def a_parent_is_deleted(world):
    Post.objects.get(pk=world.post.pk).delete()


@write
def a_proxy(world):
    one = Draft.objects.create(topic=world.post.topic, text="d")
    one.text = "e"
    one.save()
    Draft.objects.filter(pk=one.pk).update(text="f")


@write
def a_proxy_and_its_model(world):
    one = Draft.objects.get(pk=world.post.pk)
    one.text = "by the proxy"
    one.save()
    Post.objects.filter(pk=world.post.pk).update(topic=None)


@write
def a_proxy_is_deleted(world):
    one = Draft.objects.create(text="d")
    Draft.objects.get(pk=one.pk).delete()


@write
def a_child_with_generated_fields(world):
    world.invoice.status, world.invoice.amount = "PAID", "8.999"
    world.invoice.save()


@write
def a_generic_foreign_key(world):
    essay = Essay.objects.create(name="e")
    one = Remark.objects.create(target=essay, text="r")
    one.text = "s"
    one.save()
    essay.remarks.create(text="t")
    essay.delete()


# --- instance deletes -------------------------------------------------------------------------------------------


@write
def delete(world):
    ware().delete()


@write
def delete_a_stale_copy(world):
    stale = ware()
    Ware.objects.filter(pk=NAIL).update(stock=44, name="hammer")
    stale.delete()


@write
def delete_an_edited_copy(world):
    ware(stock=100, name="edited").delete()


@write
def delete_a_deferred_copy(world):
    Ware.objects.only("pk").get(pk=NAIL).delete()


@write
def delete_an_instance_made_by_its_key(world):
    Ware(pk=NAIL, name="nonsense").delete()


@write
def delete_twice(world):
    first, second = ware(), ware()
    first.delete()
    second.delete()


@write
def delete_what_never_was(world):
    Ware(pk=424242).delete()


@write
def adelete(world):
    asyncio_run(ware().adelete)


@write
def save_and_delete(world):
    one = ware(stock=70)
    one.save()
    one.delete()


@write
def cascade(world):
    Desk.objects.filter(number=1).update(number=11)
    Loan.objects.all().delete()
    world.north.delete()


@write
def set_null_and_others(world):
    Desk.objects.all().delete()
    world.north.delete()


@write
def cascade_to_itself(world):
    top = Folder.objects.create(name="top")
    inner = Folder.objects.create(name="inner", parent=top)
    Folder.objects.create(name="innermost", parent=inner)
    top.delete()


@write
def cascade_over_several_tables(world):
    world.writer.delete()


# --- transactions -----------------------------------------------------------------------------------------------


@write
def a_block_that_fails(world):
    with suppress(MishapError), transaction.atomic():
        ware(stock=8).save()
        raise MishapError


@write
def a_block_that_fails_within_another(world):
    with transaction.atomic():
        ware(stock=8).save()
        with suppress(MishapError), transaction.atomic():
            ware(stock=9, name="lost").save()
            raise MishapError


@write
def a_savepoint_rolled_back_by_hand(world):
    with transaction.atomic():
        ware(name="kept").save()
        point = make_savepoint()
        ware(stock=9).save()
        Ware.objects.create(name="lost")
        transaction.savepoint_rollback(point)


@write
def a_savepoint_rolled_back_and_used_again(world):
    with transaction.atomic():
        one = ware()
        point = make_savepoint()
        one.stock = 9
        one.save()
        transaction.savepoint_rollback(point)
        one.stock = 10
        one.save()


@write
def a_deletion_that_is_rolled_back(world):
    with transaction.atomic():
        point = make_savepoint()
        ware().delete()
        transaction.savepoint_rollback(point)
        ware(stock=3).save()


@write
def a_save_that_the_database_refuses(world):
    with suppress(DatabaseError), transaction.atomic():
        ware(name="screw").save()


@write
def a_save_before_a_refused_one(world):
    with transaction.atomic():
        ware(stock=66).save()
        with suppress(DatabaseError), transaction.atomic():
            ware(name="screw", stock=67).save()


# --- fixtures, silence ------------------------------------------------------------------------------------------


def load(*instances):
    text = serializers.serialize("json", instances)
    for one in serializers.deserialize("json", text):
        one.save()


@write
def a_fixture_of_a_new_row(world):
    load(Ware(pk=900, name="loaded", stock=2))


@write
def a_fixture_over_a_row(world):
    load(Ware(pk=NAIL, name="loaded", stock=2))


@write
def a_fixture_over_the_same_row(world):
    load(ware())


@write
def a_fixture_of_a_child(world):
    load(Post(pk=950, text="loaded"), Pinned(post_ptr_id=950, rank=9))


@write
def muted(world):
    with mute():
        ware(stock=8).save()
        Ware.objects.filter(pk=NAIL + 1).update(stock=9)
        Ware.objects.bulk_create([Ware(name="muted")])
        world.article.delete()


@write
def by_conditions(world):
    Item.objects.create(price="1.00", note="x")
    Item.objects.filter(Q(note="x") | Q(price=3)).update(quantity=F("quantity") + 1)


@write
def a_voucher(world):
    one = Voucher.objects.create(code="a")
    one.uses = F("uses") + 1
    one.save()
    one.save()


@write
def a_novel(world):
    novel = Novel.objects.get(pk=world.novel.pk)
    novel.name = "renamed"
    novel.save()
