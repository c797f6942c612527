"""The history of a row, of a model, or of everything: a queryset of entries, the newest first."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import reduce
from operator import or_
from typing import Any, Self

from django.db.models import Model, Q
from django.db.models.base import ModelBase

from heliograph.audit.acts import name_of
from heliograph.audit.entry_kinds import of_kinds
from heliograph.audit.models import Action, ChangeSet, Entry, UneditableQuerySet
from heliograph.audit.named_rows import NamedRow, named, tables_of
from heliograph.context.actors import actor_of

# The change sets of a transaction are written together at its end, so their numbers differ by no more than this.
_END = timedelta(hours=1)


class History(UneditableQuerySet[Entry]):
    """A queryset of entries, with their kinds and change sets."""

    def by(self, user: Any) -> Self:
        """Return the entries of a user, of an actor that is no user, such as "cron", or, for None, of nobody."""
        return self.filter(change_set__actor=actor_text(user))

    def between(self, start: datetime | None = None, end: datetime | None = None) -> Self:
        """Return the entries from a datetime on, until right before another one; None for no limit."""
        found = self if start is None else self.filter(change_set__at__gte=start)
        return found if end is None else found.filter(change_set__at__lt=end)

    def changing(self, *fields: str) -> Self:
        """Return the entries that have one of these fields: also of rows that were created and deleted with it."""
        return self._of_kinds(reduce(or_, (Q(fields__contains=f",{name},") for name in fields), Q()))

    def actions(self, *actions: str) -> Self:
        """Return the entries with one of these actions: created, updated, deleted, related.

        Raises ValueError for another action.
        """
        for action in actions:
            Action(action)
        return self._of_kinds(Q(action__in=actions))

    def in_transaction_of(self, entry: Entry | ChangeSet) -> Self:
        """Return the entries of the same transaction, also of its other actors; this asks for their change sets."""
        return self.filter(change_set__in=sets_of_transaction(entry))

    def of(self, rows: Iterable[NamedRow]) -> Self:
        """Return the entries of rows, each as it is named in one of its tables."""
        found = [Q(object=row.key) & of_kinds(Q(model=row.label)) for row in rows]
        return self.filter(reduce(or_, found))

    def of_models(self, labels: Iterable[str]) -> Self:
        """Return the entries of models, by their labels."""
        return self._of_kinds(Q(model__in=[*labels]))

    def _of_kinds(self, which: Q) -> Self:
        return self.filter(of_kinds(which))


def history(what: Any = None, /, *, using: str | None = None) -> History:
    """Return the entries of a row, of a model or, without an argument, of everything, the newest first.

    The result is a `History`. A row is an instance, or `(model, key)` if it was deleted; a model is a class, or a label
    such as "shop.Product" if it is gone. A row of a child has the entries of its parents' tables too, and a proxy those
    of its model. `using` is the alias of the database, by default that of the instance.

    Raises TypeError for something else, and ValueError for an instance without a key.
    """
    entries = History(Entry).select_related("kind", "change_set").order_by("-id")
    using = using or (what._state.db if isinstance(what, Model) else None)
    entries = entries if using is None else entries.using(using)
    if what is None:
        return entries
    if isinstance(what, ModelBase | str):
        return entries.of_models([what] if isinstance(what, str) else labels_of(what))
    if isinstance(what, Model | tuple):
        return entries.of(named(what, using))
    raise TypeError(f"history() takes an instance, a model, or (model, key), and not {what!r}.")


def labels_of(model: Any) -> list[str]:
    """Return the labels of the models of all tables of a model."""
    return [one._meta.label for one in tables_of(model)]


def actor_text(user: Any) -> str:
    """Return the text that a change set has for an actor: a user, a text, or None for nobody."""
    actor = actor_of(user)
    return "" if actor is None else name_of(actor)


def sets_of_transaction(one: Entry | ChangeSet) -> list[int]:
    """Return the numbers of the change sets of the transaction that an entry or a change set belongs to."""
    change_set = one if isinstance(one, ChangeSet) else one.change_set
    first = change_set.first or change_set.pk
    others = ChangeSet.objects.using(one._state.db).filter(
        first=first, at__range=(change_set.at - _END, change_set.at + _END)
    )
    return sorted({first, change_set.pk, *others.values_list("pk", flat=True)})
