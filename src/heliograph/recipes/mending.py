"""Mending: rows get values that are computed in Python, and a row that cannot have its value stops no other row."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from django.db import DataError, IntegrityError, transaction

Left = Mapping[Any, str]  # what to do about the rows that are left, by key


def mend_rows(rows: Iterable[Any], fill: Callable[[Any], object], names: Sequence[str], using: str) -> Left:
    """Store the fields that `fill(row)` sets in locked rows. Return the rows that are left, with what to do.

    All rows are one statement; if the database refuses it, such as for a value that another row has, each row is one.
    """
    filled, left = [], {}
    for row in rows:
        try:
            fill(row)
        except Exception as error:  # of a function of the project, which may raise any
            left[row.pk] = f"The function raises {error!r}: correct the row, and repeat"
        else:
            filled.append(row)
    return {**left, **_stored(filled, names, using)}


def _stored(rows: Sequence[Any], names: Sequence[str], using: str) -> Left:
    if not rows or not _refusal(rows, names, using):
        return {}
    refusals = ((row.pk, _refusal([row], names, using)) for row in rows)
    return {
        key: f"The database refuses it ({refusal}): merge this row with the one that has the value, or change one of"
        " them, and repeat"
        for key, refusal in refusals
        if refusal
    }


def _refusal(rows: Sequence[Any], names: Sequence[str], using: str) -> str:
    """Store fields of rows; return the message of the database if it refuses, or else an empty text."""
    try:
        with transaction.atomic(using):
            type(rows[0])._base_manager.using(using).bulk_update(rows, names)
    except (IntegrityError, DataError) as error:
        return " ".join(str(error).split())
    return ""
