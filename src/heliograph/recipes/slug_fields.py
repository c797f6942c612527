"""Slug fields: how the slug of a row is made of its other values, chosen among the free ones, and stored."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Model, Q
from django.utils.text import slugify as slugify_of_django

from heliograph.building import lock_for_writing, writing
from heliograph.recipes.free_slugs import CONSONANTS, LENGTH, Scope, Taken, at_random, cut, first_free, with_suffix
from heliograph.recipes.inserting import locked

Source = str | Callable[[Any], Any]


@dataclass(frozen=True)
class Slugs:
    """How the slugs of a field are made."""

    model: type[Model]
    field: Any
    scopes: Sequence[Scope]
    source: Source
    slugify: Callable[[str], str] | None
    reserved: frozenset[str]

    @property
    def label(self) -> str:
        """The model and the field, such as "app.Article.slug"."""
        return f"{self.model._meta.label}.{self.field.name}"

    def choose(self, instances: Sequence[Any], using: str) -> None:
        """Give a free slug to those instances that bring none of their own. It takes one query."""
        wanted = [one for one in instances if self._is_wanted(one)]
        if not wanted:
            return
        lock_for_writing(self.field.model, using)
        taken, bare = Taken(self.field, self.scopes), {*map(id, wanted)}
        for one in instances:
            if id(one) not in bare:
                taken.add(one, str(getattr(one, self.field.attname)))
        found = first_free(taken, [(one, self.base(one)) for one in wanted], self.reserved, using)
        for one in wanted:
            self.give(one, found[id(one)])

    def vary(self, instances: Sequence[Any]) -> bool:
        """Give random consonants to those instances whose slugs were chosen here. Return whether there are any."""
        chosen = [one for one in instances if self._is_chosen(one)]
        for one in chosen:
            self.give(one, at_random(self.base(one), self.field.max_length))
        return bool(chosen)

    def base(self, instance: Any) -> str:
        """Return the slug of an instance as it is without a number."""
        value = self.source(instance) if callable(self.source) else getattr(instance, self.source)
        if hasattr(value, "resolve_expression"):
            raise TypeError(
                f"{self.label} cannot be made of {value!r}, whose value is known only to the database. Give the row a"
                " slug."
            )
        slug, most = "" if value is None else self._slugified(str(value)), self.field.max_length
        return cut(slug, most) or cut(str(self.model._meta.model_name), most)

    def _slugified(self, text: str) -> str:
        if self.slugify is not None:
            return self.slugify(text)
        return slugify_of_django(text, allow_unicode=getattr(self.field, "allow_unicode", False))

    def is_lacking(self, instance: Any, update_fields: Collection[str] | None = None, **kwargs: Any) -> bool:
        """Return whether a save is about to write no slug."""
        name = self.field.attname
        is_written = update_fields is None or name in update_fields
        return is_written and name in instance.__dict__ and self._is_empty(instance)

    # A slug that was chosen is remembered in the state of the instance: a save that was rolled back may be repeated.

    def give(self, instance: Any, slug: str) -> None:
        """Give an instance a slug that was chosen here."""
        setattr(instance, self.field.attname, slug)
        setattr(instance._state, self._mark, slug)

    @property
    def _mark(self) -> str:
        return f"_heliograph_chosen_{self.field.attname}"

    def _is_chosen(self, instance: Any) -> bool:
        slug = instance.__dict__.get(self.field.attname)
        return bool(slug) and getattr(instance._state, self._mark, None) == slug

    def _is_wanted(self, instance: Any) -> bool:
        return self._is_empty(instance) or self._is_chosen(instance)

    def _is_empty(self, instance: Any) -> bool:
        return instance.__dict__.get(self.field.attname) in (None, "")

    # --- rows that exist ------------------------------------------------------------------------------------------

    def lacking(self, using: str, keys: Sequence[Any]) -> Iterator[Any]:
        """Query for the rows without a slug, among those with these primary keys; yield their keys."""
        name = self.field.attname
        rows = self.model._base_manager.using(using).filter(Q((name, "")) | Q((f"{name}__isnull", True)), pk__in=keys)
        return iter(rows.order_by("pk").values_list("pk", flat=True))

    def fill(self, using: str, keys: Sequence[Any]) -> None:
        """Choose and store slugs for those rows that have none, among those with these primary keys."""
        self._replace(using, keys, self._is_empty, {})

    def renew(self, using: str, keys: Sequence[Any], sent: Mapping[Any, Any]) -> None:
        """Choose and store new slugs for those rows whose slug does not fit, among those with these primary keys.

        `sent` has the instances of some of them, which get the new slugs too.
        """
        self._replace(using, keys, lambda row: not self._fits(row), sent)

    def _replace(self, using: str, keys: Sequence[Any], is_due: Callable[[Any], bool], sent: Mapping[Any, Any]) -> None:
        with writing(self.model, using):
            rows = [*locked(self.model._base_manager.using(using).filter(pk__in=keys), using)]
            due = [row for row in rows if is_due(row)]
            for row in due:
                setattr(row, self.field.attname, "")
            self.choose(due, using)
            if due:
                self._store(due, sent, using)

    def _fits(self, instance: Any) -> bool:
        """Return whether the slug of an instance is its base, maybe with a suffix."""
        slug, base = getattr(instance, self.field.attname), self.base(instance)
        suffix = str(slug).rpartition("-")[2]
        is_suffix = suffix.isdecimal() or (len(suffix) == LENGTH and {*suffix} <= {*CONSONANTS})
        return slug == base or (is_suffix and slug == with_suffix(base, suffix, self.field.max_length))

    def _store(self, rows: Sequence[Any], sent: Mapping[Any, Any], using: str) -> None:
        try:
            with transaction.atomic(using):
                self._write(rows, sent, using)
        except IntegrityError:
            if not self.vary(rows):
                raise
            self._write(rows, sent, using)

    def _write(self, rows: Sequence[Any], sent: Mapping[Any, Any], using: str) -> None:
        instances = [sent.get(row.pk, row) for row in rows]
        for row, instance in zip(rows, instances, strict=True):
            self.give(instance, getattr(row, self.field.attname))
        self.model._base_manager.using(using).bulk_update(instances, [self.field.name])
