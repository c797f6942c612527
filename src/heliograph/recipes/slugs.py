"""Slugs: a field has a slug of other values of the row, unique where the database keeps it unique."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import CharField, ForeignKey, Model

from heliograph import UNKNOWN, Batch, BeforeWrite, Inline, changed, created, raw
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.free_slugs import LENGTH, Scope, folded, scopes_of
from heliograph.recipes.inserting import insert_missing, unique_sets
from heliograph.recipes.slug_fields import Slugs, Source
from heliograph.recipes.subjects import Difference, SubjectOfRows
from heliograph.signals import post_save, pre_save


def unique_slug(
    model: type[Model] | str,
    field: str,
    *,
    source: Source,
    slugify: Callable[[str], str] | None = None,
    reserved: Collection[str] = (),
    renew: bool = False,
    history: type[Model] | str | None = None,
) -> Declaration:
    """Give each new row a slug that no other row has: "tea", "tea-2", "tea-3".

        unique_slug(Article, "slug", source="title")

    This works for `save()` and for `bulk_create()`, and for writers at the same time. A slug that the row brings is
    kept, and so are the rows of fixtures. The unique constraints of the field say among which rows it is unique.

    - `source`: the name of a field, or a function of the row.
    - `slugify`: a function of the text, by default Django's, with the `allow_unicode` of the field.
    - `reserved`: slugs that no row gets.
    - `renew`: with `True`, the slug follows the source.
    - `history`: a model with a field of the same name and a foreign key to the row. It gets the old slug when the slug
      changes.

    Models may be named "app.Model". Returns a `Declaration`.

    Raises TypeError, with what to do, for what does not fit; if models are not loaded yet, a system check reports it.
    """
    _verify_options(slugify, reserved)
    given = {"slugify": slugify, "reserved": sorted(reserved), "renew": renew, "history": history}
    text = written("unique_slug", model, field, source=source, **{name: one for name, one in given.items() if one})
    models = [model] if history is None else [model, history]

    def connect(declaration: Declaration, model: type[Model], history: type[Model] | None = None) -> None:
        found = _verified_field(text, model, field)
        scopes = _verified_scopes(text, found)
        _verify_source(text, model, found, source, renew)
        slugs = Slugs(model, found, scopes, source, slugify, frozenset(map(folded, reserved)))
        declaration.claim(found, f"{field!r} has a declaration already", "Take one of them away.")
        declaration.subjects = (SubjectOfSlugs(slugs.label, model, slugs),)
        _choose(declaration, slugs)
        if renew:
            _renew(declaration, slugs)
        if history is not None:
            _remember(declaration, slugs, history, _verified_link(text, history, found))

    return declare(text, connect, *models)


# --- receivers ----------------------------------------------------------------------------------------------------


class SlugReceiver:
    """The base of the receivers, which lists show by the name of the recipe and the field."""

    def __init__(self, slugs: Slugs) -> None:
        self.slugs = slugs
        self.__name__ = self.__qualname__ = f"unique_slug({slugs.label})"


class Choosing(SlugReceiver):
    """The receiver that is called before rows are written."""

    def __call__(self, sender: Any, batch: Batch, using: str, refused: Exception | None, **kwargs: Any) -> None:
        """Choose slugs; if the database has refused them, choose others, which it cannot refuse for the same reason."""
        if refused is None:
            self.slugs.choose(batch.sent_instances, using)
        elif not self.slugs.vary(batch.sent_instances):
            raise refused


def _choose(declaration: Declaration, slugs: Slugs) -> None:
    options: Any = {"sender": slugs.model, "subclasses": True, "delivery": BeforeWrite(attempts=2)}
    declaration.connect(pre_save, Choosing(slugs), when=~raw & created, bulk=True, **options)
    declaration.connect(pre_save, Choosing(slugs), when=~raw & ~created & slugs.is_lacking, **options)


class Renewing(SlugReceiver):
    """The receiver of rows whose source has changed."""

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Give the rows slugs that fit."""
        sent = {event.pk: event.sent_instance for event in batch.events if event.sent_instance is not None}
        self.slugs.renew(using, batch.pks, sent)


def _renew(declaration: Declaration, slugs: Slugs) -> None:
    when = ~raw & changed(str(slugs.source)) & ~changed(slugs.field.name)
    options: Any = {"sender": slugs.model, "subclasses": True, "bulk": True, "delivery": Inline(batch=True)}
    declaration.connect(post_save, Renewing(slugs), when=when, **options)


class Remembering(SlugReceiver):
    """The receiver of rows whose slug has changed."""

    def __init__(self, slugs: Slugs, history: type[Model], link: Any) -> None:
        """`link` is the foreign key of the model `history` to the row."""
        super().__init__(slugs)
        self.history = history
        self.names = slugs.field.name, link.attname

    def __call__(self, sender: Any, batch: Batch, using: str, **kwargs: Any) -> None:
        """Insert the old slugs, but for those that are there."""
        olds = [(event.old(self.slugs.field.name), event.pk) for event in batch.events]
        pairs = [(slug, key) for slug, key in olds if slug and slug is not UNKNOWN]
        insert_missing(self.history, self._missing(pairs, using), self._made, lambda m: self._missing(m, using), using)

    def _made(self, pair: tuple[str, Any]) -> Model:
        return self.history(**dict(zip(self.names, pair, strict=True)))

    def _missing(self, pairs: Sequence[tuple[str, Any]], using: str) -> Sequence[tuple[str, Any]]:
        slug, link = self.names
        asked = {f"{slug}__in": [one for one, _ in pairs], f"{link}__in": [key for _, key in pairs]}
        there = {*self.history._base_manager.using(using).filter(**asked).values_list(slug, link)}
        return [pair for pair in pairs if pair not in there]


def _remember(declaration: Declaration, slugs: Slugs, history: type[Model], link: Any) -> None:
    options: Any = {"sender": slugs.model, "subclasses": True, "bulk": True, "delivery": Inline(batch=True)}
    when = ~raw & changed(slugs.field.name)
    declaration.connect(post_save, Remembering(slugs, history, link), when=when, fetch=True, **options)


@dataclass(frozen=True)
class SubjectOfSlugs(SubjectOfRows):
    """The slugs that rows have."""

    slugs: Slugs

    def describe(self) -> str:
        return f"{self.label}: a slug for each row"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        return (Difference(self.label, key, "missing", "a slug") for key in self.slugs.lacking(using, keys))

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        self.slugs.fill(using, keys)


# --- what is refused ----------------------------------------------------------------------------------------------


def _verify_options(slugify: Any, reserved: Any) -> None:
    if isinstance(reserved, str) or not isinstance(reserved, Collection):
        raise TypeError(f"unique_slug(): reserved= takes several slugs, not {reserved!r}. Write {{{reserved!r}}}.")
    if slugify is not None and not callable(slugify):
        raise TypeError(f"unique_slug(): slugify= takes a function of a text, not {slugify!r}.")


def _verified_field(text: str, model: type[Model], name: str) -> Any:
    field, least = field_named(text, model, name, CharField), LENGTH + 2
    if field.primary_key:
        raise TypeError(f"{text}: {name!r} is the primary key, to which other rows refer. Take a field of its own.")
    if field.max_length is not None and field.max_length < least:
        raise TypeError(
            f"{text}: {name!r} has max_length={field.max_length}, which leaves no room for a suffix. Let it have"
            f" {least} at least."
        )
    return field


def _verified_scopes(text: str, field: Any) -> Sequence[Scope]:
    scopes = scopes_of(field)
    if not scopes:
        raise TypeError(
            f"{text}: nothing keeps {field.name!r} unique, so two transactions might both insert one slug. Let it have"
            f" unique=True, or add UniqueConstraint(fields=[..., {field.name!r}], name=...)."
        )
    return scopes


def _verify_source(text: str, model: type[Model], field: Any, source: Any, renew: bool) -> None:
    if isinstance(source, str):
        _verify_source_field(text, field, field_named(text, model, source), renew)
    elif not callable(source):
        raise TypeError(f"{text}: source= takes the name of a field, or a function of the row, not {source!r}.")
    elif renew:
        raise TypeError(f"{text}: renew=True needs the name of a field as source=, whose changes are known.")


def _verify_source_field(text: str, field: Any, source: Any, renew: bool) -> None:
    if source is field:
        raise TypeError(f"{text}: source= is the slug itself. Name the field that the slug is made of.")
    if renew and source.model is not field.model:
        raise TypeError(
            f"{text}: {source.name!r} is a column of {source.model._meta.label}, whose writes need not be writes of"
            f" {field.model._meta.label}. With renew=True, both are fields of one table."
        )


def _verified_link(text: str, history: type[Model], field: Any) -> Any:
    """Return the foreign key of a model that remembers the old slugs of rows."""
    field_named(text, history, field.name, CharField)
    links = [one for one in history._meta.concrete_fields if isinstance(one, ForeignKey) and _is_to(one, field)]
    names = [frozenset([field.name, one.name]) for one in links]
    label, there = history._meta.label, {*unique_sets(history)}
    if len(links) != 1:
        raise TypeError(f"{text}: {label} needs one foreign key to {field.model._meta.label}, and has {len(links)}.")
    if names[0] not in there or frozenset([field.name]) in there:
        raise TypeError(
            f"{text}: rows of {field.model._meta.label} may have had one slug, one after the other. Let"
            f" {label} have UniqueConstraint(fields=[{field.name!r}, {links[0].name!r}], name=...), and no unique"
            f" {field.name!r}."
        )
    return links[0]


def _is_to(link: Any, field: Any) -> bool:
    return bool(link.remote_field.model._meta.concrete_model is field.model and link.target_field.primary_key)
