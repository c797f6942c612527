"""Explaining: what a write would do, from what is connected or by a rehearsal."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, overload

from django.db import DEFAULT_DB_ALIAS
from django.db.models import Model

from heliograph.flow.analyzing import analysis
from heliograph.flow.asked_writes import AskedWrite, Operation, asked_write
from heliograph.flow.stories.add_story import story_of_add
from heliograph.flow.stories.bulk_receivers import line_of_bulk_writes
from heliograph.flow.stories.delete_story import story_of_delete
from heliograph.flow.stories.save_story import story_of_save
from heliograph.flow.stories.silent_lines import lines_of_silence
from heliograph.flow.stories.story import Story


@overload
def explain(
    model: type[Model] | str,
    operation: Operation = "save",
    *,
    pk: Any = None,
    values: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    analyze: Literal[False] = False,
    sql: bool = False,
) -> Story: ...


@overload
def explain(
    model: type[Model] | str,
    operation: Operation = "save",
    *,
    pk: Any = None,
    values: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    analyze: Literal[True],
    sql: bool = False,
) -> analysis.Analysis: ...


def explain(
    model: type[Model] | str,
    operation: Operation = "save",
    *,
    pk: Any = None,
    values: Mapping[str, Any] | None = None,
    using: str = DEFAULT_DB_ALIAS,
    analyze: bool = False,
    sql: bool = False,
) -> Story | analysis.Analysis:
    """Return which receivers a write would call, in which order and why, without running anything.

    `print(explain(Order, "update", values={"status": "paid"}))` shows the `Story`; it asks no database.

    - `model`: the model, or its label such as "shop.Order".
    - `operation`: "save", "create", "update", "delete", or "add" of related objects to a many-to-many field.
    - `pk`: the primary key of the row; `values` has the fields that are set before, by their names.
    - `using`: the alias of the database.
    - `analyze`: with `True`, the write is made and rolled back, and the result is the `Analysis` of what ran.
    - `sql`: with `True`, the text of an analysis has the statements.

    Raises LookupError for an unknown model, field, database or row, TypeError or ValueError for a write that cannot be,
    and with `analyze=True` TransactionManagementError inside a transaction.
    """
    asked = asked_write(model, operation, pk=pk, values=values, using=using)
    return analysis.analyze(asked, sql=sql) if analyze else story_of(asked)


def story_of(asked: AskedWrite) -> Story:
    """Return the story of a write."""
    remarks = tuple(_remarks(asked))
    match asked.operation:
        case "delete":
            return story_of_delete(asked, remarks)
        case "add":
            return story_of_add(asked, remarks)
    return story_of_save(asked, remarks)


def _remarks(asked: AskedWrite) -> Iterator[str]:
    if asked.operation not in ("delete", "add"):
        yield line_of_bulk_writes(asked.model, asked.using)
    yield from lines_of_silence(asked.model, asked.operation, asked.using)
