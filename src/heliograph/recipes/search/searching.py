"""Searching: the rows of a model that have all the given words, the best ones first."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

from django.db.models import CharField, F, FloatField, Func, Lookup, Model, OuterRef, QuerySet, Subquery
from django.db.models.functions import Cast

from heliograph.building import database_of
from heliograph.recipes.search.document_index import DocumentIndex, searched

M = TypeVar("M", bound=Model)

_WORD = re.compile(r"\w+")


def search(rows: type[M] | QuerySet[M], words: str) -> QuerySet[M]:
    """Return a queryset of the rows that have all these words in a `search_index()`, the best ones first.

    `rows` is a model or a queryset. Capitals do not matter. There are no operators, so a text may come as a visitor has
    typed it; without a word in it, the query is empty. The rows are those that workers have indexed until now.

    Raises TypeError for a model without such an index in the database.
    """
    found: QuerySet[M] = rows if isinstance(rows, QuerySet) else rows._default_manager.all()
    concrete: Any = found.model._meta.concrete_model
    if concrete not in searched:
        label = concrete._meta.label
        raise TypeError(f"No documents of {label} are in the database. Declare them: search_index({label!r}, [...]).")
    wanted = _WORD.findall(words)
    if not wanted:
        return found.none()
    documents = DocumentIndex(concrete).rows(found.db)
    keys = documents.filter(HasWords(F("text"), wanted)).values(row=Cast("key", _key_field(concrete)))
    own = documents.filter(key=Cast(OuterRef("pk"), CharField(max_length=255)))
    rank = Subquery(own.values(rank=Rank(wanted))[:1], output_field=FloatField())
    return found.filter(pk__in=keys).order_by(rank.desc(), "pk")


def _key_field(model: Any) -> Any:
    """Return the field whose values a primary key has; for a child by inheritance, the primary key of its parent."""
    field = model._meta.pk
    while field.remote_field:
        field = field.target_field
    return field


class HasWords(Lookup):
    """Holds for a document that has all the words: `HasWords(F("text"), words)`."""

    lookup_name = "has_words"
    prepare_rhs = False

    def as_sql(self, compiler: Any, connection: Any) -> Any:
        database = database_of(connection)
        return _sql_of(database.full_text_condition, self.lhs, compiler), [database.full_text_query(self.rhs)]


class Rank(Func):
    """How well a document fits the words."""

    output_field = FloatField()

    def __init__(self, words: list[str]) -> None:
        super().__init__(F("text"))
        self.words = words

    def as_sql(  # type: ignore[override]  # it takes no other function or template
        self, compiler: Any, connection: Any, **options: Any
    ) -> Any:
        database, (text,) = database_of(connection), self.get_source_expressions()
        return _sql_of(database.full_text_rank, text, compiler), [database.full_text_query(self.words)]


def _sql_of(part: Callable[[str, str, str], str], text: Any, compiler: Any) -> str:
    """Return SQL with one parameter, as a database has it for a column of texts."""
    options = text.target.model._meta
    key, column = (compiler.compile(one)[0] for one in (options.pk.get_col(text.alias), text))
    return part(options.db_table, key, column)
