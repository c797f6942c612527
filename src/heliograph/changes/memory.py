"""Memory: what an instance knows of its row, until a rollback makes it know better."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connections

from heliograph.changes.plans import Plan, is_among
from heliograph.changes.values import UNKNOWN, copied, is_same, kept
from heliograph.moments import Moment, now

# The attribute of an instance's `_state` that remembers its row, as a sequence of all its columns (what a query gave),
# a dict of some, or a `Saved`.
MEMORY = "_heliograph"


class Saved:
    """The values of a row as they were saved, and what was remembered before, in case that is rolled back."""

    __slots__ = ("before", "moment", "names", "values")

    def __init__(self, names: tuple[str, ...], values: tuple[Any, ...], moment: Moment | None, before: Any) -> None:
        self.names = names
        self.values = values
        self.moment = moment
        self.before = before

    def as_dict(self) -> dict[str, Any]:
        """Return the values by the attributes of their fields."""
        return dict(zip(self.names, self.values, strict=True))

    def __reduce__(self) -> Any:
        # A copy or a pickle is read outside of the transaction, maybe by a process that has no Heliograph.
        memory = settled(self)
        if memory is None:
            return type(None), ()
        is_row = type(memory) in (tuple, list)
        return (tuple, (memory,)) if is_row else (dict, (memory.as_dict() if type(memory) is Saved else memory,))


def settled(memory: Any) -> Any:
    """Return what is remembered when what was rolled back is forgotten."""
    while type(memory) is Saved and memory.moment is not None and memory.moment.is_undone:
        memory = memory.before
    return memory


def remembered(instance: Any) -> Any:
    """Return what an instance remembers, be it rolled back or not."""
    return getattr(instance._state, MEMORY, None)


def recalled(memory: Any, instance: Any, plan: Plan) -> Sequence[Any]:
    """Return the values of the instance's row as far as they are in a memory."""
    kind = type(memory)
    if kind is Saved and memory.moment is not None:
        memory = settled(memory)
        kind = type(memory)
    if kind is Saved and memory.names == plan.names:
        values = memory.values
    elif (kind is list or kind is tuple) and len(memory) == len(plan.columns):
        values = plan.from_row(memory)
    else:
        values = _some_values(memory, plan)
    is_usual = plan.keys == 1 and values[0] is instance.__dict__.get(plan.names[0])
    return values if is_usual or _is_of_row(plan, values, instance) else plan.unknown


def _some_values(memory: Any, plan: Plan) -> Sequence[Any]:
    """Return the values that are in a memory of other fields than those of the plan."""
    known = memory.as_dict() if type(memory) is Saved else memory
    return [known.get(name, UNKNOWN) for name in plan.names] if isinstance(known, dict) else plan.unknown


def _is_of_row(plan: Plan, values: Sequence[Any], instance: Any) -> bool:
    """Return whether values are those of the row that the instance stands for; it may have got another primary key."""
    keys = [instance.__dict__.get(name) for name in plan.names[: plan.keys]]
    return all(map(is_same, plan.fields, values, keys))


def remember(instance: Any, plan: Plan, values: Sequence[Any], moment: Moment | None, before: Any) -> None:
    """Let an instance remember these values of its row."""
    if moment is None:
        before = None
    elif type(before) is Saved and before.moment is moment:
        before = before.before  # both are undone or neither is
    else:
        before = _needed(before, moment)
    instance._state._heliograph = Saved(plan.names, tuple(values), moment, before)


def _needed(before: Any, moment: Moment) -> Any:
    """Return what of a memory a rollback could bring back, so that a long transaction holds no more."""
    before = settled(before)
    while type(before) is Saved and before.moment is not None and moment.goes_with(before.moment):
        before = before.before
    if type(before) is Saved and before.moment is not None:
        is_open = before.moment.transaction.is_open
        before.before = _needed(before.before, before.moment) if is_open else None
    return before


def measured(instance: Any, plan: Plan, names: Collection[str]) -> None:
    """Remember the fields with these names as they are now, since they were just read from the row."""
    memory = settled(remembered(instance))
    moment = now(connections[instance._state.db]) if _is_undoable(memory) else None
    values = instance.__dict__
    old = recalled(memory, instance, plan)
    new = [
        kept(values[field.attname]) if field.attname in values and is_among(field, names) else value
        for field, value in zip(plan.fields, old, strict=True)
    ]
    remember(instance, plan, new, moment, memory)


def _is_undoable(memory: Any) -> bool:
    """Return whether a memory goes with a transaction that is still open."""
    return type(memory) is Saved and memory.moment is not None and memory.moment.transaction.is_open


def protect(instance: Any, name: str, column: int, value: Any) -> None:
    """Remember a copy of a value that the instance is about to give away, and that may be changed in place."""
    memory = remembered(instance)
    place: Any = name if isinstance(memory, dict) else column
    if isinstance(memory, dict | list | tuple) and memory[place] is value:
        memory = {**memory} if isinstance(memory, dict) else [*memory]
        memory[place] = copied(value)
        setattr(instance._state, MEMORY, memory)
