"""What a durable receiver is called with, and what is stored of it: group O4 of the cases."""

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
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.core.files.base import ContentFile
from django.db import connection, models, transaction
from django.db.models import F
from django.db.models.signals import m2m_changed, post_delete, post_migrate, post_save, pre_delete, pre_save
from django.test import RequestFactory
from django.utils import timezone
from django.utils.functional import SimpleLazyObject
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy

from heliograph import UNKNOWN, BeforeCommit, Change, Durable, Signal, changed, created
from heliograph.outbox.durable.retrying import Retry, fixed
from heliograph.outbox.models import Delivery, State
from heliograph.outbox.outcomes import Again, Dead, Discarded, HandedBack, Succeeded
from heliograph.outbox.work.runner import drain
from heliograph.signals import m2m_changes, post_bulk_create, post_bulk_delete, post_update, pre_update
from tests.app.models import (
    Account,
    Article,
    Audiobook,
    Country,
    Genre,
    Novel,
    Reprint,
    Seat,
    Ticket,
    Ware,
    Writer,
)

pytestmark = pytest.mark.django_db(databases=["default", "other"])

AT_ONCE = Retry(attempts=2, backoff=fixed(0), jitter=0)

sent = Signal(name="shop.sent")


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


@pytest.fixture
def store(receive):
    """Connect a durable receiver: `received = store(post_save, sender=Article)` is the list of its calls."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(), **options)
        def note(signal, sender, **payload):
            received.append(payload)

        return received

    return connect


@pytest.fixture
def batches(receive):
    """Connect a durable receiver of batches: the list has each that it is called with."""

    def connect(signal, policy=None, **options):
        received = []

        @receive(signal, delivery=policy or Durable(batch=True), **options)
        def note_batch(sender, batch, **kwargs):
            received.append(batch)

        return received

    return connect


def travelled(store, value):
    """Send a value, and return what the receiver is called with."""
    received = store(sent)
    sent.send(sender=None, using="default", value=value)
    assert drain() == [Succeeded()]
    (payload,) = received
    return payload["value"]


def text():
    return Delivery.objects.get().payload


def all_texts():
    return "".join(Delivery.objects.values_list("payload", flat=True))


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


def test_a_date_in_a_time_zone_is_the_same_moment(store):
    moment = datetime.datetime(2024, 7, 1, 12, 0, tzinfo=ZoneInfo("Europe/Berlin"))
    found = travelled(store, moment)
    assert (found, found.utcoffset()) == (moment, moment.utcoffset())


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


def make_article():
    return Article.objects.create(title="a")


def make_child():
    return Audiobook.objects.create(minutes=3)


def make_proxy():
    return Reprint.objects.create(name="a")


def make_ticket():
    return Ticket.objects.create()


def make_country():
    return Country.objects.create(code="de")


def make_seat():
    return Seat.objects.create(row=1, number=2)


MAKERS = [make_article, make_child, make_proxy, make_ticket, make_country, make_seat]


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
    def note(sender, **kwargs):
        senders.append(sender)

    Novel.objects.create().genres.add(Genre.objects.create())
    drain()
    assert senders == [Novel.genres.through] * 2


def test_the_changes_of_a_relation_come_as_pairs_of_keys(receive):
    received = []

    @receive(m2m_changes, sender=Novel.genres.through, delivery=Durable())
    def note(sender, added, removed, **kwargs):
        received.append((added, removed))

    novel, genre = Novel.objects.create(), Genre.objects.create()
    novel.genres.add(genre)
    drain()
    assert received == [(frozenset({(novel.pk, genre.pk)}), frozenset())]


def test_of_two_signals_of_one_name_the_receiver_is_told_of_the_one_that_it_receives(receive):
    received = []
    first, second = Signal(name="shop.twin"), Signal(name="shop.twin")

    @receive(first, delivery=Durable())
    def note_first(signal, **payload):
        received.append(signal)

    @receive(second, delivery=Durable())
    def note_second(signal, **payload):
        received.append(signal)

    for signal in (first, second):
        signal.send(sender=None, using="default")
    drain()
    assert received == [first, second]


@pytest.mark.parametrize("sender", [None, "shop", Article], ids=repr)
def test_the_sender_of_a_signal_of_ones_own_comes_back(receive, sender):
    senders = []

    @receive(sent, delivery=Durable())
    def note(sender, **kwargs):
        senders.append(sender)

    sent.send(sender=sender, using="default")
    drain()
    assert senders == [sender]


# --- changes ------------------------------------------------------------------------------------------------------


@pytest.fixture
def changes_for(receive):
    """Connect a durable receiver of the changes of articles: the list has those that it is called with."""

    def connect(when=None, sender=Article, **options):
        received = []

        @receive(post_save, sender=sender, when=when, delivery=Durable(), **options)
        def note(sender, changes, **kwargs):
            received.append(changes)

        return received

    return connect


def change(article, **values):
    for name, value in values.items():
        setattr(article, name, value)
    article.save()


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


# --- rows that are gone -------------------------------------------------------------------------------------------


def test_an_instance_that_was_deleted_has_the_fields_of_its_row(store):
    received = store(post_delete, sender=Article)
    author = Writer.objects.create()
    article = Article.objects.create(
        title="a",
        words=3,
        price=Decimal("1.50"),
        published=datetime.datetime(2024, 1, 1, tzinfo=datetime.UTC),
        labels=["a", {"b": 1}],
        author=author,
        cover="a.png",
    )
    article.refresh_from_db()
    wanted = {field.attname: getattr(article, field.attname) for field in Article._meta.concrete_fields}
    article.delete()
    drain()
    gone = received[0]["instance"]
    assert {name: getattr(gone, name) for name in wanted} == wanted


@pytest.mark.parametrize("signal", [pre_delete, post_delete])
def test_so_it_does_on_both_signals_of_a_deletion(store, signal):
    received = store(signal, sender=Country)
    Country.objects.create(code="de", name="Germany").delete()
    drain()
    gone = received[0]["instance"]
    assert (gone.pk, gone.name, gone._state.db, gone._state.adding) == ("de", "Germany", "default", False)


def test_a_child_that_was_deleted_has_the_fields_of_its_parent(store):
    received = store(post_delete, sender=Audiobook)
    Audiobook.objects.create(name="a", minutes=3).delete()
    drain()
    assert (received[0]["instance"].name, received[0]["instance"].minutes) == ("a", 3)


def test_a_row_of_a_composite_key_has_it_when_it_is_gone(store):
    received = store(post_delete, sender=Seat)
    Seat.objects.create(row=1, number=2).delete()
    drain()
    assert received[0]["instance"].pk == (1, 2)


def test_what_the_database_has_computed_is_there_too(store):
    received = store(post_delete, sender=Account)
    Account.objects.create(balance=4)
    Account.objects.get().delete()
    drain()
    assert (received[0]["instance"].limit, received[0]["instance"].twice) == (100, 8)


def test_a_field_that_was_not_loaded_is_not_stored(store):
    Article.objects.create(title="the title", words=1)
    received = store(post_delete, sender=Article)
    Article.objects.only("words").get().delete()
    drain()
    assert "title" in received[0]["instance"].get_deferred_fields()


def test_a_value_that_the_database_was_to_compute_is_not_stored(store):
    received = store(post_delete, sender=Article)
    article = Article.objects.create(words=1)
    article.words = F("words") + 1
    article.delete()
    drain()
    assert received[0]["instance"].get_deferred_fields() == {"words"}


def test_rows_that_a_query_has_deleted_have_their_fields(store):
    received = store(post_delete, sender=Ware)
    Ware.objects.bulk_create([Ware(name="a", stock=1), Ware(name="b", stock=2)])
    Ware.objects.all().delete()
    drain()
    assert sorted((one["instance"].name, one["instance"].stock) for one in received) == [("a", 1), ("b", 2)]


def test_rows_that_went_with_their_parent_have_their_fields(store):
    received = store(post_delete, sender=Novel)
    writer = Writer.objects.create()
    Novel.objects.create(name="a", writer=writer)
    key = writer.pk
    writer.delete()
    drain()
    assert (received[0]["instance"].name, received[0]["instance"].writer_id) == ("a", key)


def test_the_origin_of_a_deletion_is_left_out(store):
    received = store(post_delete, sender=Article)
    make_article()
    Article.objects.all().delete()
    drain()
    assert "origin" not in received[0]


# --- passwords ----------------------------------------------------------------------------------------------------


# What each of these makes is never stored of a field named password, and is a text like others elsewhere.
HASHES = {
    "of the settings": make_password("secret", salt="salt"),
    "of Django's default": "pbkdf2_sha256$1000000$salt$Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmFyYmF6Zm9vYmE=",
    "of Argon2": "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$Zm9vYmFyYmF6Zm9vYmFy",
    "of Argon2 alone": "$argon2id$v=19$m=102400,t=2,p=8$c2FsdHNhbHQ$Zm9vYmFyYmF6Zm9vYmFy",
    "of bcrypt": "bcrypt_sha256$$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    "of bcrypt alone": "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
    "of a visitor": "md5$a$b",
}

each_hash = pytest.mark.parametrize("hashed", HASHES.values(), ids=HASHES)


def test_o4_the_change_of_a_password_is_told_and_neither_of_its_values(changes_for):
    received = changes_for(changed("password"), sender=User)
    user = User.objects.create_user("a", password="old")
    first = user.password
    user.set_password("new")
    user.save()
    assert (first in text(), user.password in text()) == (False, False)
    drain()
    assert received == [{"password": (UNKNOWN, UNKNOWN)}]


def test_o4_a_password_is_deferred_in_a_user_who_was_deleted(store):
    received = store(post_delete, sender=User)
    user = User.objects.create_user("a", password="secret")
    hashed = user.password
    user.delete()
    assert hashed not in text()
    drain()
    gone = received[0]["instance"]
    assert (gone.username, gone.get_deferred_fields()) == ("a", {"password"})


def test_nor_is_it_there_when_users_are_deleted_by_a_query(store):
    received = store(post_delete, sender=User)
    hashed = User.objects.create_user("a", password="secret").password
    User.objects.all().delete()
    assert hashed not in text()
    drain()
    assert received[0]["instance"].get_deferred_fields() == {"password"}


def test_nor_in_a_batch(batches):
    received = batches(post_delete, sender=User)
    user = User.objects.create_user("a", password="secret")
    hashed = user.password
    user.delete()
    assert hashed not in text()
    drain()
    assert received[0].deleted[0].get_deferred_fields() == {"password"}


def test_a_batch_tells_that_a_password_is_changed_and_neither_of_its_values(batches):
    received = batches(post_save, sender=User, when=changed("password"))
    user = User.objects.create_user("a", password="old")
    hashed = user.password
    user.set_password("new")
    user.save()
    assert (hashed in text(), user.password in text()) == (False, False)
    drain()
    assert received[0].changes("password") == [(user.pk, UNKNOWN, UNKNOWN)]


@each_hash
def test_a_text_that_looks_like_a_hash_is_told_in_changes(changes_for, hashed):
    received = changes_for(changed("title"))
    change(Article.objects.create(title="a"), title=hashed)
    drain()
    assert received == [{"title": ("a", hashed)}]


@each_hash
def test_a_text_that_looks_like_a_hash_is_there_in_a_row_that_is_gone(store, hashed):
    received = store(post_delete, sender=Article)
    Article.objects.create(title=hashed, labels=[hashed]).delete()
    drain()
    assert (received[0]["instance"].title, received[0]["instance"].labels) == (hashed, [hashed])


@each_hash
@pytest.mark.parametrize("wrap", [str, lambda one: [one], lambda one: {one: (one,)}], ids=["plain", "list", "dict"])
def test_a_text_that_looks_like_a_hash_is_sent_as_any_other(store, hashed, wrap):
    assert travelled(store, wrap(hashed)) == wrap(hashed)


@each_hash
def test_a_text_that_looks_like_a_hash_may_be_the_key_of_an_order(store, hashed):
    store(sent, Durable(key="title"))
    sent.send(sender=None, using="default", title=hashed)
    assert Delivery.objects.get().key == hashed


@each_hash
def test_nothing_of_a_field_named_password_is_stored(changes_for, store, hashed):
    changes_for(changed("password"), sender=User)
    store(post_delete, sender=User)
    user = User.objects.create(username="a", password="!")
    User.objects.filter(pk=user.pk).update(password=hashed)
    user.refresh_from_db()
    change(user, password="$2b$other")
    user.delete()
    assert not any(one in all_texts() for one in (hashed, "$2b$other", '"!"'))


@pytest.mark.parametrize("key", ["instance.password", "password", "instance.api_token"])
def test_a_secret_is_no_key_of_an_order(key):
    with pytest.raises(ValueError, match=r"note_any .*would store a secret\. HELIOGRAPH\['SENSITIVE_FIELDS'\] says so"):
        sent.connect(note_any, delivery=Durable(key=key))


def note_any(sender, **kwargs):
    """A receiver."""


@pytest.mark.parametrize(
    "name", ["password", "password1", "secret", "access_token", "stripe_api_key", "PASSWORD", "old_password"]
)
def test_a_sensitive_name_of_a_payload_is_left_out(store, name):
    received = store(sent)
    sent.send(sender=None, using="default", **{name: "the value"})
    assert "the value" not in text()
    assert drain() == [Succeeded()]
    assert name not in received[0]


@pytest.mark.parametrize("name", ["passwords", "token_count", "keywords", "author", "key", "secretary", "passport"])
def test_a_name_that_only_resembles_a_sensitive_one_is_stored(store, name):
    received = store(sent)
    sent.send(sender=None, using="default", **{name: "the value"})
    drain()
    assert received[0][name] == "the value"


def wants_token(sender, token="", **kwargs):
    """A receiver."""


def test_a_receiver_that_asks_for_a_sensitive_name_is_refused_when_it_is_connected():
    with pytest.raises(
        TypeError,
        match=r"wants_token .*asks for 'token', which is never stored for delivery=Durable\(\)\."
        r" HELIOGRAPH\['SENSITIVE_FIELDS'\] says so: leave it out and read what you need in the receiver, or change",
    ):
        sent.connect(wants_token, delivery=Durable())


def test_a_receiver_may_have_a_parameter_with_a_sensitive_name_that_its_signal_never_sends(connect):
    connect(post_save, wants_token, sender=Article, delivery=Durable())
    Article.objects.create()
    assert drain() == [Succeeded()]


def test_the_settings_say_which_names_are_sensitive(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["iban"]}
    received = store(sent)
    sent.send(sender=None, using="default", iban="DE02", token="t")
    drain()
    assert ("iban" in received[0], received[0]["token"]) == (False, "t")


def test_the_settings_may_name_one_field_of_one_model(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["app.Article.title"]}
    received = store(post_delete)
    Article.objects.create(title="a").delete()
    Genre.objects.create(name="b").delete()
    drain()
    article, genre = (one["instance"] for one in received)
    assert ("title" in article.get_deferred_fields(), genre.name) == (True, "b")


def test_a_primary_key_is_stored_whatever_its_name(store, settings):
    settings.HELIOGRAPH = {"SENSITIVE_FIELDS": ["code"]}
    received = store(post_delete, sender=Country)
    Country.objects.create(code="de", name="Germany").delete()
    drain()
    assert (received[0]["instance"].pk, received[0]["instance"].name) == ("de", "Germany")


def test_a_password_that_a_query_sets_is_unknown_in_its_changes(changes_for):
    user = User.objects.create_user("a", password="old")
    received = changes_for(changed("password"), sender=User, bulk=True)
    hashed = make_password("new")
    User.objects.filter(pk=user.pk).update(password=hashed)
    assert (hashed in text(), user.password in text()) == (False, False)
    drain()
    assert received == [{"password": (UNKNOWN, UNKNOWN)}]


def test_a_secret_in_the_values_of_an_update_is_unknown(store):
    received = store(pre_update, sender=User)
    hashed = make_password("new")
    User.objects.update(password=hashed, first_name="Ada")
    assert hashed not in text()
    drain()
    assert received[0]["values"] == {"password": UNKNOWN, "first_name": "Ada"}


def test_so_is_what_the_database_computes(store):
    received = store(pre_update, sender=Ware)
    Ware.objects.update(stock=F("stock") + 1)
    drain()
    assert received[0]["values"] == {"stock": UNKNOWN}


def test_a_user_who_is_saved_travels_without_a_password(store):
    store(post_save, sender=User)
    user = User.objects.create_user("a", password="secret")
    assert user.password not in text()


# --- what a process keeps for itself ------------------------------------------------------------------------------


def test_a_login_is_delivered_without_its_request(client, receive):
    received = []

    @receive(user_logged_in, delivery=Durable())
    def note(sender, user, **kwargs):
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
    def note(sender, values, using, **kwargs):
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
    def note_origin(sender, origin, **kwargs):
        received.append(origin)

    return received


def test_the_origin_of_a_deletion_is_refused_if_it_is_a_query(origins):
    make_article()
    with pytest.raises(TypeError, match=r"post_delete.*note_origin.*'origin'"), transaction.atomic():
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
    with pytest.raises(TypeError, match=r"(?s)^shop\.sent .*store\.<locals>\.connect\.<locals>\.note \(.*" + match):
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
    with pytest.raises(TypeError, match=r"post_delete .*note.*app\.Article\.labels.*<Plain>"):
        article.delete()


def test_an_instance_that_has_no_row_at_the_commit_is_refused_then(store):
    store(sent)
    with pytest.raises(TypeError, match=r"shop\.sent .*note.*Article.*save it first"), transaction.atomic():
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
    with pytest.raises(ValueError, match=r"note \(.*shop\.sent.*262,2\d\d bytes.*262,144 at most"):
        sent.send(sender=None, using="default", value="x" * LIMIT)


def test_a_little_less_than_256_kib_is_stored(store):
    assert len(travelled(store, "x" * (LIMIT - 500))) == LIMIT - 500


def test_a_batch_of_more_than_256_kib_rolls_the_transaction_back(batches):
    batches(post_delete, sender=Article)
    for _ in range(10):
        Article.objects.create(labels=["x" * 30_000])
    with pytest.raises(ValueError, match=r"note_batch \(.*post_delete.*262,144 at most"), transaction.atomic():
        Article.objects.all().delete()
    assert Article.objects.count() == 10


def test_a_batch_of_a_thousand_rows_is_stored(batches):
    received = batches(post_save, sender=Ware, bulk=True)
    Ware.objects.bulk_create([Ware(name=str(number)) for number in range(1000)])
    drain()
    assert [len(batch.created) for batch in received] == [1000]


# --- batches ------------------------------------------------------------------------------------------------------


def test_a_batch_is_a_row_for_each_sender(batches):
    received = batches(post_save, sender=[Article, Genre])
    with transaction.atomic():
        for model in (Article, Genre, Article):
            model.objects.create()
    assert [*Delivery.objects.values_list("sender", flat=True)] == ["app.Article", "app.Genre"]
    drain()
    assert [len(batch.instances) for batch in received] == [2, 1]


@pytest.fixture
def full_batch(batches):
    """A batch of a row that is new, one that is changed, and one that is gone; and the keys of these."""
    updated, deleted = Article.objects.create(words=1), Article.objects.create(title="gone")
    received = batches([post_save, post_delete], sender=Article, when=changed("words") | is_new_or_gone)
    gone = deleted.pk
    updated.refresh_from_db()
    with transaction.atomic():
        new = Article.objects.create(title="new")
        change(updated, words=2, title="unseen")
        deleted.delete()
    drain()
    (batch,) = received
    return batch, (new.pk, updated.pk, gone)


def is_new_or_gone(signal, created=True, **payload):
    return signal is post_delete or created


def test_a_batch_has_the_keys_of_its_rows_in_the_order_of_their_sends(full_batch):
    batch, keys = full_batch
    assert tuple(batch.pks) == keys


def test_a_batch_has_its_instances_by_what_became_of_them(full_batch):
    batch, keys = full_batch
    assert [[one.pk for one in some] for some in (batch.created, batch.updated, batch.deleted)] == [
        [key] for key in keys
    ]


def test_a_batch_has_the_changes_that_are_watched(full_batch):
    batch, (_, updated, _) = full_batch
    assert batch.changes("words") == [(updated, 1, 2)]


def test_a_batch_does_not_have_changes_that_nobody_watches(full_batch):
    batch, _ = full_batch
    with pytest.raises(LookupError, match=r"app\.Article\.title"):
        batch.changes("title")


def test_a_batch_has_the_fields_of_a_row_that_is_gone(full_batch):
    batch, _ = full_batch
    assert [one.title for one in batch.deleted] == ["gone"]


def test_the_events_of_a_batch_say_what_they_are(full_batch):
    batch, keys = full_batch
    assert [(event.kind, event.signal, event.sender, event.pk) for event in batch.events] == [
        ("created", post_save, Article, keys[0]),
        ("updated", post_save, Article, keys[1]),
        ("deleted", post_delete, Article, keys[2]),
    ]


def test_an_event_of_a_batch_has_what_was_sent(batches):
    received = batches(post_save, sender=Article)
    article = Article.objects.create()
    article.save(update_fields=["title"])
    drain()
    kwargs = received[1].events[0].kwargs
    assert {"created": False, "using": "default", "update_fields": {"title"}, "instance": article}.items() <= (
        kwargs.items()
    )


def test_the_instances_of_a_batch_are_loaded_when_the_worker_comes(batches):
    received = batches(post_save, sender=Article)
    Article.objects.create(title="old")
    Article.objects.update(title="new")
    drain()
    assert [one.title for one in received[0].instances] == ["new"]


def test_the_instances_of_a_batch_are_loaded_in_one_query(batches, django_assert_num_queries):
    received = []

    def look(batch):
        with django_assert_num_queries(0):
            received.append([one.name for one in batch.instances])

    connected = batches(post_save, sender=Ware, bulk=True)
    Ware.objects.bulk_create([Ware(name=str(number)) for number in range(20)])
    with CapturedTables() as tables:
        drain()
        (batch,) = connected
        look(batch)
    assert tables.count(Ware._meta.db_table) == 1
    assert received == [[str(number) for number in range(20)]]


class CapturedTables:
    """The tables that are read from in a block, once for each query."""

    def __enter__(self):
        from django.test.utils import CaptureQueriesContext

        self.queries = CaptureQueriesContext(connection)
        self.queries.__enter__()
        return self

    def __exit__(self, *error):
        self.queries.__exit__(*error)

    def count(self, table):
        return sum(query["sql"].startswith("SELECT") and table in query["sql"] for query in self.queries)


def test_instances_of_a_batch_that_are_gone_are_left_out(batches):
    received = batches(post_save, sender=Article)
    with transaction.atomic():
        first, second = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    drain()
    assert [batch.pks for batch in received] == [[second.pk]]


@pytest.mark.parametrize("signal", [sent, m2m_changed], ids=["a signal of ones own", "m2m_changed"])
def test_sends_of_a_batch_whose_instances_are_gone_are_left_out(batches, signal):
    received = batches(signal)
    genre = Genre.objects.create()
    with transaction.atomic():
        first, second = Novel.objects.create(), Novel.objects.create()
        for novel in (first, second):
            signal.send(sender=Novel.genres.through, instance=novel, model=Genre, pk_set={genre.pk}, using="default")
    Novel.objects.filter(pk=first.pk).delete()
    drain()
    assert [batch.instances for batch in received] == [[second]]


def test_a_batch_of_which_nothing_is_left_is_discarded(batches):
    received = batches(post_save, sender=Article)
    make_article()
    Article.objects.all().delete()
    (outcome,) = drain()
    assert (type(outcome), received, Delivery.objects.get().state) == (Discarded, [], State.DISCARDED)


def test_a_batch_that_must_be_whole_is_attempted_again(batches):
    received = batches(post_save, Durable(batch=True, missing="retry", retry=AT_ONCE), sender=Article)
    with transaction.atomic():
        first, _ = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    assert [type(outcome) for outcome in drain()] == [Again, Dead]
    assert received == []


def test_a_batch_that_must_be_whole_may_fail_at_once(batches):
    batches(post_save, Durable(batch=True, missing="fail"), sender=Article)
    with transaction.atomic():
        first, _ = make_article(), make_article()
    Article.objects.filter(pk=first.pk).delete()
    assert [type(outcome) for outcome in drain()] == [Dead]


@pytest.mark.parametrize("make", MAKERS)
def test_a_batch_has_rows_of_every_kind_of_key(batches, make):
    received = batches(post_save, sender={make_proxy: Reprint, make_child: Audiobook}.get(make))
    instance = make()
    drain()
    assert [(batch.instances, batch.pks) for batch in received] == [([instance], [instance.pk])]


@pytest.mark.parametrize("make", MAKERS)
def test_a_batch_has_rows_that_are_gone_of_every_kind_of_key(batches, make):
    instance = make()
    received = batches(post_delete, sender={make_proxy: Reprint, make_child: Audiobook}.get(make, type(instance)))
    key = instance.pk
    instance.delete()
    drain()
    assert [([one.pk for one in batch.deleted], batch.pks) for batch in received] == [([key], [key])]


def test_a_batch_of_a_database_is_loaded_from_it(batches):
    received = batches(post_save, sender=Article)
    article = Article.objects.using("other").create()
    drain(using="other")
    assert [[(one, one._state.db) for one in batch.instances] for batch in received] == [[(article, "other")]]


def test_a_receiver_of_a_batch_is_told_the_database(receive):
    received = []

    @receive(post_save, sender=Article, delivery=Durable(batch=True))
    def note(signal, sender, batch, using, **kwargs):
        received.append((signal, sender, using))

    Article.objects.using("other").create()
    drain(using="other")
    assert received == [(post_save, Article, "other")]


def test_a_batch_of_what_is_about_to_be_saved_has_keys(batches):
    received = batches(pre_save, sender=Article)
    article = Article.objects.create()
    drain()
    assert [(batch.pks, batch.created) for batch in received] == [([article.pk], [article])]


def test_a_signal_of_ones_own_has_batches(receive):
    received = []

    @receive(sent, delivery=Durable(batch=True))
    def note(sender, batch, **kwargs):
        received.append([event.kwargs["carrier"] for event in batch.events])

    with transaction.atomic():
        for carrier in ("post", "train"):
            sent.send(sender=Article, using="default", carrier=carrier)
    drain()
    assert received == [["post", "train"]]


def test_many_to_many_changes_have_batches(receive):
    received = []

    @receive(m2m_changed, sender=Novel.genres.through, delivery=Durable(batch=True))
    def note(sender, batch, **kwargs):
        received.append(([event.kwargs["action"] for event in batch.events], batch.instances))

    novel = Novel.objects.create()
    novel.genres.add(Genre.objects.create())
    drain()
    assert received == [(["pre_add", "post_add"], [novel])]


def test_a_batch_of_bulk_writes_has_their_changes(batches):
    first, second = Ware.objects.create(name="a", stock=1), Ware.objects.create(name="b", stock=2)
    received = batches(post_save, sender=Ware, bulk=True, when=changed("stock"))
    with transaction.atomic():
        Ware.objects.update(stock=F("stock") + 1)
    drain()
    assert sorted(received[0].changes("stock")) == [(first.pk, 1, 2), (second.pk, 2, 3)]


def test_a_batch_of_rows_that_a_query_has_deleted_has_their_fields(batches):
    received = batches(post_delete, sender=Ware, bulk=True)
    Ware.objects.create(name="a", stock=1)
    Ware.objects.all().delete()
    drain()
    assert [[(one.name, one.stock) for one in batch.deleted] for batch in received] == [[("a", 1)]]


def test_a_bulk_write_sends_a_batch_of_its_own(receive):
    received = []

    @receive(post_bulk_create, sender=Ware, delivery=Durable())
    def note(sender, batch, **kwargs):
        received.append([one.name for one in batch.created])

    Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")])
    drain()
    assert received == [["a", "b"]]


@pytest.fixture
def updates(receive):
    """The batches of updates of wares, for a durable receiver."""
    received = []

    @receive(post_update, sender=Ware, delivery=Durable())
    def note(sender, batch, **kwargs):
        received.append(batch)

    return received


def test_an_update_sends_a_batch_with_its_rows(updates):
    ware = Ware.objects.create(name="a", stock=1)
    Ware.objects.update(stock=5)
    drain()
    assert [(batch.pks, [one.stock for one in batch.updated]) for batch in updates] == [([ware.pk], [5])]


def test_an_update_sends_a_batch_with_the_changes_that_others_watch(updates, listen):
    listen(post_save, sender=Ware, bulk=True, when=changed("stock"))
    ware = Ware.objects.create(name="a", stock=1)
    Ware.objects.update(stock=5)
    drain()
    assert [batch.changes("stock") for batch in updates] == [[(ware.pk, 1, 5)]]


def test_rows_that_were_there_already_are_not_in_the_batch_of_a_bulk_write(receive):
    received = []
    Ware.objects.create(name="a")

    @receive(post_bulk_create, sender=Ware, delivery=Durable())
    def note(sender, batch, **kwargs):
        received.append([one.name for one in batch.created])

    Ware.objects.bulk_create([Ware(name="a"), Ware(name="b")], ignore_conflicts=True)
    drain()
    assert received == [["b"]]


def test_a_deletion_sends_a_batch_with_the_keys(receive):
    received = []

    @receive(post_bulk_delete, sender=Ware, delivery=Durable())
    def note(sender, batch, **kwargs):
        received.append(batch.pks)

    ware = Ware.objects.create(name="a")
    key = ware.pk
    Ware.objects.all().delete()
    drain()
    assert received == [[key]]


# --- as others are called -----------------------------------------------------------------------------------------


def row_of(instance):
    return instance.__class__, instance.pk, instance.title, instance.words, instance._state.db


def told_of(signal, sender, instance, origin=None, **payload):
    return signal, sender, row_of(instance), payload


def told_of_batch(signal, sender, batch, using):
    events = [
        (event.kind, event.signal, event.sender, event.pk, row_of(event.instance), changes_of_event(event))
        for event in batch.events
    ]
    parts = [[*map(row_of, part)] for part in (batch.instances, batch.created, batch.updated, batch.deleted)]
    return signal, sender, using, batch.pks, batch.changes("words"), events, parts


def changes_of_event(event):
    return {**event.changes}


# Each stops after each of its transactions. The first ones write no row twice in one: a worker finds what is left.


def save_and_delete():
    article = Article.objects.create(title="a")
    yield
    change(article, title="b", words=2)
    yield
    article.words = 3
    article.save(update_fields=["words"])
    yield
    article.delete()
    yield


def update_or_create():
    for words in (1, 2):
        Article.objects.update_or_create(title="a", defaults={"words": words})
        yield


def write_in_bulk():
    articles = Article.objects.bulk_create([Article(title="a", words=1), Article(title="b", words=2)])
    yield
    Article.objects.filter(title="a").update(words=5)
    yield
    articles = [*Article.objects.order_by("pk")]
    for article in articles:
        article.words += 1
    Article.objects.bulk_update(articles, ["words"])
    yield
    Article.objects.filter(title="b").delete()
    yield


def write_to_both_databases():
    for alias in ("default", "other"):
        article = Article.objects.using(alias).create(title=alias)
        yield
        change(article, words=3)
        yield
        article.delete()
        yield


def save_often():
    with transaction.atomic():
        article = Article.objects.create(title="a")
        change(article, title="b", words=2)
    yield
    with transaction.atomic():
        change(article, words=3)
        change(article, words=4)
    yield
    with transaction.atomic():
        change(article, words=5)
        article.delete()
    yield


def write_in_bulk_at_once():
    with transaction.atomic():
        Article.objects.bulk_create([Article(title="a", words=1), Article(title="b", words=2)])
        Article.objects.filter(title="a").update(words=5)
        Article.objects.create(title="c")
    yield
    with transaction.atomic():
        Article.objects.filter(title="c").update(words=7)
        Article.objects.filter(title="b").delete()
    yield


SIMPLE_STORIES = [save_and_delete, update_or_create, write_in_bulk, write_to_both_databases]
STORIES = [*SIMPLE_STORIES, save_often, write_in_bulk_at_once]


@pytest.fixture
def compare(receive):
    """Tell a story to a receiver of either policy, and return what each has been called with."""

    def compare(story, signals, policies, tell, **options):
        told = [], []
        for calls, policy in zip(told, policies, strict=True):
            connect(calls, signals, policy, tell, options)
        for _ in story():
            assert {type(outcome) for alias in ("default", "other") for outcome in drain(using=alias)} <= {Succeeded}
        return told

    def connect(calls, signals, policy, tell, options):
        def note(**payload):
            calls.append(tell(**payload))

        def note_batch(signal, sender, batch, using, **kwargs):
            calls.append(tell(signal, sender, batch, using))

        receive(signals, sender=Article, bulk=True, delivery=policy, **options)(note_batch if policy.batch else note)

    return compare


@pytest.mark.parametrize("story", SIMPLE_STORIES)
def test_a_durable_receiver_is_called_as_one_before_the_commit(compare, story):
    signals = [pre_save, post_save, pre_delete, post_delete]
    before_commit, durable = compare(story, signals, (BeforeCommit(), Durable()), told_of)
    assert durable == before_commit


@pytest.mark.parametrize("story", STORIES)
def test_its_batches_are_those_of_one_before_the_commit(compare, story):
    policies = BeforeCommit(batch=True), Durable(batch=True)
    when = changed("words") | is_new_or_gone
    before_commit, durable = compare(story, [post_save, post_delete], policies, told_of_batch, when=when)
    assert durable == before_commit


# --- what became of the contract in the meantime --------------------------------------------------------------------


@Signal.define
def shipped(sender, *, article, carrier="post", labels=("fragile",)):
    """An article has left."""


def rewrite(change):
    """Let a stored payload be one that another version of the program has written."""
    row = Delivery.objects.get()
    payload = json.loads(row.payload)
    change(payload)
    Delivery.objects.update(payload=json.dumps(payload))


def test_a_declared_payload_travels_with_its_defaults(store):
    received = store(shipped)
    article = make_article()
    shipped.send(sender=Article, article=article)
    drain()
    assert (received[0]["article"], received[0]["carrier"], received[0]["labels"]) == (article, "post", ("fragile",))


def test_a_name_that_is_new_in_the_contract_has_its_default(store):
    received = store(shipped)
    shipped.send(sender=Article, article=make_article(), carrier="train")
    rewrite(lambda payload: payload["kwargs"].pop("carrier"))
    drain()
    assert received[0]["carrier"] == "post"


def test_a_name_that_has_left_the_contract_is_passed_all_the_same(store):
    received = store(shipped)
    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload["kwargs"].update(weight=3))
    drain()
    assert received[0]["weight"] == 3


def test_a_name_without_a_default_that_is_missing_is_a_failure_that_names_it(receive):
    @receive(shipped, delivery=Durable(retry=Retry(attempts=1)))
    def note(sender, article, **kwargs): ...

    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload["kwargs"].pop("article"))
    drain()
    assert "article" in Delivery.objects.get().error


@pytest.mark.parametrize("policy", [Durable(), Durable(batch=True)], ids=repr)
def test_a_payload_of_a_later_version_is_not_misread(receive, policy):
    calls = []

    @receive(shipped, delivery=policy)
    def note(sender, batch=None, **kwargs):
        calls.append(kwargs)

    shipped.send(sender=Article, article=make_article())
    rewrite(lambda payload: payload.update(v=99))
    drain()
    assert (calls, Delivery.objects.exclude(state=State.SUCCESSFUL).count()) == ([], 1)


def test_a_model_that_is_no_more_is_handed_back_and_stops_no_other(receive):
    received = []

    @receive(shipped, delivery=Durable(retry=Retry(attempts=1)))
    def note(sender, article, **kwargs):
        received.append(article)

    article = make_article()
    shipped.send(sender=Article, article=article)
    rewrite(lambda payload: payload["kwargs"].update(article=gone_model(payload["kwargs"]["article"])))
    shipped.send(sender=Article, article=article)
    assert [type(outcome) for outcome in drain()] == [HandedBack, Succeeded]
    assert received == [article]


def gone_model(stored):
    return json.loads(json.dumps(stored).replace("app.Article", "app.Leaflet"))


# --- instances that are gone --------------------------------------------------------------------------------------


@pytest.fixture
def orphan(receive):
    """Connect a receiver, and save and delete what it handles: return the key, and what it is called with."""

    def connect(policy):
        received = []

        @receive(post_save, sender=Article, delivery=policy)
        def note(sender, instance, **kwargs):
            received.append(instance)

        key = make_article().pk
        Article.objects.all().delete()
        return key, received

    return connect


def test_a_delivery_whose_instance_is_gone_is_discarded(orphan):
    _, received = orphan(Durable())
    (outcome,) = drain()
    row = Delivery.objects.get()
    assert (row.state, received, outcome) == (State.DISCARDED, [], Discarded(row.error))


def test_the_reason_names_the_model_and_the_key(orphan):
    key, _ = orphan(Durable())
    drain()
    error = Delivery.objects.get().error
    assert ("Article" in error, str(key) in error) == (True, True)


def test_it_is_attempted_again_where_the_receiver_says_so(orphan):
    key, received = orphan(Durable(missing="retry", retry=AT_ONCE))
    again, dead = drain()
    assert (type(again), type(dead), received) == (Again, Dead, [])
    assert str(key) in str(dead.error)


def test_it_succeeds_when_the_row_is_back(orphan):
    key, received = orphan(Durable(missing="retry", retry=Retry(attempts=2, backoff=fixed(1000))))
    drain()
    Article.objects.create(pk=key)
    Delivery.objects.filter(state=State.READY).update(due_at=timezone.now() - datetime.timedelta(seconds=5))
    first, *_ = drain()
    assert (first, [one.pk for one in received][:1]) == (Succeeded(), [key])


def test_it_is_dead_at_once_where_the_receiver_says_so(orphan):
    key, received = orphan(Durable(missing="fail"))
    assert ([type(outcome) for outcome in drain()], received) == ([Dead], [])
    row = Delivery.objects.get()
    assert (row.state, row.attempts, str(key) in row.error) == (State.DEAD, 1, True)


@pytest.mark.parametrize("wrap", [list, dict], ids=["list", "dict"])
def test_so_it_is_for_an_instance_inside_of_another_value(store, wrap):
    received = store(sent)
    article = make_article()
    value = [article] if wrap is list else {"article": article}
    sent.send(sender=None, using="default", value=value)
    Article.objects.all().delete()
    assert ([type(outcome) for outcome in drain()], received) == ([Discarded], [])


def test_what_a_receiver_cannot_find_itself_is_its_own_failure(receive):
    @receive(sent, delivery=Durable(retry=Retry(attempts=1)))
    def look(sender, **kwargs):
        Article.objects.get(pk=0)

    sent.send(sender=None, using="default")
    assert [type(outcome) for outcome in drain()] == [Dead]


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
