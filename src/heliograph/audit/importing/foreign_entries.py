"""The one shape of the logs of the three packages: a source of foreign entries, and of the rows that are left out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from heliograph.outbox.payload.field_values import encoded_field
from heliograph.outbox.payload.secrecy import is_secret


@dataclass(frozen=True)
class Author:
    """The actor of a change and the reason, as a change set has them."""

    actor: str = ""
    label: str = ""
    reason: str = ""


@dataclass(frozen=True)
class ForeignEntry:
    """An entry of another package, in the columns of this log."""

    origin: str  # such as "auditlog shop.Product 123"
    at: datetime
    label: str  # of the model
    key: str
    action: str
    changes: Mapping[str, Any]  # the JSON of each field
    author: Author = Author()
    context: Mapping[str, Any] = field(default_factory=dict)


@dataclass
class Found:
    """The entries that a source has made of a chunk of its table."""

    entries: list[ForeignEntry]
    left_out: Counter[str]  # how many rows, by the reason
    last: Any  # the position of the last row


class Source(Protocol):
    """One table of another package, about the rows of one or several models."""

    lacks: tuple[str, ...]  # what the entries of the package do not have

    @property
    def name(self) -> str:
        """The text with which the origins of its entries begin."""

    def position(self, origin: str, at: datetime) -> Any:
        """Return the position behind the row with an origin."""

    def chunks(self, position: Any) -> Iterator[Found]:
        """Yield the entries of the table in chunks, after a position or from its beginning on, in the order of time."""


def value_of(model_field: Any, value: Any) -> Any:
    """Return the JSON of a value of a field, as an entry has it."""
    return encoded_field(model_field, value)


def is_masked(model_field: Any, masked: frozenset[str]) -> bool:
    """Return whether an entry says of a field only that it has changed."""
    return model_field.name in masked or is_secret(model_field)


def user_text(user: Any) -> str:
    """Return the text of an actor that is a user; empty for nobody."""
    return "" if user is None else f"{user._meta.label} {user.pk}"
