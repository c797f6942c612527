"""Protect: a deletion of rows that must stay is refused before it begins, whichever method of Django deletes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.core.exceptions import FieldError
from django.db import connections
from django.db.models import Model, ProtectedError, Q
from django.utils.functional import SimpleLazyObject

from heliograph import Condition
from heliograph.building import lock_for_writing, qualified_name
from heliograph.recipes.declarations import Declaration, declare, named, written
from heliograph.signals import deletion_asked, pre_bulk_delete, pre_delete

_NAMED = 3  # as many rows a message names


class ProtectedRowError(ProtectedError):
    """A deletion was refused, because of the rows in `protected_objects`, which have the values of the database."""

    def __str__(self) -> str:
        return str(self.args[0])


def protect(
    model: type[Model] | str, *, when: Q | Callable[[Any], object] | None = None, message: str = ""
) -> Declaration:
    """Refuse to delete the rows of a model for which `when` holds: a `Q`, or a function of the row; else all rows.

        protect(Book, when=Q(is_featured=True), message="Featured books stay.")

    This works for `delete()` of an instance and of a query, for cascades and for related managers. The rows are locked
    and read first, so a stale copy does not count. Nothing is deleted; the deletion raises `ProtectedRowError` with the
    message. The model may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for a proxy, or a `when` that cannot be asked; if models are not loaded yet, a
    system check reports it.
    """
    given = {name: value for name, value in (("when", _shown(when)), ("message", message or None)) if value is not None}
    text = written("protect", model, **given)
    if not _can_be_asked(when):
        raise TypeError(f"{text}: when= is a Q(...) or a function of the row, such as lambda row: row.is_featured.")

    def connect(declaration: Declaration, model: type[Model]) -> None:
        _verify(text, model, when)
        protection = Protection(model, when, message or f"It is protected at {declaration.line}.")
        for signal, method in protection.receivers():
            declaration.connect(signal, named(f"protect({model._meta.label})", method), sender=model, subclasses=True)

    return declare(text, connect, model)


def _can_be_asked(when: Any) -> bool:
    is_function = callable(when) and not isinstance(when, Condition)
    return when is None or isinstance(when, Q) or is_function


class _Name(str):
    """A name that is written as it is."""

    __slots__ = ()
    __repr__ = str.__str__


def _shown(when: Any) -> Any:
    return _Name(qualified_name(when)) if callable(when) and not isinstance(when, Condition) else when


def _verify(text: str, model: type[Model], when: Any) -> None:
    """Raise TypeError for a model or a `Q` that cannot work."""
    if model._meta.proxy:
        concrete: Any = model._meta.concrete_model
        raise TypeError(
            f"{text}: {model._meta.label} is a proxy. Protect the rows of its table: protect({concrete._meta.label!r})."
        )
    try:
        if isinstance(when, Q):
            model._base_manager.filter(when)
    except FieldError as error:
        raise TypeError(f"{text}: {error}.") from error


@dataclass(frozen=True)
class Protection:
    """The receivers that refuse to delete some rows of a model."""

    model: type[Model]
    when: Any
    message: str
    # The query for the protected rows of a model and an alias, which is built once, and each deletion narrows.
    queries: dict[tuple[Any, str], Any] = field(default_factory=dict, compare=False, repr=False)

    def receivers(self) -> Iterator[tuple[Any, Callable[..., None]]]:
        """Yield what receives deletions, with the signals."""
        yield pre_bulk_delete, self.of_rows
        yield pre_delete, self.of_instance
        yield deletion_asked, self.of_question

    def of_rows(self, sender: Any, queryset: Any, using: str, **kwargs: Any) -> None:
        """Refuse a deletion of rows that go by a query or a cascade."""
        # A child by inheritance is deleted with its row of this table, which is sent too, unless that row stays.
        if sender._meta.concrete_model is self.model:
            self._refuse(self._asked(queryset), using)

    def of_instance(self, sender: Any, instance: Any, using: str, origin: Any, **kwargs: Any) -> None:
        """Refuse `delete()` of an instance, which is not among those rows."""
        if instance is origin and sender._meta.concrete_model is self.model:
            if (sender, using) not in self.queries:
                self.queries[sender, using] = self._asked(sender._base_manager.using(using))
            self._refuse(self.queries[sender, using].filter(pk=instance.pk), using)

    def of_question(self, sender: Any, queryset: Any, **kwargs: Any) -> None:
        """Answer the admin, which asks before it deletes, with the protected rows; each says why it is protected."""
        if sender._meta.concrete_model is self.model:
            found = self._protected(self._asked(queryset))
            if found:
                raise self._error(found, {Explained(row, self.message) for row in found})

    def _refuse(self, rows: Any, using: str) -> None:
        """Lock and read the rows, and raise an error if some are protected."""
        connection = connections[using]
        lock_for_writing(self.model, using)
        of = ("self",) if connection.features.has_select_for_update_of else ()
        found = self._protected(rows.select_for_update(of=of))
        if found:
            raise self._error(found, {*found})

    def _asked(self, rows: Any) -> Any:
        """Return a query for those of some rows that are protected, as far as the database can say."""
        return (rows.filter(self.when) if isinstance(self.when, Q) else rows).order_by("pk")

    def _protected(self, rows: Any) -> list[Any]:
        """Query for the rows that are protected."""
        if self.when is None or isinstance(self.when, Q):
            return [*dict.fromkeys(rows)]  # a relation to many rows would repeat one
        return [row for row in rows if self.when(row)]

    def _error(self, found: Sequence[Any], rows: set[Any]) -> ProtectedRowError:
        return ProtectedRowError(f"{_names(found)} cannot be deleted. {self.message}", rows)


class Explained(SimpleLazyObject):  # type: ignore[type-arg]  # it has no parameters outside of its stub
    """A protected row, whose text says why it is protected; the admin shows that text."""

    def __init__(self, row: Any, message: str) -> None:
        super().__init__(lambda: row)
        vars(self)["_text"] = f"{row} ({message})"

    def __str__(self) -> str:
        return self._text  # type: ignore[no-any-return]


def _names(rows: Sequence[Any]) -> str:
    names = ", ".join(f"{row._meta.label} {row.pk!r} ({row})" for row in rows[:_NAMED])
    return names if len(rows) <= _NAMED else f"{names} and {len(rows) - _NAMED} more"
