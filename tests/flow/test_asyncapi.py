"""`signals asyncapi`: a document of declared signals, whose schemas describe what the outbox stores."""

import datetime
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NewType, Optional
from uuid import UUID

import pytest
from django.db.models import TextChoices

from heliograph import Signal
from heliograph.flow.asyncapi.json_schema import schema_of
from heliograph.outbox.payload.value_encoding import encoded
from tests.app.models import CartFigures, Country, Draft, Post, Seat, Ticket, Writer
from tests.helpers.json_schema import is_valid
from tests.helpers.signals_command import signals

if TYPE_CHECKING:
    from somewhere import Unknown  # type: ignore[import-not-found]

Cents = NewType("Cents", int)


class Color(Enum):
    RED = 1
    BLUE = 2


class Status(TextChoices):
    PAID = "paid"
    SENT = "sent"


@dataclass
class Size:
    width: int
    unit: Literal["mm", "in"] = "mm"


@dataclass
class Part:
    whole: Optional["Part"]


def log(**kwargs):
    """A receiver."""


@Signal.define
def order_shipped(sender, *, writer: Writer, weight: Decimal, carrier: str = "DHL", token: str = "") -> None:
    """An order left the warehouse.

    It is under way.
    """


@Signal.define
def order_lost(sender, *, anything, unknown: "Unknown", part: Part, at: Any = log) -> None: ...


class Store:
    @Signal.define
    def opened(sender, *, size: "Size") -> None: ...  # noqa: N805 - a contract, which is no method


def document(*arguments):
    return json.loads(signals("asyncapi", *arguments).out)


def message(signal):
    return document()["components"]["messages"][signal.name]


# --- the document ------------------------------------------------------------------------------------------------


def test_the_document_has_a_title_and_a_version():
    found = document("--title", "Shop", "--version", "2.1")
    assert (found["asyncapi"], found["info"]) == ("3.0.0", {"title": "Shop", "version": "2.1"})


def test_title_and_version_have_defaults():
    assert document()["info"] == {"title": "Signals", "version": "1.0.0"}


def test_a_signal_is_a_channel_with_a_message_and_an_operation():
    found, name = document(), order_shipped.name
    assert found["channels"][name] == {
        "address": name,
        "messages": {name: {"$ref": f"#/components/messages/{name}"}},
    }
    assert found["operations"][f"send.{name}"] == {
        "action": "send",
        "channel": {"$ref": f"#/channels/{name}"},
        "messages": [{"$ref": f"#/channels/{name}/messages/{name}"}],
    }
    assert f"receive.{name}" not in found["operations"]


def test_a_signal_that_is_received_has_an_operation_with_its_receivers(connect):
    connect(order_shipped, log)
    operation = document()["operations"][f"receive.{order_shipped.name}"]
    assert operation["action"] == "receive"
    assert operation["summary"] == f"Received by {__name__}.log."


def test_the_docstring_is_the_description():
    assert message(order_shipped)["description"] == "An order left the warehouse.\n\nIt is under way."
    assert "description" not in message(order_lost)


def test_the_payload_has_the_names_of_the_contract_but_secrets():
    payload = message(order_shipped)["payload"]
    assert [*payload["properties"]] == payload["required"] == ["writer", "weight", "carrier"]
    assert payload["properties"]["carrier"] == {"type": "string", "default": "DHL"}


def test_what_cannot_be_known_is_anything():
    assert message(order_lost)["payload"]["properties"] == {
        "anything": {},
        "unknown": {"description": "Unknown"},
        "part": {"description": str(Part)},
        "at": {},
    }


def test_the_annotations_of_a_signal_in_a_class_are_those_of_its_module():
    assert message(Store.opened)["payload"]["properties"]["size"] == schema_of(Size)


def test_a_plain_signal_and_the_signals_of_heliograph_are_left_out():
    assert [name for name in document()["channels"] if name.startswith(("heliograph.", "django."))] == []


# The parts of the specification that the document uses: the names that an object must have, and those that it may have.
OBJECTS = {
    "document": ({"asyncapi", "info"}, {"defaultContentType", "channels", "operations", "components"}),
    "info": ({"title", "version"}, set()),
    "channel": (set(), {"address", "messages"}),
    "operation": ({"action", "channel"}, {"messages", "summary"}),
    "message": (set(), {"name", "title", "description", "payload"}),
    "reference": ({"$ref"}, set()),
}


def verify(kind, value):
    required, optional = OBJECTS[kind]
    assert required <= value.keys() <= required | optional


def resolved(whole, reference):
    """Return what a reference refers to."""
    verify("reference", reference)
    first, *path = reference["$ref"].split("/")
    assert first == "#"
    for name in path:
        whole = whole[name]
    return whole


def test_the_document_keeps_the_specification(connect):
    connect(order_shipped, log)
    found = document()
    verify("document", found)
    verify("info", found["info"])
    assert found["components"].keys() == {"messages"}
    for channel in found["channels"].values():
        verify("channel", channel)
        for one in channel["messages"].values():
            verify("message", resolved(found, one))
    for operation in found["operations"].values():
        verify("operation", operation)
        assert operation["action"] in ("send", "receive")
        # The messages of an operation are references to those of its channel.
        assert all(one["$ref"].startswith(f"{operation['channel']['$ref']}/messages/") for one in operation["messages"])
        for one in operation["messages"]:
            verify("reference", resolved(found, one))
    names = [*found["components"]["messages"], *found["channels"], *found["operations"]]
    assert [name for name in names if not re.fullmatch(r"[A-Za-z0-9._-]+", name)] == []


# --- schemas of annotations ---------------------------------------------------------------------------------------

NOW = datetime.datetime(2026, 12, 1, 12, tzinfo=datetime.UTC)
KEY = UUID(int=7)

STORED = [
    (str, "text", 1),
    (int, 1, "text"),
    (float, 1.5, "text"),
    (bool, True, 1),
    (None, None, 0),
    (Optional[int], None, "text"),  # noqa: UP045 - the older way to write it
    (int | str, "text", 1.5),
    (Literal["a", 2], 2, 3),
    (Color, Color.BLUE, "BLUE"),
    (Status, Status.PAID, "paid"),
    (Cents, 3, "text"),
    (Annotated[int, "cents"], 3, "text"),
    (datetime.datetime, NOW, NOW.date()),
    (datetime.date, NOW.date(), "2026-12-01"),
    (datetime.time, NOW.time(), NOW),
    (datetime.timedelta, datetime.timedelta(1), 86400),
    (Decimal, Decimal("0.10"), 0.1),
    (UUID, KEY, str(KEY)),
    (bytes, b"x", "x"),
    (list[int], [1, 2], ["text"]),
    (list, [1, "text"], {}),
    (tuple[int, str], (1, "text"), ("text", 1)),
    (tuple[int, ...], (1, 2, 3), ("text",)),
    (set[int], {1, 2}, {"text"}),
    (frozenset[str], frozenset("a"), {"a"}),
    (dict[str, int], {"a": 1}, {"a": "text"}),
    (Mapping[str, Decimal], {"a": Decimal(1)}, {"a": 1}),
    (type[Post], Draft, Writer),
    (Writer, Writer(pk=7), Country(pk="de")),
    (Post, Draft(pk=7), Writer(pk=7)),
    (Country, Country(pk="de"), Writer(pk=7)),
    (Ticket, Ticket(pk=KEY), Writer(pk=7)),
    (CartFigures, CartFigures(cart_id=7), Writer(pk=7)),
    (Seat, Seat(row=1, number=2), Writer(pk=7)),
]


@pytest.mark.parametrize(("annotation", "value", "other"), STORED, ids=[str(annotation) for annotation, *_ in STORED])
def test_a_schema_describes_what_the_outbox_stores(annotation, value, other):
    schema = schema_of(annotation)
    assert is_valid(encoded(value), schema)
    assert not is_valid(encoded(other), schema)


def test_a_dataclass_is_an_object_of_its_fields():
    schema = schema_of(Size)
    assert is_valid({"width": 1, "unit": "mm"}, schema)
    assert not is_valid({"width": 1}, schema)
    assert not is_valid({"width": 1, "unit": "km"}, schema)


@pytest.mark.parametrize("annotation", [Any, object, Any | None, print, "Unknown"])
def test_a_type_that_says_nothing_has_a_schema_that_is_true_of_all(annotation):
    assert schema_of(annotation) == {}


def test_values_that_cannot_be_stored_say_so():
    class Local(Enum):
        ONE = 1

    assert schema_of(Local)["description"].startswith("It cannot be stored: no other process can import")
