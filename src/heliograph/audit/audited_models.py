"""The models that are audited, and which of their fields an entry has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Any

from heliograph.changes.plans import Plan
from heliograph.changes.presenting import has_own_descriptor


@dataclass(frozen=True, eq=False)
class Audited:
    """A model that is audited: the handle of a declaration.

    Each table of a model with parents is audited by itself: `fields` are those of its own table.
    """

    model: Any
    fields: Mapping[str, Any]  # by name, without the primary key and without generated fields
    relations: Mapping[str, Any]  # many-to-many fields by name
    masked: frozenset[str] = frozenset()  # the fields of which an entry says only that they have changed
    named: tuple[str, ...] = ()  # the foreign keys of which an entry also says how the object was called
    subject: str | None = None  # the foreign key to the person whom the rows are about
    exact: bool = True  # whether rows are locked and read before they are saved
    keep: timedelta | None = None  # how long entries are kept; None for ever
    line: str = ""  # the file and line of the declaration
    is_implied: bool = False  # by a declaration of a child, or by the settings: a declaration takes its place
    undo: list[Callable[[], Any]] = field(default_factory=list, repr=False)  # disconnects the receivers
    _positions: dict[Plan, Sequence[tuple[str, int, Any]]] = field(default_factory=dict, repr=False)

    @property
    def label(self) -> str:
        """The label of the model, such as shop.Product."""
        return str(self.model._meta.label)

    @cached_property
    def automatic(self) -> frozenset[str]:
        """The names of the fields that Django sets at each save: alone they are no change."""
        return frozenset(name for name, one in self.fields.items() if getattr(one, "auto_now", False))

    @cached_property
    def presented(self) -> frozenset[str]:
        """The names of the fields whose descriptor may give something else than their column has."""
        return frozenset(name for name, one in self.fields.items() if has_own_descriptor(self.model, one))

    def positions_in(self, plan: Plan) -> Sequence[tuple[str, int, Any]]:
        """Return the name of each field that a plan has, its position in the plan, and the field."""
        found = self._positions.get(plan)
        if found is None:
            known = ((name, plan.positions.get(name), one) for name, one in self.fields.items())
            found = [(name, at, one) for name, at, one in known if at is not None]
            self._positions.clear()  # plans change when receivers connect, and there is mostly one
            self._positions[plan] = found
        return found

    def disconnect(self) -> bool:
        """End the audit of the model; return whether it was audited until now."""
        if AUDITED.get(self.model) is not self:
            return False
        del AUDITED[self.model]
        for undo in self.undo:
            undo()
        return True


# The audited models.
AUDITED: dict[Any, Audited] = {}

# What was refused once models were loaded, each with the line of its declaration.
PROBLEMS: list[tuple[Exception, str]] = []
