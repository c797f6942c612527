"""Memory: the values of its row that an instance remembers, with the older values that a rollback would bring back."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connections

from heliograph.changes.plans import SAVING, Plan, is_among, value_of
from heliograph.changes.values import SCALARS, UNKNOWN, copied, is_same, kept
from heliograph.orm.savepoint_times import SavepointTime, now


@dataclass(slots=True, eq=False)
class Saved:
    """The values of a row as they were saved, and the memory before, which counts again after a rollback."""

    names: tuple[str, ...]
    values: tuple[Any, ...]
    since: SavepointTime | None  # the savepoint time of the save; None in autocommit
    before: Any

    def as_dict(self) -> dict[str, Any]:
        """Return the values that are known, by the attributes of their fields."""
        known = zip(self.names, self.values, strict=True)
        return {name: value_of(value) for name, value in known if value is not UNKNOWN}

    def __reduce__(self) -> Any:
        # A copy or a pickle is read outside of the transaction, maybe by a process that has no Heliograph.
        memory = current(self)
        return dict, (memory.as_dict() if type(memory) is Saved else memory if isinstance(memory, dict) else {},)


def current(memory: Any) -> Any:
    """Return the memory that counts: the newest one that was not rolled back."""
    while type(memory) is Saved and memory.since is not None and memory.since.is_undone:
        memory = memory.before
    return memory


def remembered(instance: Any, plan: Plan) -> Any:
    """Return the newest memory of an instance, rolled back or not."""
    return getattr(instance._state, plan.memory, None)


def name_fields(state: Any, plan: Plan) -> None:
    """Let the `_state` of a copy or a pickle name the fields that it remembers, and forget the save under way.

    By their names, since a process with another version of the model may read it.
    """
    state.__dict__.pop(SAVING, None)
    memory = current(state.__dict__.pop(plan.memory, None))
    if type(memory) in (list, tuple) and len(memory) == len(plan.columns):
        memory = dict(zip((column.attname for column in plan.columns), memory, strict=True))
    if memory is not None:
        setattr(state, plan.memory, memory)


def recalled(memory: Any, instance: Any, plan: Plan) -> Sequence[Any]:
    """Return the values of the instance's row as far as they are in a memory."""
    kind = type(memory)
    if kind is Saved and memory.since is not None and memory.since.transaction.has_rollback:
        memory = current(memory)
        kind = type(memory)
    if kind is Saved and memory.names == plan.names:
        values = memory.values
    elif (kind is list or kind is tuple) and len(memory) == len(plan.columns):
        values = plan.from_row(memory)
    else:
        values = _some_values(memory, plan)
    if values is plan.unknown:  # as for a new row
        return values
    is_usual = plan.keys == 1 and values[0] is instance.__dict__.get(plan.names[0])
    return values if is_usual or _is_of_row(plan, values, instance) else plan.unknown


def _some_values(memory: Any, plan: Plan) -> Sequence[Any]:
    """Return the values from a memory whose fields are not the fields of the plan."""
    known = memory.as_dict() if type(memory) is Saved else memory
    return [known.get(name, UNKNOWN) for name in plan.names] if isinstance(known, dict) else plan.unknown


def _is_of_row(plan: Plan, values: Sequence[Any], instance: Any) -> bool:
    """Return whether values belong to the row of the instance, which may have got another primary key."""
    keys = [instance.__dict__.get(name) for name in plan.names[: plan.keys]]
    return all(map(is_same, plan.fields, values, keys))


def remember(instance: Any, plan: Plan, values: Sequence[Any], since: SavepointTime | None, before: Any) -> None:
    """Let an instance remember these values of its row, since a savepoint time; `before` is its memory before."""
    if since is None:
        before = None
    elif type(before) is not Saved:
        pass
    elif before.since is since:
        before = before.before  # both are undone or neither is
    elif before.since is None or not (before.since.transaction.is_open or before.since.transaction.has_rollback):
        before.before = None
    else:
        before = _needed(before, since)
    setattr(instance._state, plan.memory, Saved(plan.names, tuple(values), since, before))


def _needed(before: Any, since: SavepointTime) -> Any:
    """Return the part of a memory that a rollback could bring back, so that a long transaction holds no more."""
    before = _beyond(current(before), since)
    if type(before) is Saved and before.since is not None:
        # Older memories were looked through when this one was new.
        before.before = _beyond(before.before, before.since) if before.since.transaction.is_open else None
    return before


def _beyond(memory: Any, time: SavepointTime) -> Any:
    """Return the newest memory that some rollback undoes later than what is done at a savepoint time, or never."""
    while type(memory) is Saved and memory.since is not None and time.goes_with(memory.since):
        memory = memory.before
    return memory


def measured(instance: Any, plan: Plan, names: Collection[str]) -> None:
    """Remember the fields with these names as they are now, since they were just read from the row."""
    memory = current(remembered(instance, plan))
    since = now(connections[instance._state.db]) if _is_undoable(memory) else None
    remember(instance, plan, _measured_row(instance, plan, names, memory), since, memory)


def stored(instance: Any, plan: Plan, names: Collection[str] | None, since: SavepointTime | None) -> None:
    """Remember the fields with these names (None are all) as they are now, written at a savepoint time."""
    memory = remembered(instance, plan)
    new = _measured_row(instance, plan, names, memory)
    for at in plan.presented:
        if plan.names[at] in instance.__dict__ and is_among(plan.fields[at], names):
            new[at] = kept(getattr(instance, plan.names[at]))
    for at, sources in plan.sources.items():
        if names is not None and any(is_among(plan.fields[source], names) for source in sources):
            new[at] = UNKNOWN  # only the database knows it
    remember(instance, plan, new, since, memory)


def _measured_row(instance: Any, plan: Plan, names: Collection[str] | None, memory: Any) -> list[Any]:
    values, keys = instance.__dict__, plan.fields[: plan.keys]
    if names is None and values.keys() >= plan.attributes:  # nothing of the memory is left
        row = plan.from_dict(values)
        return [*row] if SCALARS.issuperset(map(type, row)) else [*map(kept, row)]
    return [
        kept(values[field.attname]) if field.attname in values and (field in keys or is_among(field, names)) else value
        for field, value in zip(plan.fields, recalled(memory, instance, plan), strict=True)
    ]


def _is_undoable(memory: Any) -> bool:
    """Return whether a rollback of a transaction that is still open may undo a memory."""
    return type(memory) is Saved and memory.since is not None and memory.since.transaction.is_open


def protect(instance: Any, plan: Plan, name: str, value: Any) -> None:
    """Remember a copy of a value that the instance is about to give away, and that may be changed in place."""
    memory = remembered(instance, plan)
    if isinstance(memory, dict):
        if memory.get(name) is value:
            setattr(instance._state, plan.memory, {**memory, name: copied(value)})
    elif type(memory) in (list, tuple) and len(memory) == len(plan.columns) and name in plan.positions:
        column = plan.columns.index(plan.field(name))
        if memory[column] is value:
            setattr(instance._state, plan.memory, [*memory[:column], copied(value), *memory[column + 1 :]])
