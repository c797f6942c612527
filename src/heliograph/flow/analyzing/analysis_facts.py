"""The facts of an analysis: what a write has caused, and what stays of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import Error

from heliograph.flow.asked_writes import AskedWrite
from heliograph.flow.effects.seen_effects import Effect
from heliograph.flow.tree import Tree


@dataclass(frozen=True, slots=True)
class ChangedField:
    """A field that a save has changed, with the texts of its values; None for those of a sensitive field."""

    name: str
    old: str | None
    new: str | None

    def __str__(self) -> str:
        return f"{self.name} (hidden)" if self.new is None else f"{self.name} {self.old} -> {self.new}"


@dataclass(frozen=True, slots=True)
class SavedRow:
    """A row that a save has written."""

    is_created: bool
    changes: tuple[ChangedField, ...] = ()  # none of a new row


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery that would wait in the outbox for a worker."""

    receiver: str  # its module and name
    signal: str
    queue: str
    key: str  # "" for none
    size: int  # of its payload, in bytes


@dataclass(frozen=True, slots=True)
class HeldFunction:
    """A function that would be called after the commit."""

    function: Callable[..., Any]
    using: str  # the alias of the database
    is_receiver: bool  # with delivery=OnCommit(); the others were given to transaction.on_commit()


@dataclass(frozen=True)
class AnalysisFacts:
    """The effects of a write, as they were seen when the write was made and rolled back."""

    asked: AskedWrite
    pk: Any  # of the row that was written
    seconds: float
    tree: Tree  # of the saves, sends, calls and queries
    saved: Mapping[int, SavedRow]  # by the numbers of the saves in the tree
    deliveries: tuple[StoredDelivery, ...]
    after_commit: tuple[HeldFunction, ...]
    refused: Mapping[str, Error]  # why a database would refuse the commit, by alias
    raised: BaseException | None  # what the write has raised
    effects: tuple[Effect, ...]
    sql: bool = False  # whether the text has all statements

    @property
    def not_undone(self) -> list[Effect]:
        """The effects that have happened, and stay after the rollback."""
        return [effect for effect in self.effects if not effect.is_held]

    @property
    def held(self) -> list[Effect]:
        """The effects that were held back: mails, and writes of caches."""
        return [effect for effect in self.effects if effect.is_held]
