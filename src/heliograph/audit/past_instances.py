"""Instances of rows as they were: they can be read, they refuse to be written, and they say what is not known."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

from django.db.models import Model

from heliograph.audit.points_in_time import Point, UnknownPastError


class ReadOnlyError(TypeError):
    """Code has tried to write an instance that `as_of()` has returned."""


@dataclass(frozen=True)
class Past:
    """The facts about a row as it was for which its instance has no fields. Frozen.

    - `point`: the point in time.
    - `unknown`: by the name of a field that nobody knows, the reason.
    - `gone`: by the name of a field that the model does not have any more, the stored value.
    """

    point: Point
    unknown: Mapping[str, str]  # why, by the names of the fields that nobody knows
    gone: Mapping[str, Any]  # the values, as stored, of fields that the model does not have any more


def past(instance: Model) -> Past:
    """Return the `Past` of an instance that `as_of()` has returned; TypeError for another instance."""
    try:
        found: Past = vars(instance)[_PAST]
    except KeyError:
        raise TypeError(
            f"past() takes an instance that as_of() has returned, and {instance!r} is the row of today."
        ) from None
    return found


def past_instance(model: Any, values: Mapping[str, Any], of: Past) -> Any:
    """Return a read-only instance with these values, by the names of the columns; it has no others."""
    loaded = [field.attname for field in model._meta.concrete_fields if field.attname in values]
    instance = model.from_db(of.point.using, loaded, [values[name] for name in loaded])
    vars(instance)[_PAST] = of
    vars(instance).update({name: partial(_refuse, model._meta.label, str(of.point)) for name in _WRITES})
    names = {name: field.name for field in model._meta.concrete_fields for name in (field.name, field.attname)}
    vars(instance)["refresh_from_db"] = partial(_unknown, model._meta.label, names, of)
    vars(instance)["_prefetched_objects_cache"] = _Relations(model._meta.label, str(of.point))
    return instance


_PAST = "_heliograph_past"

# The methods by which Django writes a row; the last one is called by save(), bulk_create() and bulk_update().
_WRITES = ("save", "save_base", "delete", "_prepare_related_fields_for_save")


def _refuse(label: str, point: str, *args: Any, **kwargs: Any) -> NoReturn:
    raise ReadOnlyError(
        f"This is a {label} as it was ({point}), and is not saved or deleted: load the row of now and change that, or"
        " let revert() undo an entry."
    )


def _unknown(
    label: str, names: Mapping[str, str], of: Past, using: Any = None, fields: Any = None, **kwargs: Any
) -> NoReturn:
    if fields is None:
        raise UnknownPastError(f"This is a {label} as it was ({of.point}): refreshed, it would be the row of now.")
    reasons = [f"{name} ({of.unknown[name]})" for name in map(names.__getitem__, fields)]
    raise UnknownPastError(f"Nobody knows of this {label} as it was ({of.point}): {', '.join(reasons)}.")


class _Relations(dict[str, Any]):
    """The related rows of an instance, of which its managers ask this: they would load and write the rows of now."""

    def __init__(self, label: str, point: str) -> None:
        super().__init__()
        self._shown = f"This is a {label} as it was ({point})"

    def __getitem__(self, name: str) -> NoReturn:
        raise UnknownPastError(
            f"{self._shown}, and {name!r} would have the rows of now: as_of(instance.{name}) and"
            f" keys_as_of(instance.{name}) have a many-to-many relation as it was."
        )

    def pop(self, name: str, *default: Any) -> NoReturn:
        raise ReadOnlyError(f"{self._shown}, and its {name!r} are not changed: change those of the row of now.")

    def __reduce__(self) -> Any:
        return _copied, (self._shown,)


def _copied(shown: str) -> _Relations:
    found = _Relations("", "")
    found._shown = shown
    return found
