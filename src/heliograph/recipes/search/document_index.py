"""A backend of `search_index()`: the documents are in a table of the database that has the rows."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.apps import apps
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from heliograph.building import database_of

Documents = Mapping[Any, Mapping[str, Any]]

HOW_TO_INSTALL = (
    "Add 'heliograph.recipes.search' to INSTALLED_APPS, and migrate; or give a backend of yours: into=MyBackend()."
)


searched: set[Any] = set()  # the models whose rows have documents in the database


class DocumentIndex:
    """The index of one model in the project's own database, a `ComparableBackend` with one document for each row.

    `search_index()` makes it if no other index is given. Raises ImproperlyConfigured if the app
    "heliograph.recipes.search" is not installed.
    """

    def __init__(self, model: Any) -> None:
        if not apps.is_installed("heliograph.recipes.search"):
            raise ImproperlyConfigured(f"There is no table for the documents of {model._meta.label}. {HOW_TO_INSTALL}")
        self.model = model

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.model._meta.label})"

    def write(self, documents: Documents, using: str) -> None:
        """Insert documents, or replace their texts, in one statement."""
        rows = self.rows(using)
        has_target = connections[using].features.supports_update_conflicts_with_target
        rows.bulk_create(
            [rows.model(model=self._label, key=self._key(pk, using), text=text_of(documents[pk])) for pk in documents],
            update_conflicts=True,
            unique_fields=["model", "key"] if has_target else None,
            update_fields=["text"],
        )

    def remove(self, pks: Collection[Any], using: str) -> None:
        """Delete documents."""
        self._of(pks, using).delete()

    def wrong(self, documents: Documents, pks: Collection[Any], using: str) -> Mapping[Any, str]:
        """Return what is wrong with the documents of these rows, which should be no others than the given ones."""
        stored = {self._pk(key): text for key, text in self._of(pks, using).values_list("key", "text")}
        asked = {pk: (stored.get(pk), documents.get(pk)) for pk in pks}
        found = {pk: _problem(text, document) for pk, (text, document) in asked.items()}
        return {pk: problem for pk, problem in found.items() if problem}

    def pks(self, using: str) -> Iterator[Any]:
        """Query for the primary keys of all documents."""
        return map(self._pk, self.rows(using).values_list("key", flat=True).iterator(chunk_size=2000))

    def rows(self, using: str) -> Any:
        """Return the documents in a database, as a query."""
        if not database_of(connections[using]).has_full_text:
            raise ImproperlyConfigured(f"{connections[using].display_name} has no full text search that we know.")
        documents: Any = apps.get_model("heliograph_search", "SearchDocument")
        return documents.objects.using(using).filter(model=self._label)

    @property
    def _label(self) -> str:
        return str(self.model._meta.label)

    def _of(self, pks: Collection[Any], using: str) -> Any:
        return self.rows(using).filter(key__in=[self._key(pk, using) for pk in pks])

    def _key(self, pk: Any, using: str) -> str:
        """Return a primary key as the database makes it a text: a UUID has no dashes where it is stored as letters."""
        return str(self.model._meta.pk.get_db_prep_value(pk, connections[using]))

    def _pk(self, key: str) -> Any:
        return self.model._meta.pk.to_python(key)


def text_of(document: Mapping[str, Any]) -> str:
    """Return the values of a document as one text."""
    return "\n".join(str(value) for value in document.values() if value is not None)


def _problem(text: str | None, document: Mapping[str, Any] | None) -> str:
    if document is None:
        return "" if text is None else "left over"
    if text is None:
        return "missing"
    return "" if text == text_of(document) else "outdated"
