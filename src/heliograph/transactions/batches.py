"""Batches: what a receiver is given that is called once for everything that it has heard in a transaction."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from heliograph.changes.comparing import Change, Comparison
from heliograph.changes.tracking import ALL
from heliograph.dispatch.reentrancy import row_of

Kind = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, eq=False)
class Event:
    """What became of one row in a transaction; of a signal that is not about a row, one send."""

    kind: Kind | None  # None for a signal that is not about a row
    signal: Any
    sender: Any
    kwargs: Mapping[str, Any]  # what the last of its sends carried, with `created` and `update_fields` for all of them
    comparison: Comparison | None = field(default=None, repr=False)
    fields: tuple[str, ...] = field(default=(), repr=False)  # those whose changes the receiver asks for

    @property
    def instance(self) -> Any:
        """The instance that was sent, in its last state; None for a signal without one."""
        return self.kwargs.get("instance")

    @cached_property
    def changes(self) -> Mapping[str, Change]:
        """What is changed by the whole transaction, by the name of the field; nothing in a row that was created.

        Raises LookupError where the receiver does not watch its model.
        """
        if self.kind == "created":
            return {}
        if not self.fields or self.comparison is None:
            raise LookupError(
                f"The changes of {self.instance!r} are not known: the receiver does not watch them."
                " Connect it with when=changed(...), or when=created | changed(...) to hear new rows too."
            )
        return self.comparison.all_changes() if ALL[0] in self.fields else self.comparison.changes(self.fields)


@dataclass(frozen=True, eq=False)
class Batch:
    """Everything that one receiver has heard of one sender in a transaction."""

    events: tuple[Event, ...]  # in the order in which each began

    @property
    def instances(self) -> list[Any]:
        """Each instance once, in its last state, and with its primary key if it was deleted."""
        return _instances(self.events)

    @property
    def created(self) -> list[Any]:
        """The instances of rows that are new."""
        return self._of("created")

    @property
    def updated(self) -> list[Any]:
        """The instances of rows that were there before, and still are."""
        return self._of("updated")

    @property
    def deleted(self) -> list[Any]:
        """The instances of rows that are gone."""
        return self._of("deleted")

    def _of(self, kind: Kind) -> list[Any]:
        return _instances(event for event in self.events if event.kind == kind)


def _instances(events: Iterable[Event]) -> list[Any]:
    found: dict[Hashable, Any] = {}
    for event in events:
        instance = event.instance
        if instance is not None:
            found[row_of(instance) or id(instance)] = instance  # one that was never saved is a row of its own
    return list(found.values())
