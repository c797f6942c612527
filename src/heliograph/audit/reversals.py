"""Reversals: the steps of a revert and the reasons against them, as values with a text that people can read."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.audit.masked_fields import is_masked
from heliograph.audit.models import Entry
from heliograph.audit.stored_changes import Related
from heliograph.changes.comparing import Change


@dataclass(frozen=True)
class Refusal:
    """A reason why an entry is not reverted. Frozen.

    `entry` is the entry, `name` the name of the field, or "" for the row, `text` the reason, and `can_be_forced`
    whether `force=` does it all the same.
    """

    entry: Entry
    name: str  # of the field; "" for the row
    text: str
    can_be_forced: bool = False

    def __str__(self) -> str:
        where = f"{self.entry.kind.model} {self.entry.object}"
        return f"{where}{self.name and '.'}{self.name}: {self.text}"


@dataclass(frozen=True)
class Step:
    """The step that reverts one entry. Frozen.

    `entry` is the entry, and `verb` is "set", "delete", "create" or "relate". In `changes`, old is the value of now,
    and new the value that the field gets. `refusals` are the reasons against it.
    """

    entry: Entry
    verb: str  # set, delete, create, relate
    changes: Mapping[str, Change | Related]
    refusals: tuple[Refusal, ...] = ()
    row: Any = field(default=None, repr=False, compare=False)  # the instance of now, or the one to create

    def __str__(self) -> str:
        lines = [f"{self.verb} {self.entry.kind.model} {self.entry.object}"]
        return "\n".join([*lines, *(f"    {name}: {self._shown(name)}" for name in self.changes)])

    def _shown(self, name: str) -> str:
        return "masked" if is_masked(self.entry.model, name) else _shown(self.changes[name])


@dataclass(frozen=True)
class Reversal:
    """All steps of a `revert()`, done or only previewed; its text is for people. Frozen.

    `what` names the entry or the change set, `steps` is a tuple of `Step`.
    """

    what: str  # such as "entry 12"
    steps: tuple[Step, ...]
    others: tuple[Refusal, ...] = ()  # by the validation of the model, or by the database

    @property
    def refusals(self) -> tuple[Refusal, ...]:
        """All reasons against the revert, as a tuple of `Refusal`."""
        return (*(one for step in self.steps for one in step.refusals), *self.others)

    def not_forced(self, force: bool | Collection[str]) -> tuple[Refusal, ...]:
        """Return the refusals that stay if some are forced: all that can be, or those of the named fields."""
        if isinstance(force, bool):
            return tuple(one for one in self.refusals if not (force and one.can_be_forced))
        return tuple(one for one in self.refusals if not (one.can_be_forced and one.name in force))

    def __str__(self) -> str:
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        yield f"Revert of {self.what}:"
        yield from (f"  {line}" for step in self.steps for line in str(step).splitlines())
        if self.refusals:
            yield "Refused:"
            yield from (f"  {one}" for one in self.refusals)


class RevertRefused(ValueError):  # noqa: N818 - it is no mistake, but an answer
    """A revert would lose a later change, does not know a value, or its row is not there; nothing was written.

    `reversal` is the `Reversal`, `refusals` are the reasons.
    """

    def __init__(self, reversal: Reversal, refusals: Collection[Refusal]) -> None:
        self.reversal, self.refusals = reversal, tuple(refusals)
        super().__init__("\n".join([f"The revert of {reversal.what} is refused.", *self._advice()]))

    def _advice(self) -> Iterator[str]:
        yield from (f"  {one}" for one in self.refusals)
        forced = sorted({one.name for one in self.refusals if one.can_be_forced and one.name})
        if all(one.can_be_forced for one in self.refusals):
            yield f"Revert with force=True{f', or force={forced}' if forced else ''}, to do it all the same."


def _shown(change: Change | Related) -> str:
    if isinstance(change, Related):
        signs = (*(f"+{key!r}" for key in change.added), *(f"-{key!r}" for key in change.removed))
        return ", ".join(signs) or "as it is"
    return f"{change.old!r} -> {change.new!r}"
