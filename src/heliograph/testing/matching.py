"""The sender and the values that an assertion asks for, and how a send or a call differs from them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db.models import Model
from django.utils.functional import LazyObject

from heliograph.changes.current import without_wrapper
from heliograph.dispatch.scopes import same_sender
from heliograph.flow.tree_text import sender_name

# How many lines a failed assertion lists, and how long the text of a value is.
MOST_LINES = 10
MOST_CHARACTERS = 80

OF_EVERY_SEND = ("signal", "sender")


@dataclass(frozen=True, slots=True)
class Found:
    """A send, a call or a delivery that an assertion looks at."""

    title: str  # what it is, for a line of a failed assertion
    sender: Any
    payload: Mapping[str, Any]

    def __str__(self) -> str:
        values = shown(self.payload)
        return f"{self.title} from {sender_name(self.sender)}{f': {values}' if values else ''}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """The sender and the values that an assertion asks for; other values do not matter."""

    sender: Any = None  # None for every sender
    values: Mapping[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        sender = "" if self.sender is None else f" from {sender_name(self.sender)}"
        return f"{sender} with {shown(self.values)}" if self.values else sender

    def matches(self, found: Found) -> bool:
        """Return whether a send, a call or a delivery has the wanted sender and values."""
        return not self.differing(found)

    def differing(self, found: Found) -> list[str]:
        """Return the names of the values in which something differs; "sender" if the sender differs."""
        is_other = self.sender is not None and not is_from(found.sender, self.sender)
        names = [name for name, value in self.values.items() if not _has(found.payload, name, value)]
        return [*names, "sender"] if is_other else names


@dataclass(frozen=True, slots=True)
class Compared:
    """A send, a call or a delivery, with the names of the values in which it differs."""

    found: Found
    differing: list[str]

    def __str__(self) -> str:
        differences = "; ".join(map(self._difference, self.differing))
        return f"{self.found} ({differences})" if differences else str(self.found)

    def _difference(self, name: str) -> str:
        payload = self.found.payload
        if name == "sender":
            return f"it is from {sender_name(self.found.sender)}"
        return f"{name} is {text_of(payload[name])}" if name in payload else f"there is no {name}"


def is_from(sender: Any, wanted: Any) -> bool:
    """Return whether a sender is the wanted one, which may be the label of a model, as in `connect()`."""
    if isinstance(wanted, str) and isinstance(sender, type) and issubclass(sender, Model):
        return sender._meta.label_lower == wanted.lower()
    return same_sender(sender, wanted)


def nearest_first(found: Iterable[Found], wanted: Wanted) -> list[str]:
    """Return a line for each, with its differences: those with the fewest come first, and not too many in all."""
    compared = [Compared(one, wanted.differing(one)) for one in found]
    compared.sort(key=lambda one: len(one.differing))
    return lines_of(compared)


def lines_of(things: Sequence[object]) -> list[str]:
    """Return a line for each of the first things, and how many more there are."""
    more = len(things) - MOST_LINES
    return [*(f"  {one}" for one in things[:MOST_LINES]), *([f"  and {more} more"] if more > 0 else [])]


def shown(values: Mapping[str, Any]) -> str:
    """Return values as they are written in a call."""
    return ", ".join(f"{name}={text_of(value)}" for name, value in values.items() if name not in OF_EVERY_SEND)


def text_of(value: Any) -> str:
    """Return the text of a value in one line, shortened; also of a value that has no text."""
    try:
        text = " ".join(repr(_loaded(value)).split())
    except Exception as error:
        text = f"<{type(value).__name__} whose repr() raises {type(error).__name__}>"
    return text if len(text) <= MOST_CHARACTERS else f"{text[: MOST_CHARACTERS - 3]}..."


def _loaded(value: Any) -> Any:
    """Return the object in a lazy one, such as the instance of a delivery, which is read from the database."""
    return without_wrapper(value) if issubclass(type(value), LazyObject) else value


def _has(payload: Mapping[str, Any], name: str, wanted: Any) -> bool:
    try:
        return name in payload and (payload[name] is wanted or bool(payload[name] == wanted))
    except Exception:  # of values such as arrays, whose comparison is no answer
        return False
