"""Reverting: the change of an entry, or of a whole change set, is undone by a change that the log has too."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db import DEFAULT_DB_ALIAS, DatabaseError, connections, transaction
from django.db.models import ProtectedError, RestrictedError

from heliograph.audit.histories import history
from heliograph.audit.models import Action, ChangeSet, Entry
from heliograph.audit.reference_order import by_reference
from heliograph.audit.reversals import Refusal, Reversal, RevertRefused, Step
from heliograph.audit.revert_plans import Planner
from heliograph.audit.stored_changes import Related
from heliograph.context import context, current
from heliograph.databases import database_of


def revert(
    what: Entry | ChangeSet,
    /,
    *,
    preview: bool = False,
    force: bool | Collection[str] = False,
    fields: Collection[str] | None = None,
    validate: bool = True,
) -> Reversal:
    """Undo the change of an entry, or of all entries of a change set, and return what was done.

    An update sets its old values again, a row that was created is deleted, a row that was deleted is created with its
    key, and a relation loses the keys that were added and gets back the removed ones. Rows are locked, all is done in
    one transaction by `save()`, `delete()` and the manager of the relation, and the log has it with the reason "revert
    of entry 12".

    - `preview`: with `True`, nothing is done.
    - `force`: with `True`, later changes are overwritten, and fields whose old value nobody knows get their default; a
      list of names does so for these fields only.
    - `fields`: the names of the fields of an update that are reverted; None for all.
    - `validate`: whether `full_clean()` validates the fields that are set.

    Raises RevertRefused if a later change would be lost, a value is not known, the row is gone or there already, other
    rows protect it, or validation or the database refuse it; nothing is done then. Raises TypeError for anything but an
    entry or a change set.
    """
    if not isinstance(what, Entry | ChangeSet):
        raise TypeError(f"revert() takes an entry or a change set of the audit log, and not {what!r}.")
    using = what._state.db or DEFAULT_DB_ALIAS
    entries = [what] if isinstance(what, Entry) else _entries_of(what, using)
    name = f"{'entry' if isinstance(what, Entry) else 'change set'} {what.pk}"
    if preview:
        return _previewed(name, Planner(using, entries, fields), validate)
    planner = Planner(using, entries, fields, locks=True)
    with transaction.atomic(using=using), context(reason=_reason(name)):
        reversal = _planned(name, planner)
        refusals = reversal.not_forced(force)
        if refusals:
            raise RevertRefused(reversal, refusals)
        for step in reversal.steps:
            with _refusing(reversal, step):
                _do(step, using, validate)
        if reversal.steps:
            with _refusing(reversal, reversal.steps[-1]):
                database_of(connections[using]).check_deferred_constraints(connections[using])
    return reversal


def _reason(name: str) -> str:
    outer = current().reason
    return f"revert of {name}{outer and ': '}{outer}"


def _entries_of(change_set: ChangeSet, using: str) -> list[Entry]:
    return _without_parents([*history(using=using).filter(change_set=change_set)])


def _without_parents(entries: Collection[Entry]) -> list[Entry]:
    """Leave out the rows of parents that were created or deleted with the row of a child, which has them too."""
    children = {
        (one.action, one.object, one.model) for one in entries if one.action in (Action.CREATED, Action.DELETED)
    }
    return [
        one
        for one in entries
        if not any(
            (action, key) == (one.action, one.object) and _is_child(model, one.model) for action, key, model in children
        )
    ]


def _is_child(model: Any, other: Any) -> bool:
    return model is not None and other is not None and other in model._meta.parents


# --- plans --------------------------------------------------------------------------------------------------------

# Rows are created before others refer to them, and deleted when no other row does any more.
_ORDER = (Action.DELETED, Action.UPDATED, Action.RELATED, Action.CREATED)


def _planned(name: str, planner: Planner) -> Reversal:
    groups: dict[str, list[Entry]] = {action: [] for action in _ORDER}
    for entry in planner.entries:
        groups[entry.action].append(entry)
    groups[Action.DELETED] = by_reference(groups[Action.DELETED])
    groups[Action.CREATED] = by_reference(groups[Action.CREATED])[::-1]
    return Reversal(name, tuple(planner.step(one) for group in groups.values() for one in group))


def _previewed(name: str, planner: Planner, validate: bool) -> Reversal:
    """Return a reversal that was not done, validated if it has one step, on which no other step has an effect."""
    reversal = _planned(name, planner)
    if not validate or len(reversal.steps) != 1 or reversal.refusals:
        return reversal
    try:
        with _refusing(reversal, reversal.steps[0]):
            _validate(reversal.steps[0])
    except RevertRefused as refused:
        return replace(reversal, others=refused.refusals)
    return reversal


@contextmanager
def _refusing(reversal: Reversal, step: Step) -> Iterator[None]:
    """Let validation and the database refuse a revert."""
    try:
        yield
    except ValidationError as error:
        raise RevertRefused(reversal, [*_invalid(step.entry, error)]) from error
    except (ProtectedError, RestrictedError) as error:
        text = f"other rows refer to it, and protect it: {error.args[0]}"
        raise RevertRefused(reversal, [Refusal(step.entry, "", text)]) from error
    except DatabaseError as error:
        raise RevertRefused(reversal, [Refusal(step.entry, "", f"the database refuses it: {error}")]) from error


def _invalid(entry: Entry, error: ValidationError) -> Iterator[Refusal]:
    found = error.message_dict if hasattr(error, "error_dict") else {"": error.messages}
    for name, messages in found.items():
        text = f"{' '.join(messages)} validate=False does not ask full_clean()."
        yield Refusal(entry, "" if name == "__all__" else name, text)


# --- steps --------------------------------------------------------------------------------------------------------


def _do(step: Step, using: str, validate: bool) -> None:
    if validate:
        _validate(step)
    _DO[step.verb](step, using)


def _validate(step: Step) -> None:
    if step.verb == "set":
        _assign(step)
    if step.verb in ("set", "create"):
        # An empty value was stored once, although a form may ask for one.
        fields = [one for one in step.row._meta.fields if one.name in step.changes]
        known = {one.name for one in fields if getattr(step.row, one.attname) not in one.empty_values}
        step.row.full_clean(exclude={one.name for one in step.row._meta.fields} - known)


def _assign(step: Step) -> None:
    for name, change in step.changes.items():
        setattr(step.row, step.row._meta.get_field(name).attname, change.new)  # type: ignore[union-attr]  # no relation


def _set(step: Step, using: str) -> None:
    if step.changes:
        _assign(step)
        automatic = [field.name for field in step.row._meta.concrete_fields if getattr(field, "auto_now", False)]
        step.row.save(using=using, update_fields=[*step.changes, *automatic])


def _create(step: Step, using: str) -> None:
    step.row.save(using=using, force_insert=True)
    fields = step.row._meta.concrete_fields
    dates = {one.name for one in fields if getattr(one, "auto_now_add", False)} & {*step.changes}
    if dates:  # a save sets them to the time of now
        values = {name: step.changes[name].new for name in dates}  # type: ignore[union-attr]  # no relation
        type(step.row)._base_manager.using(using).filter(pk=step.row.pk).update(**values)


def _delete(step: Step, using: str) -> None:
    step.row.delete(using=using)


def _relate(step: Step, using: str) -> None:
    row = step.row
    if row is None:  # an earlier step has created it
        model, entry = step.entry.model, step.entry
        row = model._base_manager.using(using).get(pk=entry.object)
    for name, change in step.changes.items():
        if isinstance(change, Related):
            manager = getattr(row, name)
            manager.remove(*change.removed)
            manager.add(*change.added)


def _leave(step: Step, using: str) -> None:
    """Do nothing for a model that is gone: it is refused."""


_DO: Mapping[str, Callable[[Step, str], None]] = {
    "set": _set,
    "create": _create,
    "delete": _delete,
    "relate": _relate,
    "leave": _leave,
}
