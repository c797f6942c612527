"""`batch.values()`, which has the rows of a batch as tuples, and `event.sent_instance`."""

import re
from contextlib import contextmanager

import pytest
from django.core.exceptions import FieldDoesNotExist
from django.db import transaction
from django.db.models import F, Value
from django.db.models.signals import post_delete, post_init, post_save

from heliograph import NO_ROW, BeforeCommit, Durable, Inline, changed, created
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_bulk_create, post_bulk_delete, post_update
from tests.app.models import Account, Article, Audiobook, Country, Item, Novel, Offer, Post, Seat, Topic, Ware
from tests.helpers.statements import statements
from tests.helpers.writes import conflict

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "other"])

BOTH = [post_save, post_delete]


@pytest.fixture
def batches(batches_at_the_end):
    """Connect a receiver of batches of these fields: `got = batches(Post, "topic")` is the list of them."""

    def connect(sender, *names, signal=BOTH, **options):
        return batches_at_the_end(signal, sender=sender, when=created | changed(*names), bulk=True, **options)

    return connect


def by_events(batch, *names):
    """Return what `values()` must return, from the events one by one."""
    return [
        (
            event.pk,
            None if event.kind == "created" else tuple(event.old(name) for name in names),
            None if event.kind == "deleted" else tuple(event.new(name) for name in names),
        )
        for event in batch.events
    ]


@contextmanager
def no_instances():
    """Fail if an instance is made in the block."""

    def refuse(instance, **kwargs):
        raise AssertionError(instance)

    post_init.connect(refuse)
    try:
        yield
    finally:
        post_init.disconnect(refuse)


def posts(*topics):
    return Post.objects.bulk_create([Post(topic=topic, text=f"{number}") for number, topic in enumerate(topics)])


# --- values -------------------------------------------------------------------------------------------------------


def test_values_are_the_key_and_the_fields_before_and_after_in_the_order_of_the_names(batches):
    first, second = (Topic.objects.create() for _ in range(2))
    got = batches(Post, "topic", "text")
    moved, gone = posts(first, first)
    del got[:]
    with transaction.atomic():
        made = Post.objects.create(topic=second, text="new")
        moved.topic = second
        moved.save()
        key = gone.pk
        gone.delete()
    (batch,) = got
    assert batch.values("text", "topic") == [
        (made.pk, None, ("new", second.pk)),
        (moved.pk, ("0", first.pk), ("0", second.pk)),
        (key, ("1", first.pk), None),
    ]


@pytest.mark.parametrize(
    "write",
    [
        lambda: posts(*Topic.objects.all()),
        lambda: Post.objects.update(text="2", topic=None),
        lambda: Post.objects.update(topic=F("topic")),
        lambda: Post.objects.all().delete(),
        lambda: Topic.objects.all().delete(),
    ],
    ids=["bulk_create", "update to a value", "update to an expression", "delete", "cascade"],
)
def test_the_values_of_bulk_writes_are_those_of_their_events_without_a_query_or_an_instance(batches, write):
    posts(Topic.objects.create(), None, Topic.objects.create())
    got = batches(Post, "topic", "text")
    write()
    with no_instances():
        found = [[*batch.values("topic_id", "text", "id")] for batch in got]
        assert statements(lambda: [batch.values("topic", "text") for batch in got]) == []
    assert found == [by_events(batch, "topic", "text", "id") for batch in got]


def test_values_of_several_writes_are_net(batches):
    topic = Topic.objects.create()
    got = batches(Post, "text", "topic")
    kept, gone, same = posts(topic, topic, topic)
    del got[:]
    keys = kept.pk, gone.pk
    with transaction.atomic():
        Post.objects.filter(pk__in=keys).update(text="a")
        made, lost = posts(topic, None)
        Post.objects.filter(pk__in=[made.pk, kept.pk]).update(text="b")
        same.text = "c"
        same.save()
        same.text = "2"
        same.save()
        Post.objects.filter(pk__in=[gone.pk, lost.pk]).delete()
    (batch,) = got
    assert batch.values("text") == [
        (keys[0], ("0",), ("b",)),
        (keys[1], ("1",), None),
        (made.pk, None, ("b",)),
    ]
    assert batch.values("text", "topic") == by_events(batch, "text", "topic")


def test_writes_of_other_rows_in_one_transaction_are_one_list(batches):
    got = batches(Ware, "stock")
    with transaction.atomic():
        one, two = Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")])
        (three,) = Ware.objects.bulk_create([Ware(name="c", stock=3)])
    assert [batch.values("stock") for batch in got] == [
        [(one.pk, None, (0,)), (two.pk, None, (0,)), (three.pk, None, (3,))]
    ]


def test_values_of_an_upsert_are_those_of_new_rows_and_of_others(batches):
    (old,) = Ware.objects.bulk_create([Ware(name="a", stock=1)])
    got = batches(Ware, "stock", "name")
    new = [Ware(name="a", stock=2), Ware(name="b", stock=3)]
    Ware.objects.bulk_create(new, **conflict("name", update=["stock"]))
    made = Ware.objects.get(name="b")
    assert sorted(got[0].values("stock", "name")) == sorted(
        [(made.pk, None, (3, "b")), (old.pk, (1, "a"), (2, "a"))], key=lambda row: row[0]
    )


@pytest.mark.parametrize(
    "values", [{"price": "4.10"}, {"price": 4}, {"price": 4.005}, {"note": "", "weight": 1}], ids=repr
)
def test_values_are_in_the_form_in_which_they_are_stored(batches, values):
    got = batches(Item, *values)
    Item.objects.bulk_create([Item(**values), Item(**values)])
    stored = [(key, None, tuple(row)) for key, *row in Item.objects.order_by("pk").values_list("pk", *values)]
    assert [batch.values(*values) for batch in got] == [stored]


SAVED = {
    "prices in many forms": (Item, ("price", "cart"), [{"price": "4.10"}, {"price": 4}, {"price": 4.005}]),
    "a price that the database computes": (Item, ("price", "quantity"), [{"price": 3}, {"price": Value(4) + 1}]),
    "texts": (Post, ("text", "topic"), [{"text": "a"}, {"text": 5}, {"topic": None}]),
    "a field of a package": (Offer, ("price",), [{}, {}]),
    "a generated field": (Account, ("balance", "twice"), [{"balance": 1}, {"balance": 2}]),
    "the key": (Seat, ("pk", "guest"), [{"row": 1, "number": 2}, {"row": 2, "number": 2}]),
}


@pytest.mark.parametrize(("model", "names", "rows"), SAVED.values(), ids=SAVED)
def test_values_of_new_rows_that_were_saved_one_by_one_are_those_of_their_events(batches, model, names, rows):
    got = batches(model, *(name for name in names if name != "pk"))
    with transaction.atomic():
        made = [model.objects.create(**row) for row in rows]
    (batch,) = got
    expected = [tuple(event.pk if name == "pk" else event.new(name) for name in names) for event in batch.events]
    assert batch.values(*names) == [(one.pk, None, row) for one, row in zip(made, expected, strict=True)]


def test_a_field_of_a_package_has_the_value_of_its_attribute(batches):
    got = batches(Offer, "price")
    Offer.objects.bulk_create([Offer(), Offer()])
    Offer.objects.update(price=3)
    Offer.objects.all().delete()
    assert [batch.values("price") for batch in got] == [by_events(batch, "price") for batch in got]


def test_a_generated_field_is_known_where_the_database_returns_it(batches):
    got = batches(Account, "balance", "twice")
    Account.objects.bulk_create([Account(balance=1)])
    Account.objects.update(balance=2)
    assert [batch.values("twice") for batch in got] == [by_events(batch, "twice") for batch in got]


def test_the_key_is_a_value_too_also_of_a_child_and_of_two_columns(batches):
    books = batches(Audiobook, "minutes")
    book = Audiobook.objects.create()
    Audiobook.objects.update(minutes=1)
    assert [batch.values("id", "minutes") for batch in books] == [
        [(book.pk, None, (book.pk, 0))],
        [(book.pk, (book.pk, 0), (book.pk, 1))],
    ]
    seats = batches(Seat, "guest")
    Seat.objects.bulk_create([Seat(row=1, number=2)])
    Seat.objects.update(guest="Ada")
    assert [batch.values("pk", "guest") for batch in seats] == [
        [((1, 2), None, ((1, 2), ""))],
        [((1, 2), ((1, 2), ""), ((1, 2), "Ada"))],
    ]


def test_values_of_no_fields_are_the_keys(batches):
    got = batches(Ware, "stock")
    one, two = Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")])
    Ware.objects.update(stock=1)
    Ware.objects.all().delete()
    keys = one.pk, two.pk
    assert [batch.values() for batch in got] == [
        [(key, None, ()) for key in keys],
        [(key, (), ()) for key in keys],
        [(key, (), None) for key in keys],
    ]


@pytest.mark.parametrize("is_bulk", [True, False])
def test_values_that_nobody_watches_are_refused(batches, is_bulk):
    got = batches(Post, "topic")
    if is_bulk:
        posts(None)
        Post.objects.all().delete()
    else:
        Post.objects.create().delete()
    text = (
        "The changes of app.Post.text are not known: the receiver does not watch them. Connect it with"
        " when=changed(...), or with when=created | changed(...) for new rows too."
    )
    for batch in got:
        with pytest.raises(LookupError, match=f"^{re.escape(text)}$"):
            batch.values("topic", "text")
        with pytest.raises(FieldDoesNotExist):
            batch.values("txt")


def test_events_that_are_about_no_row_have_no_values(batches_at_the_end):
    got = batches_at_the_end(m2m_changes, sender=Novel.genres.through)
    Novel.objects.create().genres.create(name="a")
    with pytest.raises(LookupError, match="is about no row"):
        got[0].values("name")


@pytest.mark.parametrize(
    ("signal", "write", "expected"),
    [
        (post_bulk_create, lambda: None, [(None, ("a", 4))]),
        (post_update, lambda: Ware.objects.update(stock=5), [(("a", 4), ("a", 5))]),
        (post_bulk_delete, lambda: Ware.objects.all().delete(), [(("a", 4), None)]),
    ],
)
def test_the_batch_of_one_write_has_them_too(receive, signal, write, expected):
    got = []

    @receive(signal, sender=Ware)
    def record(batch, **kwargs):
        names = ("stock",) if signal is post_update else ("name", "stock")
        got.extend(batch.values(*names))

    Ware.objects.bulk_create([Ware(name="a", stock=4)])
    write()
    if signal is post_update:
        expected = [(old[1:], new[1:]) for old, new in expected]
    assert [(old, new) for _, old, new in got] == expected


def test_a_worker_is_given_the_values(receive):
    got = []

    @receive(BOTH, sender=Post, when=created | changed("topic", "text"), bulk=True, delivery=Durable(batch=True))
    def stored_values(batch, **kwargs):
        got.extend(batch.values("topic", "text"))

    topic = Topic.objects.create()
    (post,) = posts(topic)
    key = post.pk
    drain()
    Post.objects.update(text="b")
    drain()
    Post.objects.all().delete()
    drain()
    assert got == [
        (key, None, (topic.pk, "0")),
        (key, (topic.pk, "0"), (topic.pk, "b")),
        (key, (topic.pk, "b"), None),
    ]


# --- the instance that was sent -------------------------------------------------------------------------------------


def sent(batches):
    with no_instances():
        return [event.sent_instance for batch in batches for event in batch.events]


def insert(one):
    Article.objects.bulk_create([one])


def update(one):
    one.words += 1
    Article.objects.bulk_update([one], ["words"])


def delete(one):
    one.delete()


@pytest.mark.parametrize("policy", [BeforeCommit, Inline])
def test_the_instance_that_was_sent_is_the_one_that_the_code_holds(batches, policy):
    got = batches(Article, "words", policy=policy)
    one, other = Article(), Article()
    one.save()
    for write in (update, delete):
        write(one)
    insert(other)
    found = sent(got)
    assert len(found) == 4
    assert all(given is held for given, held in zip(found, [one, one, one, other], strict=True))


def test_rows_of_an_update_and_of_a_delete_have_none(batches):
    got = batches(Article, "words")
    Article.objects.bulk_create([Article()])
    del got[:]
    Article.objects.update(words=1)
    Article.objects.all().delete()
    assert sent(got) == [None, None]


def test_nor_has_a_row_of_which_nobody_knows_the_instance(batches):
    got = batches(Article, "words")
    Article.objects.bulk_create([Article()], ignore_conflicts=True)
    assert sent(got) == [None]


def test_a_row_that_was_saved_and_then_updated_has_the_one_that_was_saved(batches):
    got = batches(Article, "words")
    with transaction.atomic():
        one = Article.objects.create()
        Article.objects.update(words=1)
    assert sent(got) == [one]
    assert sent(got)[0] is one


def test_a_row_that_gets_another_key_has_none(batches):
    Country.objects.create(code="de")
    got = batches(Country, "name")
    Country.objects.update(code="dd")
    assert sent(got) == [None, None]
    assert [event.new("name") for event in got[0].events] == [NO_ROW, ""]


def test_an_event_that_was_stored_has_none(receive):
    got = []

    @receive(post_save, sender=Article, when=created, delivery=Durable(batch=True))
    def stored_instance(batch, **kwargs):
        got.append(batch)

    Article.objects.create()
    drain()
    assert sent(got) == [None]
