"""Search index: an index has a document for each row of a model, which workers write again after each change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist, FieldError
from django.db.models import ForeignKey, GeneratedField, Model, Q

from heliograph import BeforeCommit, Durable, Retry, created, update_fields
from heliograph.recipes.declarations import Declaration, declare, written
from heliograph.recipes.fields import field_named
from heliograph.recipes.indexing import (
    CollectingRelated,
    CollectingRows,
    FollowingRelated,
    Index,
    IndexingRows,
    SearchBackend,
    SubjectOfIndex,
    related_rows_to_index,
    rows_to_index,
)
from heliograph.recipes.search.document_index import HOW_TO_INSTALL, DocumentIndex, searched
from heliograph.signals import post_delete, post_save


def search_index(
    model: type[Model] | str,
    fields: Sequence[str],
    *,
    when: Q | None = None,
    into: SearchBackend | None = None,
    queue: str = "default",
    retry: Retry = Retry(),  # noqa: B008  # it is frozen
) -> Declaration:
    """Let an index have a document for each row of a model, or for each row for which `when` holds.

        search_index(Post, ["title", "author.name"], when=Q(is_public=True))

    A document is written after each transaction that changes one of these fields, also in bulk or of an author, and is
    removed with the row. Workers of the outbox do it, from `queue` and as `retry` says. `into` is a `SearchBackend`;
    without it, documents are in the database, where `heliograph.recipes.search.search(Post, "some words")` finds their
    rows. `manage.py recipes backfill` writes them all, while the site goes on. The model may be named "app.Model".
    Returns a `Declaration`.

    Raises TypeError, with what to do, for what cannot be kept right; if models are not loaded yet, a system check
    reports it.
    """
    given = {name: value for name, value in (("when", when), ("into", into)) if value is not None}
    text = written("search_index", model, fields, **given)
    _verify_options(text, fields, when, into)

    def connect(declaration: Declaration, model: type[Model]) -> None:
        _verify_model(text, model)
        watched = _watched_of(text, model, fields, when)
        index = Index(model, tuple(fields), when or Q(), _backend(text, model, into))
        declaration.claim(model, f"{model._meta.label} is indexed already", "Join the fields.")
        if isinstance(index.into, DocumentIndex):
            searched.add(model)
            declaration.undone_by(searched.discard, model)
        outside, inside = (Durable(queue=queue, retry=retry, atomic=atomic) for atomic in (False, True))
        declaration.connect(rows_to_index, IndexingRows(index), sender=model, delivery=outside)
        _connect_own(declaration, index, watched.pop(()).names)
        _connect_related(declaration, index, {"__".join(path): one for path, one in watched.items()}, inside)
        declaration.subjects = (SubjectOfIndex(f"{model._meta.label}.search_index", model, index),)

    return declare(text, connect, model)


def _connect_own(declaration: Declaration, index: Index, names: Iterable[str]) -> None:
    options: Any = {"sender": index.model, "subclasses": True, "bulk": True, "delivery": BeforeCommit(batch=True)}
    changed = CollectingRows(index)
    declaration.connect(post_save, changed, when=_is_written(names), **options)
    declaration.connect(post_delete, changed, **options)


def _connect_related(declaration: Declaration, index: Index, watched: Mapping[str, Watched], durable: Durable) -> None:
    for path, one in watched.items():
        declaration.connect(
            post_save,
            CollectingRelated(index, path, one.model),
            sender=one.model,
            subclasses=True,
            when=~created & _is_written(one.names),
            bulk=True,
            delivery=BeforeCommit(batch=True),
        )
    following = FollowingRelated(index, watched)
    declaration.connect(related_rows_to_index, following, sender=index.model, delivery=durable)


def _is_written(names: Iterable[str]) -> Any:
    """Return the condition that a write may change one of these fields: a stale copy does not know what it changes."""
    return ~update_fields() | update_fields(*sorted(names))


# --- what a document is made of -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Watched:
    """A model whose rows have values of documents, and the names of these fields."""

    model: type[Model]
    names: set[str]


Watching = dict[tuple[str, ...], Watched]  # by the foreign keys that lead there from the model of the index


def _watched_of(text: str, model: type[Model], names: Sequence[str], when: Q | None) -> Watching:
    """Return the fields of which documents are made, or which decide whether a row has one; or raise TypeError."""
    found: Watching = {}
    for name in names:
        _watch(text, found, model, _fields_of_path(text, model, name))
    for lookup in _lookups(text, when or Q()):
        _watch(text, found, model, _fields_of_lookup(text, model, lookup))
    try:
        model._base_manager.filter(when or Q())
    except FieldError as error:
        raise TypeError(f"{text}: {error}.") from error
    return found


def _watch(text: str, found: Watching, model: type[Model], fields: Iterable[Any]) -> None:
    """Add fields that follow each other, such as a foreign key and a field of its model."""
    path: tuple[str, ...] = ()
    for field in fields:
        if isinstance(field, GeneratedField):
            raise TypeError(f"{text}: {field.name!r} is computed by the database. Name the fields of its expression.")
        _watch_field(found, path, model, field)
        if field.remote_field:
            path, model = (*path, field.name), field.remote_field.model._meta.concrete_model


def _watch_field(found: Watching, path: tuple[str, ...], model: Any, field: Any) -> None:
    """Add a field of a model, and of the parent that has its column."""
    found.setdefault(path, Watched(model, set())).names.add(field.name)
    if field.model._meta.concrete_model is not model._meta.concrete_model:
        link = model._meta.get_ancestor_link(field.model)
        _watch_field(found, (*path, link.name), link.remote_field.model, field)


def _fields_of_path(text: str, model: type[Model], path: str) -> Iterator[Any]:
    """Yield the foreign keys of a path such as "author.name", and its last field."""
    *keys, last = path.split(".")
    for name in keys:
        key = field_named(text, model, name, ForeignKey)
        yield key
        model = key.remote_field.model
    yield field_named(text, model, last)


def _lookups(text: str, when: Q) -> Iterator[str]:
    """Yield the lookups of a condition, such as "author__is_active"."""
    for child in when.children:
        if isinstance(child, Q):
            yield from _lookups(text, child)
        elif isinstance(child, tuple) and not hasattr(child[1], "resolve_expression"):
            yield child[0]
        else:
            raise TypeError(f"{text}: when={when!r} has an expression. Compare fields with values.")


def _fields_of_lookup(text: str, model: type[Model], lookup: str) -> Iterator[Any]:
    """Yield the fields of a lookup, without the comparison at its end."""
    for name in lookup.split("__"):
        try:
            field: Any = model._meta.get_field(name)
        except FieldDoesNotExist:  # "pk", or a comparison
            return
        if not field.concrete or field.many_to_many:
            raise TypeError(
                f"{text}: {model._meta.label}.{name} is a relation to many rows. Ask for fields of the row, and of rows"
                " to which it refers."
            )
        yield field
        if not field.remote_field:
            return
        model = field.remote_field.model


def _verify_options(text: str, fields: Any, when: Any, into: Any) -> None:
    if isinstance(fields, str) or not fields or not all(isinstance(one, str) for one in fields):
        raise TypeError(f"{text}: name the fields of a document in a list, such as ['title', 'author.name'].")
    if not isinstance(when, Q | None):
        raise TypeError(f"{text}: when= is a Q(...), such as Q(is_public=True), since rows are selected by it.")
    if into is not None and (isinstance(into, type) or not isinstance(into, SearchBackend)):
        raise TypeError(f"{text}: into= takes an object with write(documents, using) and remove(pks, using).")


def _verify_model(text: str, model: Any) -> None:
    if model._meta.proxy:
        label = model._meta.concrete_model._meta.label
        raise TypeError(f"{text}: {model._meta.label} is a proxy. Index the rows of its table: {label!r}.")
    if len(model._meta.pk_fields) > 1:
        raise TypeError(f"{text}: {model._meta.label} has a composite primary key, and an index has one key for a row.")


def _backend(text: str, model: type[Model], into: SearchBackend | None) -> SearchBackend:
    if into is not None:
        return into
    if not apps.is_installed("heliograph.recipes.search"):
        raise TypeError(f"{text}: there is no table for documents. {HOW_TO_INSTALL}")
    return DocumentIndex(model)
