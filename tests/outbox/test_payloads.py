"""The payload of a delivery: each value comes back as what it was sent as, or is refused where it is sent."""

import datetime
import enum
import json
import sys
from collections import OrderedDict
from decimal import Decimal
from uuid import UUID
from zoneinfo import ZoneInfo

import pytest
from django.apps import apps
from django.contrib.auth import login
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.files.base import ContentFile
from django.db import models, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save, pre_save
from django.test import RequestFactory
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from heliograph import UNKNOWN, Change, Durable, Signal, changed, created
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, pre_update
from tests.app.models import Article, Audiobook, Genre, Novel, Reprint, Ware, Writer
from tests.helpers.attempts import sent
from tests.helpers.payloads import MAKERS, change, make_article, make_child, make_proxy, text, travelled

pytestmark = pytest.mark.django_db(databases=["default", "other"])


class Size(enum.Enum):
    """Members that are no values of JSON."""

    SMALL = 1
    LARGE = 2


class Colour(models.TextChoices):
    """Members that are texts too."""

    RED = "r", "red"


class Access(enum.Flag):
    """Members that may be added up."""

    READ = 1
    WRITE = 2


class Priority(enum.IntEnum):
    """Members that are numbers too."""

    LOW = 1


# --- values -------------------------------------------------------------------------------------------------------


VALUES = [
    None,
    True,
    False,
    0,
    2**70,
    -1.5,
    1e308,
    "",
    "text with \"quotes\", 'these', a \\ and a %s",
    "Größe 😀 \x00 \u2028",
    [],
    [1, [2, "three", None]],
    (),
    (1, (2, [3])),
    set(),
    {1, 2},
    {"a", 1, None},
    frozenset({"a", "b"}),
    {},
    {"a": {"b": [1]}, "": 2},
    {"$": "row", "value": ["app.Article", [1], "default"]},
    {"$": "date"},
    {"v": 1, "kwargs": {}},
    datetime.date(2024, 2, 29),
    datetime.datetime(2024, 2, 29, 12, 30, 15, 123456),
    datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.UTC),
    datetime.datetime(2024, 2, 29, 12, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=5, minutes=30))),
    datetime.datetime.max,
    datetime.time(23, 59, 59, 999999),
    datetime.timedelta(days=400, microseconds=1),
    datetime.timedelta(days=-1, microseconds=1),
    datetime.timedelta(0),
    Decimal("1.00"),
    Decimal("-1E+10"),
    UUID("12345678123456781234567812345678"),
    b"",
    b"\x00\xff",
    Size.LARGE,
    Colour.RED,
    Priority.LOW,
    State.DEAD,
    UNKNOWN,
    Change(1, UNKNOWN),
    Article,
    Reprint,
    User,
    apps.get_app_config("app"),
    [Decimal("0.1"), {"when": datetime.date(2024, 1, 1), "sizes": {Size.SMALL}}],
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_comes_back_as_what_it_was(store, value):
    found = travelled(store, value)
    assert (type(found), repr(found) if isinstance(value, float | Decimal) else found) == (
        type(value),
        repr(value) if isinstance(value, float | Decimal) else value,
    )


@pytest.mark.parametrize("member", [Size.LARGE, Colour.RED, Priority.LOW, UNKNOWN], ids=repr)
def test_a_member_of_an_enumeration_is_the_member_itself(store, member):
    assert travelled(store, member) is member


def test_a_date_in_a_time_zone_is_the_same_time(store):
    in_berlin = datetime.datetime(2024, 7, 1, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    found = travelled(store, in_berlin)
    assert (found, found.utcoffset()) == (in_berlin, in_berlin.utcoffset())


def test_a_lazy_text_is_the_text(store):
    found = travelled(store, gettext_lazy("Monday"))
    assert (type(found), found) == (str, "Monday")


def test_a_class_is_imported_again(store):
    assert travelled(store, Plain) is Plain


def test_a_safe_text_is_a_text(store):
    assert travelled(store, mark_safe("<b>")) == "<b>"


def test_a_dict_keeps_the_order_of_its_keys(store):
    assert [*travelled(store, OrderedDict(b=1, a=2))] == ["b", "a"]


def test_what_a_receiver_is_called_with_is_its_own(store):
    labels = ["a"]
    received = store(sent)
    with transaction.atomic():
        sent.send(sender=None, using="default", labels=labels)
        labels.append("b")
    drain()
    assert received[0]["labels"] == ["a"]


def test_the_payload_is_json_that_says_its_version(store):
    store(sent)
    sent.send(sender=Article, using="default", number=1)
    payload = json.loads(text())
    assert (payload["v"], payload["signal"], payload["kwargs"]["number"]) == (1, "shop.sent", 1)


# --- instances ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", MAKERS)
def test_an_instance_is_loaded_again(store, make):
    instance = make()
    found = travelled(store, instance)
    assert (found.__class__, found, found is instance) == (type(instance), instance, False)


def test_an_instance_has_what_its_row_has_when_the_worker_comes(store):
    received = store(post_save, sender=Article)
    article = Article.objects.create(title="old")
    Article.objects.filter(pk=article.pk).update(title="new")
    drain()
    assert received[0]["instance"].title == "new"


def test_an_instance_is_loaded_from_the_database_that_it_is_of(store):
    received = store(sent)
    article = Article.objects.using("other").create(title="there")
    sent.send(sender=None, using="default", article=article)
    drain()
    assert (received[0]["article"]._state.db, received[0]["article"].title) == ("other", "there")


def test_instances_inside_of_other_values_are_loaded(store):
    article, genre = make_article(), Genre.objects.create()
    assert travelled(store, {"list": [article], "tuple": (genre,)}) == {"list": [article], "tuple": (genre,)}


def test_a_lazy_object_is_the_instance_that_it_stands_for(store):
    article = make_article()
    assert travelled(store, SimpleLazyObject(lambda: article)) == article


def test_so_is_one_that_is_called_the_instance(store):
    received = store(sent)
    article = Article.objects.using("other").create(title="there")
    sent.send(sender=None, using="default", instance=article)
    drain()
    assert [one["instance"]._state.db for one in received] == ["other"]


@pytest.mark.parametrize("payload", [{}, {"using": "default"}], ids=["alone", "with its database"])
def test_a_lazy_object_may_be_called_the_instance(store, payload):
    received = store(sent)
    article = make_article()
    sent.send(sender=None, instance=SimpleLazyObject(lambda: article), **payload)
    drain()
    assert [one["instance"] for one in received] == [article]


def test_a_signal_of_ones_own_may_send_changes_of_its_own(store):
    received = store(sent)
    sent.send(sender=None, instance=make_article(), changes={"note": "x", "title": "y"})
    drain()
    assert [one["changes"] for one in received] == [{"note": "x", "title": "y"}]


def test_a_signal_of_ones_own_may_send_names_that_django_has_for_other_things(store):
    names = {"request": "r", "origin": "o", "connection": "c", "plan": "gold", "stdout": 1, "batch": 2, "delivery": 3}
    received = store(sent)
    sent.send(sender=None, using="default", **names)
    drain()
    assert [{name: one.get(name) for name in names} for one in received] == [names]


def test_nothing_of_a_row_is_stored_but_its_key(store):
    store(post_save, sender=Article)
    Article.objects.create(title="the title", slug="the-slug")
    assert ("the title" in text(), "the-slug" in text()) == (False, False)


@pytest.mark.parametrize("make", MAKERS)
def test_an_instance_that_is_saved_is_the_one_that_the_receiver_handles(store, make):
    received = store(post_save, sender={make_proxy: Reprint, make_child: Audiobook}.get(make))
    instance = make()
    drain()
    assert [one["instance"] for one in received] == [instance]


def test_a_receiver_of_a_save_is_called_with_what_it_sends(store):
    received = store(post_save, sender=Article)
    article = Article.objects.create()
    article.save(update_fields=["title"])
    drain()
    for one in received:
        one.pop("delivery", None)
    common = {"instance": article, "raw": False, "using": "default"}
    assert received == [
        {**common, "created": True, "update_fields": None},
        {**common, "created": False, "update_fields": frozenset({"title"})},
    ]


def test_a_receiver_of_pre_save_is_called_with_what_it_sends(store):
    article = Article.objects.create()
    received = store(pre_save, sender=Article)
    article.save()
    drain()
    assert {"instance": article, "raw": False, "using": "default", "update_fields": None}.items() <= received[0].items()


def test_many_to_many_changes_come_as_they_were_sent(store):
    received = store(m2m_changed, sender=Novel.genres.through)
    novel, genre = Novel.objects.create(), Genre.objects.create()
    novel.genres.add(genre)
    drain()
    wanted = {"instance": novel, "reverse": False, "model": Genre, "pk_set": {genre.pk}, "using": "default"}
    for action, one in zip(("pre_add", "post_add"), received, strict=True):
        assert {"action": action, **wanted}.items() <= one.items()


def test_the_sender_is_a_model_that_django_has_made(receive):
    senders = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=Durable())
    def record(sender, **kwargs):
        senders.append(sender)

    Novel.objects.create().genres.add(Genre.objects.create())
    drain()
    assert senders == [Novel.genres.through] * 2


def test_the_changes_of_a_relation_come_as_pairs_of_keys(receive):
    received = []

    @receive(m2m_changes, sender=Novel.genres.through, delivery=Durable())
    def record(sender, added, removed, **kwargs):
        received.append((added, removed))

    novel, genre = Novel.objects.create(), Genre.objects.create()
    novel.genres.add(genre)
    drain()
    assert received == [(frozenset({(novel.pk, genre.pk)}), frozenset())]


def test_of_two_signals_of_one_name_the_receiver_is_given_the_one_that_it_receives(receive):
    received = []
    first, second = Signal(name="shop.twin"), Signal(name="shop.twin")

    @receive(first, delivery=Durable())
    def record_first(signal, **payload):
        received.append(signal)

    @receive(second, delivery=Durable())
    def record_second(signal, **payload):
        received.append(signal)

    for signal in (first, second):
        signal.send(sender=None, using="default")
    drain()
    assert received == [first, second]


@pytest.mark.parametrize("sender", [None, "shop", Article], ids=repr)
def test_the_sender_of_a_signal_of_ones_own_comes_back(receive, sender):
    senders = []

    @receive(sent, delivery=Durable())
    def record(sender, **kwargs):
        senders.append(sender)

    sent.send(sender=sender, using="default")
    drain()
    assert senders == [sender]


# --- changes ------------------------------------------------------------------------------------------------------


def test_changes_travel_as_values_of_the_send(changes_for):
    received = changes_for(changed("words", "title"))
    article = Article.objects.create(title="a", words=1)
    change(article, title="b", words=2)
    change(article, title="c")
    drain()
    assert received == [{"title": ("a", "b"), "words": (1, 2)}, {"title": ("b", "c")}]


def test_a_change_has_its_old_and_its_new_value(changes_for):
    received = changes_for(changed("words"))
    change(Article.objects.create(words=1), words=2)
    drain()
    assert (received[0]["words"].old, received[0]["words"].new) == (1, 2)


def test_changes_are_those_of_the_fields_that_are_watched(changes_for):
    received = changes_for(changed("words"))
    change(Article.objects.create(title="old title", words=1), title="new title", words=2)
    assert ("old title" in text(), "new title" in text()) == (False, False)
    drain()
    assert received == [{"words": (1, 2)}]


def test_a_receiver_that_asks_for_no_changes_has_none_stored(store):
    store(post_save, sender=Article, when=changed("title"))
    change(Article.objects.create(title="old title"), title="new title")
    assert ("old title" in text(), "new title" in text()) == (False, False)


def test_a_row_that_is_created_has_no_changes(changes_for):
    received = changes_for(created | changed("words"))
    Article.objects.create(words=1)
    drain()
    assert received == [{}]


def test_changes_of_any_field_are_those_of_all(changes_for):
    received = changes_for(changed())
    published = datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC)
    author = Writer.objects.create()
    article = Article.objects.create()
    change(article, price=Decimal("1.50"), published=published, labels=["a"], author=author)
    drain()
    assert {name: change for name, change in received[0].items() if name != "updated"} == {
        "price": (0, Decimal("1.50")),
        "published": (None, published),
        "labels": ([], ["a"]),
        "author": (None, author.pk),
    }


def test_the_change_of_a_file_is_that_of_its_name(changes_for):
    received = changes_for(changed("cover"))
    change(Article.objects.create(cover="a.png"), cover="b.png")
    drain()
    assert received == [{"cover": ("a.png", "b.png")}]


def test_a_value_that_nobody_knows_is_unknown(changes_for):
    received = changes_for(changed("words"))
    Article.objects.create(words=1)
    article = Article.objects.only("id").get()
    article.words = 2
    article.save()
    drain()
    assert received[0]["words"].old is UNKNOWN


def test_a_change_by_an_expression_can_be_stored(changes_for):
    received = changes_for(changed("words"))
    change(Article.objects.create(words=1), words=F("words") + 1)
    assert drain() == [Succeeded()]
    assert received[0]["words"].old == 1


# --- what a process keeps for itself ------------------------------------------------------------------------------


def test_a_login_is_delivered_without_its_request(client, receive):
    received = []

    @receive(user_logged_in, delivery=Durable())
    def record(sender, user, **kwargs):
        received.append((user, "request" in kwargs))

    user = User.objects.create_user("a", password="secret")
    client.force_login(user)
    drain()
    assert received == [(user, False)]


def wants_request(sender, request, user, **kwargs): ...


def wants_stdout(sender, stdout, **kwargs): ...


def wants_queryset(sender, queryset, **kwargs): ...


@pytest.mark.parametrize(
    ("signal", "function", "name"),
    [
        (user_logged_in, wants_request, "request"),
        (post_migrate, wants_stdout, "stdout"),
        (pre_update, wants_queryset, "queryset"),
    ],
)
def test_a_receiver_that_asks_for_what_cannot_leave_the_process_is_refused(receive, signal, function, name):
    with pytest.raises(TypeError, match=rf"{function.__name__} \(.* asks for '{name}', which cannot leave the process"):
        receive(signal, delivery=Durable())(function)


def test_a_receiver_of_an_update_needs_no_query(receive):
    received = []

    @receive(pre_update, sender=Ware, delivery=Durable())
    def record(sender, values, using, **kwargs):
        received.append((values, using))

    Ware.objects.create(name="a")
    Ware.objects.update(stock=5)
    drain()
    assert received == [({"stock": 5}, "default")]


@pytest.fixture
def origins(receive):
    """The origins of deletions of articles, for a durable receiver that asks for them."""
    received = []

    @receive(post_delete, sender=Article, delivery=Durable())
    def record_origin(sender, origin, **kwargs):
        received.append(origin)

    return received


def test_the_origin_of_a_deletion_is_refused_if_it_is_a_query(origins):
    make_article()
    with pytest.raises(TypeError, match=r"post_delete.*record_origin.*'origin'"), transaction.atomic():
        Article.objects.all().delete()
    assert Article.objects.count() == 1


def test_the_origin_of_a_deletion_is_stored_if_it_is_the_instance(origins):
    article = make_article()
    key = article.pk
    article.delete()
    drain()
    assert [one.pk for one in origins] == [key]


# --- what cannot be stored ----------------------------------------------------------------------------------------


class Plain:
    """Something that nobody can store."""

    def __repr__(self):
        return "<Plain>"


def local_member():
    class Local(enum.Enum):
        ONE = 1

    return Local.ONE


def ring():
    ring = []
    ring.append(ring)
    return ring


def tower():
    tower = []
    for _ in range(sys.getrecursionlimit()):
        tower = [tower]
    return tower


REFUSED = {
    "a list in itself": (ring(), r"'value'.*itself"),
    "lists within lists": (tower(), r"'value'.*too much within one another"),
    "an object": (Plain(), r"'value'.* <Plain>"),
    "a function": (repr, r"'value'"),
    "a local class": (type(local_member()), r"'value'.*Local"),
    "an object in a list": ([1, Plain()], r"'value'.*1.* <Plain>"),
    "an object in a dict": ({"a": {"b": Plain()}}, r"'value'.*'a'.*'b'.* <Plain>"),
    "no number": (float("nan"), r"'value'.*nan"),
    "no end": (float("-inf"), r"'value'.*-inf"),
    "a key that is no text": ({1: 2}, r"'value'.*key 1"),
    "a key that is true": ({True: 2}, r"'value'.*key True"),
    "an expression": (F("words"), r"'value'"),
    "a member of a local class": (local_member(), r"'value'.*Local"),
    "a complex number": (1j, r"'value'.*1j"),
    "a range": (range(3), r"'value'.*range"),
    "a generator": ((one for one in ()), r"'value'"),
    "members that no name stands for": (Access.READ | Access.WRITE, r"'value'.*Access"),
    "an instance without a row": (Article(), r"'value'.*Article.*save it first"),
    "an instance without a row in a list": ([Article()], r"'value'.*Article.*save it first"),
}


@pytest.mark.parametrize(("value", "match"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stored_is_refused_where_it_is_sent(store, value, match):
    store(sent)
    with pytest.raises(TypeError, match=r"(?s)^shop\.sent .*store\.<locals>\.connect\.<locals>\.record \(.*" + match):
        sent.send(sender=None, using="default", value=value)


def test_so_is_a_query_that_a_signal_of_ones_own_sends(store):
    store(sent)
    with pytest.raises(TypeError, match=r"'value'"):
        sent.send(sender=None, using="default", value=Article.objects.all())


def test_a_robust_send_has_the_error_for_a_response(store):
    store(sent)
    ((_, response),) = sent.send_robust(sender=None, using="default", value=Plain())
    assert (type(response), Delivery.objects.count()) == (TypeError, 0)


def test_in_a_block_it_is_refused_at_the_send_and_not_at_the_commit(store):
    store(sent)
    with transaction.atomic(), pytest.raises(TypeError, match=r"<Plain>"):
        sent.send(sender=None, using="default", value=Plain())
    assert Delivery.objects.count() == 0


def test_a_field_that_cannot_be_stored_is_named(store):
    store(post_delete, sender=Article)
    article = make_article()
    article.labels = Plain()
    with pytest.raises(TypeError, match=r"post_delete .*record.*app\.Article\.labels.*<Plain>"):
        article.delete()


def test_an_instance_that_has_no_row_at_the_commit_is_refused_then(store):
    store(sent)
    with pytest.raises(TypeError, match=r"shop\.sent .*record.*Article.*save it first"), transaction.atomic():
        sent.send(sender=None, using="default", instance=Article())


def test_a_model_of_a_migration_is_no_model_that_a_worker_knows(store):
    store(sent)
    historical = type("Old", (models.Model,), {"__module__": "tests.app.models", "Meta": _meta_of_old()})
    with pytest.raises(TypeError, match=r"'value'.*app\.Old"):
        sent.send(sender=None, using="default", value=historical)


def _meta_of_old():
    from django.apps.registry import Apps

    return type("Meta", (), {"app_label": "app", "apps": Apps()})


# --- how much -----------------------------------------------------------------------------------------------------


LIMIT = 256 * 1024


def test_more_than_256_kib_is_refused_where_it_is_sent(store):
    store(sent)
    with pytest.raises(ValueError, match=r"record \(.*shop\.sent.*262,2\d\d bytes.*262,144 at most"):
        sent.send(sender=None, using="default", value="x" * LIMIT)


def test_a_little_less_than_256_kib_is_stored(store):
    assert len(travelled(store, "x" * (LIMIT - 500))) == LIMIT - 500


def test_a_batch_of_more_than_256_kib_rolls_the_transaction_back(batches):
    batches(post_delete, sender=Article)
    for _ in range(10):
        Article.objects.create(labels=["x" * 30_000])
    with pytest.raises(ValueError, match=r"record_batch \(.*post_delete.*262,144 at most"), transaction.atomic():
        Article.objects.all().delete()
    assert Article.objects.count() == 10


def test_a_batch_of_a_thousand_rows_is_stored(batches):
    received = batches(post_save, sender=Ware, bulk=True)
    Ware.objects.bulk_create([Ware(name=str(number)) for number in range(1000)])
    drain()
    assert [len(batch.created) for batch in received] == [1000]


# --- files, and requests in lazy users ----------------------------------------------------------------------------


def test_a_file_travels_by_its_name(store):
    file = ContentFile(b"text", name="cover.png")
    assert travelled(store, file) == "cover.png"


def test_a_user_of_a_request_travels_as_the_user(store, client):
    user = User.objects.create_user("a", password="secret")
    client.force_login(user)
    request = RequestFactory().get("/")
    request.session = client.session
    login(request, user)
    request.user = SimpleLazyObject(lambda: user)
    assert travelled(store, request.user) == user
