"""Rows of the table that somebody has tampered with: to read one imports, runs and discloses nothing."""

import datetime
import enum
import json
import os
import sys
from contextlib import contextmanager
from decimal import Decimal
from types import ModuleType
from uuid import UUID

import pytest
from django.apps import AppConfig
from django.db import models
from django.db.models.signals import ModelSignal, m2m_changed, post_delete, post_save
from django.utils.functional import SimpleLazyObject
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from heliograph import UNKNOWN, Change, Durable, Signal, changed
from heliograph.changes.values import NO_ROW
from heliograph.outbox.durable import registry
from heliograph.outbox.models import Delivery
from heliograph.outbox.outcomes import HandedBack
from heliograph.outbox.payload import field_values, kinds
from heliograph.outbox.payload.calls import restored
from heliograph.outbox.payload.classes import may_travel
from heliograph.outbox.payload.errors import MissingError, UnreadableError
from heliograph.outbox.work.runner import drain
from heliograph.transactions.batches import Batch
from tests.app.models import Article, Genre, Novel

pytestmark = pytest.mark.django_db

sent = Signal(name="shop.sent")


class Secret:
    """A class whose attributes nobody may look up."""

    value = 1


class Watchful(type):
    """The class of a class that says when somebody looks for an attribute that it does not have."""

    def __getattr__(cls, name):
        raise AssertionError(f"Somebody has looked for {name}")


class Watched(metaclass=Watchful):
    """A class that is watched."""


class Size(enum.Enum):
    """An enum."""

    SMALL = 1


another_name = Secret


@contextmanager
def nothing_else_happens():
    """Fail if anything is imported, run or opened meanwhile: the interpreter reports it."""
    events = []
    _reporters.append(lambda event, *arguments: events.append((event, *arguments)))
    modules = {*sys.modules}
    try:
        yield
    finally:
        _reporters.pop()
    assert ({*sys.modules} - modules, [event for event in events if event[0].startswith(_FORBIDDEN)]) == (set(), [])


_FORBIDDEN = ("import", "exec", "compile", "open", "os.", "subprocess.", "socket.", "pickle.", "marshal.", "ctypes.")
_reporters = []


@sys.addaudithook
def _report(event, arguments):
    if _reporters:
        _reporters[-1](event, arguments)


@pytest.fixture
def connected(connect):
    """The receivers that may be called, each by the kind of what it receives."""

    def record_all(sender, **kwargs): ...
    def record_article(sender, instance, changes, **kwargs): ...
    def record_deleted(sender, instance, **kwargs): ...
    def record_batch(sender, batch, **kwargs): ...
    def record_relation(sender, instance, **kwargs): ...
    def record_sent(sender, value, **kwargs): ...

    connect(post_save, record_all, delivery=Durable())
    connect(post_save, record_article, sender=Article, when=changed("title", "price"), delivery=Durable())
    connect(post_delete, record_deleted, sender=Article, delivery=Durable())
    connect(post_save, record_batch, sender=Article, when=changed("title"), delivery=Durable(batch=True))
    connect(post_delete, record_batch, sender=Article, delivery=Durable(batch=True))
    connect(m2m_changed, record_relation, sender=Novel.genres.through, delivery=Durable())
    connect(sent, record_sent, delivery=Durable())
    return registry.known()


@pytest.fixture
def rows(connected):
    """Deliveries of all of these."""
    article = Article.objects.create(title="a", price=Decimal("1.5"))
    article.title, article.price = "b", Decimal("2.5")
    article.save()
    sent.send(sender=Secret, using="default", value=[article, {"a": (1, {Size.SMALL})}, datetime.date(2024, 1, 1)])
    Novel.objects.create().genres.add(Genre.objects.create())
    article.delete()
    return [(row, registry.chosen(connected[row.receiver], row.signal, row.sender)) for row in Delivery.objects.all()]


def read(value, durable):
    """Restore a value that was sent."""
    text = json.dumps({"v": 1, "signal": "shop.sent", "sender": None, "kwargs": {"value": value}})
    return restored(text, "default", durable)["value"]


@pytest.fixture
def durable(connected):
    """The receiver of `sent`."""
    (found,) = (one for receivers in connected.values() for one in receivers if one.signal == "shop.sent")
    return found


# --- one by one ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("antigravity:fly", r"the module antigravity is not imported here"),
        ("os:environ", r"there is no class os:environ"),
        ("os:environ.data", r"there is no class os:environ\.data"),
        ("django.conf:settings", r"there is no class django\.conf:settings"),
        ("django.conf:settings.SECRET_KEY", r"there is no class"),
        (f"{__name__}:Secret.value", r"there is no class"),
        (f"{__name__}:Watched.missing", r"there is no class"),
        (f"{__name__}:another_name", r"is another name of tests\.outbox\.test_tampered:Secret"),
        (f"{__name__}:datetime.datetime", r"there is no class"),
        ("subprocess:Popen", r"subprocess:Popen is no class that a delivery refers to"),
        ("builtins:type", r"builtins:type is no class that a delivery refers to"),
        ("os", r"there is no class os"),
        ("", r"the module  is not imported here"),
    ],
)
def test_a_class_is_one_that_is_loaded_under_its_own_name(durable, path, text):
    with nothing_else_happens(), pytest.raises(UnreadableError, match=text):
        read({"$": "class", "value": path}, durable)


@pytest.mark.parametrize("path", [f"{__name__}:Secret", "builtins:int", "decimal:Decimal"])
def test_what_may_be_sent_comes_back(durable, path):
    assert isinstance(read({"$": "class", "value": path}, durable), type)


def test_a_class_of_pythons_own_that_can_do_things_is_refused_when_it_is_sent(connected):
    with pytest.raises(TypeError, match=r"subprocess\.Popen is a class of Python's own: send its name"):
        sent.send(sender=None, using="default", value=sys.modules["subprocess"].Popen)


def test_a_module_that_loads_what_is_missing_is_not_asked_for_it(durable, monkeypatch):
    lazy = ModuleType("lazy_shop")
    lazy.__getattr__ = lambda name: pytest.fail(f"somebody has asked for {name}")
    monkeypatch.setitem(sys.modules, "lazy_shop", lazy)
    with pytest.raises(UnreadableError, match=r"there is no class lazy_shop:Sale"):
        read({"$": "class", "value": "lazy_shop:Sale"}, durable)


@pytest.mark.parametrize(
    "value", [[f"{__name__}:Secret", "value"], ["os:environ", "PATH"], [f"{__name__}:Size", "name"], ["a:b"], "a:b", 7]
)
def test_a_member_is_one_of_an_enum(durable, value):
    with nothing_else_happens(), pytest.raises(UnreadableError):
        read({"$": "enum", "value": value}, durable)


@pytest.mark.parametrize("name", ["antigravity.fly", "os.environ", "django.conf.settings", f"{__name__}.Secret", ""])
def test_a_signal_is_one_that_is_there(rows, name):
    row, durable = rows[0]
    text = json.dumps({**json.loads(row.payload), "signal": name})
    with nothing_else_happens(), pytest.raises(UnreadableError, match=r"There is no signal"):
        restored(text, "default", durable)


FIELDS = [
    {"$": "field", "value": ["app.Genre", "name", "x"]},
    {"$": "columns", "value": ["app.Genre", "name", {"name": "x"}]},
    {"$": "gone", "value": ["app.Genre", "default", {"name": "x"}]},
]


@pytest.fixture
def watched(monkeypatch):
    """Have a field of a model that no receiver but that of all models is about fail when somebody uses it."""
    field = Genre._meta.get_field("name")
    monkeypatch.setattr(field, "to_python", lambda value: pytest.fail("somebody has used the field"))


@pytest.mark.parametrize("value", FIELDS, ids=lambda value: value["$"])
def test_a_field_is_one_of_a_model_that_the_receiver_is_about(rows, watched, value):
    for row, durable in rows:
        if not durable.is_about(Genre):
            payload = json.loads(row.payload)
            payload["kwargs"] = {"changes": value}
            with nothing_else_happens(), pytest.raises(UnreadableError, match=r"the receiver's signal is not about"):
                restored(json.dumps(payload), "default", durable)


@pytest.mark.parametrize("name", ["pk", "nothing", "to_python", "author__name", "reviews", 1, [], None])
def test_a_field_is_one_that_its_model_has(rows, name):
    row, durable = next(
        (row, durable) for row, durable in rows if row.sender == "app.Article" and durable.policy.batch is False
    )
    payload = json.loads(row.payload)
    payload["kwargs"]["changes"] = {"$": "field", "value": ["app.Article", name, "x"]}
    with pytest.raises(UnreadableError):
        restored(json.dumps(payload), "default", durable)


def test_a_row_that_is_gone_keeps_its_fields_apart_where_the_model_has_others_now(rows):
    row, durable = next((row, durable) for row, durable in rows if "record_deleted" in row.receiver)
    payload = json.loads(row.payload)
    label, using, values = payload["kwargs"]["instance"]["value"]
    older = {"was_here": 1, **dict(reversed(values.items()))}
    payload["kwargs"]["instance"]["value"] = [label, using, older]
    instance = restored(json.dumps(payload), "default", durable)["instance"]
    assert (instance.pk, instance.title) == (values["id"], "b")


@pytest.mark.parametrize("depth", [2_000, 200_000])
def test_a_payload_that_is_too_deep_is_handed_back(rows, depth):
    text = f'{{"v":1,"signal":null,"sender":null,"kwargs":{{"value":{"[" * depth}{"]" * depth}}}}}'
    Delivery.objects.all().update(payload=text)
    assert {type(outcome) for outcome in drain()} == {HandedBack}


def test_a_signal_of_models_that_others_have_made_is_about_models_too(connect):
    def record(sender, instance, **kwargs): ...

    archived = ModelSignal()
    connect(archived, record, sender=Article, delivery=Durable())
    (durable,) = (one for receivers in registry.known().values() for one in receivers)
    assert (durable.is_about(Article), durable.is_about(Genre)) == (True, False)


# --- anything -----------------------------------------------------------------------------------------------------

KINDS = [
    "row",
    "batch",
    *kinds.BY_NAME,
    *field_values.DECODERS,
    "nothing",
    "",
    None,
    1,
    [],
]
NAMES = [
    *("app.Article", "app.Genre", "auth.User", "heliograph_outbox.Delivery", "app.Nothing", "a.b.c", "app", "default"),
    *("title", "pk", "id", "password", "payload", "to_python", "__class__", "other", "nothing", "created", "updated"),
    *(
        "os:environ",
        "os:system",
        "builtins:eval",
        "subprocess:Popen",
        "antigravity:fly",
        "this",
        "shop.sent",
        "deleted",
    ),
    *("django.conf:settings", "django.db.models.signals.post_save", "django.db.models.signals.post_delete"),
    *(
        f"{__name__}:Size",
        f"{__name__}:Secret",
        f"{__name__}.sent",
        f"{__name__}:_report",
        "SMALL",
        "PT5S",
        "2024-01-01",
    ),
    *(
        "1e999999",
        "sNaN",
        "9" * 400,
        "\x00",
        "\ud800",
        "12:00",
        "12345678123456781234567812345678",
        "YQ==",
        "$",
        "value",
    ),
]
scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5), st.sampled_from(NAMES))
names = st.one_of(st.sampled_from(NAMES), st.sampled_from(["commons", "events", "kind", "signal", "sender", "fields"]))


def nested(inner):
    tagged = st.fixed_dictionaries({"$": st.sampled_from(KINDS)}, optional={"value": inner})
    of_model = st.tuples(st.sampled_from(NAMES[:8]), st.sampled_from(NAMES), inner).map(list)
    whole = st.fixed_dictionaries(
        {"$": st.sampled_from(["row", "gone", "field", "columns", "batch"]), "value": of_model}
    )
    lists, dicts = st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)
    return st.one_of(tagged, whole, lists, dicts)


anything = st.recursive(scalars, nested, max_leaves=12)
A_FEW = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def spots(payload):
    """Yield each container of a payload with each of its keys."""
    for key in [*(payload if isinstance(payload, dict) else range(len(payload)))]:
        yield payload, key
        if isinstance(payload[key], dict | list):
            yield from spots(payload[key])


VALUES = (
    *(str, int, float, bool, type(None), bytes, datetime.date, datetime.time, datetime.timedelta, Decimal, UUID),
    *(enum.Enum, models.Model, models.Field, models.fields.reverse_related.ForeignObjectRel, AppConfig, Batch),
    *(type(UNKNOWN), type(NO_ROW), type(sent), type(post_save)),
)


def verify(value):
    """Fail if a value is none that could have been sent."""
    if type(value) is SimpleLazyObject:  # a row that is loaded when it is used
        return
    if isinstance(value, dict):
        for key, item in value.items():
            verify(key)
            verify(item)
    elif isinstance(value, list | tuple | set | frozenset | Change):
        for item in value:
            verify(item)
    elif isinstance(value, type):
        assert may_travel(value)
    else:
        assert isinstance(value, VALUES), value
    assert value is not os.environ


def try_to_read(text, durable):
    with nothing_else_happens():
        try:
            payload = restored(text, "default", durable)
        except (UnreadableError, MissingError):
            return
    verify(payload)


@A_FEW
@given(data=st.data())
def test_a_value_of_any_kind_is_read_or_refused_and_nothing_else_happens(durable, data):
    payload = {"v": 1, "signal": "shop.sent", "sender": None, "kwargs": {"value": data.draw(anything)}}
    try_to_read(json.dumps(payload), durable)


@A_FEW
@given(data=st.data())
def test_a_payload_that_is_changed_anywhere_is_read_or_refused_and_nothing_else_happens(rows, data):
    row, durable = data.draw(st.sampled_from(rows))
    payload = json.loads(row.payload)
    for _ in range(data.draw(st.integers(1, 3))):
        container, key = data.draw(st.sampled_from([*spots(payload)]))
        container[key] = data.draw(anything)
    try_to_read(json.dumps(payload), durable)


@A_FEW
@given(text=st.one_of(st.text(), anything.map(json.dumps)))
def test_a_text_of_any_kind_is_read_or_refused_and_nothing_else_happens(durable, text):
    try_to_read(text, durable)
