"""As-of: a row, the rows of a model or a many-to-many relation as they were at a point."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any, TypeVar, overload

from django.db.models import Manager, Model, QuerySet
from django.db.models.base import ModelBase
from django.db.models.manager import BaseManager

from heliograph.audit.audited_models import AUDITED
from heliograph.audit.backwards import keys_before
from heliograph.audit.change_texts import key_text
from heliograph.audit.models import Action, ChangeSet, Entry
from heliograph.audit.named_rows import as_key
from heliograph.audit.past_instances import past
from heliograph.audit.past_rows import PastRows
from heliograph.audit.points_in_time import Point, UnknownPastError, point_of, verify_audited
from heliograph.bulk.m2m_sides import Side, sides_of

M = TypeVar("M", bound=Model)
When = datetime | Entry | ChangeSet


@overload
def as_of(
    what: type[M], point: When, /, *, before: bool = False, keys: Iterable[Any] | None = None, using: str | None = None
) -> Iterator[M]: ...
@overload
def as_of(
    what: M | tuple[type[M], Any], point: When, /, *, before: bool = False, using: str | None = None
) -> M | None: ...
@overload
def as_of(
    what: Manager[M], point: When | None = None, /, *, before: bool = False, using: str | None = None
) -> Iterator[M]: ...


def as_of(
    what: Any,
    point: Any = None,
    /,
    *,
    before: bool = False,
    keys: Iterable[Any] | None = None,
    using: str | None = None,
) -> Any:
    """Return a row, the rows of a model, or the rows of a many-to-many relation as they were.

    - For an instance or `(model, key)`, the result is one row, or None if it was not there.
    - For a model, the result is an iterator of its rows, or of the rows with these primary `keys`.
    - For the manager of a relation such as `product.tags`, the result is an iterator of the rows that were related
      then.

    The point is a datetime, an entry or a change set. A datetime has the transactions that were written until then, an
    entry and a change set are right after their transaction; `before=True` is right before. A relation of an instance
    that `as_of` has returned is as of the same point without one. `using` is the alias of the database.

    The instances cannot be written: this raises `ReadOnlyError`. A field that nobody knows is deferred, and raises
    `UnknownPastError` when it is read: `past(instance)` says which and why.

    Raises TypeError for a queryset and for a model that is not audited, ValueError for a time without a time zone, and
    UnknownPastError for a time of which entries are not kept.
    """
    _verify(what)
    if isinstance(what, BaseManager):
        return _related(what, point, before, using)
    if isinstance(what, ModelBase):
        rows = _rows(what, point, before, using)
        return rows.all() if keys is None else rows.of_keys([as_key(what, key) for key in keys])
    model, key, using = _named_row(what, using)
    return next(_rows(model, point, before, using).of_keys([key]), None)


def keys_as_of(
    relation: Any, point: When | None = None, /, *, before: bool = False, using: str | None = None
) -> frozenset[Any]:
    """Return the keys of the rows to which a row was related: `keys_as_of(product.tags, point)`.

    Raises TypeError for a relation that is no many-to-many field, or is asked from the other side, and
    UnknownPastError if an entry about it was forgotten.
    """
    side = _side(relation)
    when = _point_of_relation(relation, point, before, using)
    source, key = relation.instance, getattr(relation.instance, side.field.m2m_target_field_name())
    verify_audited(type(source), when)
    through = relation.through._base_manager.using(when.using)
    keys = through.filter(**{side.source: key}).values_list(side.target, flat=True)
    entries = when.entries_after().of_models([side.field.model._meta.label]).changing(side.field.name)
    entries = entries.actions(Action.RELATED).filter(object=key_text(key)).reverse()
    try:
        return frozenset(keys_before(entries, side.field.name, keys))
    except LookupError as error:
        raise UnknownPastError(f"Nobody knows {side.field.name} of {source!r} as it was ({when}): {error}.") from None


def _rows(model: Any, point: Any, before: bool, using: str | None) -> PastRows:
    when = point_of(point, before=before, using=using)
    verify_audited(model, when)
    return PastRows(model, when)


def _named_row(what: Any, using: str | None) -> tuple[Any, Any, str | None]:
    if isinstance(what, Model):
        if what.pk is None:
            raise ValueError(f"{what!r} has no primary key: give ({type(what).__name__}, key) in its place.")
        return type(what), what.pk, using or what._state.db
    model, key = what
    return model, as_key(model, key), using


def _verify(what: Any) -> None:
    if isinstance(what, QuerySet):
        label = what.model.__name__
        raise TypeError(
            f"A queryset selects rows by their values of today: look at the rows of as_of({label}, point),"
            f" or take the rows whose keys you know by as_of({label}, point, keys=[...])."
        )
    if not isinstance(what, Model | ModelBase | BaseManager | tuple):
        raise TypeError(f"as_of() takes an instance, a model, (model, key) or a relation, and not {what!r}.")


# --- relations ----------------------------------------------------------------------------------------------------


def _related(relation: Any, point: Any, before: bool, using: str | None) -> Iterator[Any]:
    """Yield the rows that were related, each as it was."""
    side = _side(relation)
    when = _point_of_relation(relation, point, before, using)
    verify_audited(relation.model, when)
    keys = keys_as_of(relation, point, before=before, using=using)
    target = side.field.remote_field.through._meta.get_field(side.field.m2m_reverse_field_name()).target_field
    if not target.primary_key:
        raise TypeError(
            f"{side.field} refers to {target}, which is no primary key: keys_as_of() has the values of that field."
        )
    return PastRows(relation.model, when).of_keys(sorted(keys))


def _point_of_relation(relation: Any, point: Any, before: bool, using: str | None) -> Point:
    if point is None:
        return past(relation.instance).point
    return point_of(point, before=before, using=using or relation.instance._state.db)


def _side(relation: Any) -> Side:
    through, instance = getattr(relation, "through", None), getattr(relation, "instance", None)
    if through is None or instance is None:
        raise TypeError(f"{relation!r} is no many-to-many relation of an instance, as product.tags is.")
    name = relation.prefetch_cache_name
    sides = [one for one in sides_of(through) if one.field.name == name and isinstance(instance, one.field.model)]
    if not sides:
        raise TypeError(f"{name!r} is the other side of a relation: ask the instances of the model that has the field.")
    audited = AUDITED.get(sides[0].field.model)
    if audited is not None and name not in audited.relations:
        raise TypeError(f"{sides[0].field} is left out of the audit, so that nobody knows how it was.")
    return sides[0]
