"""Verifying: the stored values of kept fields beside their truth, and the repair of values that differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction
from django.db.models import DecimalField, ExpressionWrapper, F, FloatField

from heliograph.recipes.kept.flushing import CHUNK, perform_on
from heliograph.recipes.kept.groups import GroupField
from heliograph.recipes.kept.kept_fields import ALIAS, RECOUNT, KeptField

_RAW = "heliograph_raw"  # SQLite stores decimals as floats, which Django rounds when it reads them


@dataclass(frozen=True)
class Difference:
    """A stored value that is not the truth."""

    kept: KeptField
    key: Any  # of the parent
    stored: Any
    truth: Any

    def __str__(self) -> str:
        return f"{self.kept.parent._meta.label}.{self.kept.name} of {self.key!r} is {self.stored}, not {self.truth}"


def differences(kept: KeptField, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
    """Yield the values that differ from their truth, of parents with these primary keys."""
    rows = kept.truth(using).filter(pk__in=keys)
    if isinstance(kept.field, DecimalField):
        rows = rows.annotate(**{_RAW: ExpressionWrapper(F(kept.name), FloatField())})
        for key, stored, truth, raw in rows.values_list("pk", kept.name, ALIAS, _RAW):
            is_exact = stored is None or float(raw) == float(stored)
            if not is_exact or not _is_stored_as(kept, stored, truth):
                yield Difference(kept, key, stored if is_exact else raw, truth)
        return
    for key, stored, truth in rows.values_list("pk", kept.name, ALIAS):
        if not _is_stored_as(kept, stored, truth):
            yield Difference(kept, key, stored, truth)


def _is_stored_as(kept: KeptField, stored: Any, truth: Any) -> bool:
    """Return whether the column stores the truth as this value."""
    if stored is None or truth is None:
        return stored is truth
    if isinstance(kept.field, DecimalField):
        smallest = Decimal(1).scaleb(-kept.field.decimal_places)
        # An average may be a float, whose last digit depends on the order in which children are added up.
        return stored == Decimal(str(truth)).quantize(smallest, ROUND_HALF_UP) or (
            isinstance(truth, float) and math.isclose(float(stored), truth, abs_tol=float(smallest))
        )
    if isinstance(kept.field, FloatField):
        return math.isclose(stored, truth, rel_tol=1e-9, abs_tol=_precision(truth))
    return bool(stored == truth)


def _precision(truth: Any) -> float:
    """Return by how much a float may differ: MariaDB gives an average of decimals with a few decimals more."""
    return float(Decimal(1).scaleb(int(truth.as_tuple().exponent))) if isinstance(truth, Decimal) else 1e-12


def parents_in_chunks(kept: KeptField, using: str, after: Any = None) -> Iterator[list[Any]]:
    """Yield the primary keys of all parents in order, so many at a time; those after a key, if one is given."""
    while True:
        rows = kept.parent._base_manager.using(using).order_by("pk")
        rows = rows if after is None else rows.filter(pk__gt=after)
        keys = [*rows.values_list("pk", flat=True)[:CHUNK]]
        if keys:
            yield keys
        if len(keys) < CHUNK:
            return
        after = keys[-1]


def verify(
    kept: KeptField,
    using: str,
    *,
    repair: bool = False,
    after: Any = None,
    report: Callable[[int, Any], None] = lambda done, last: None,
) -> Iterator[Difference]:
    """Yield all values of a kept field that differ from their truth, and mend them if that is asked for.

    A value is computed anew while its parent is locked, so the site may go on writing. `report` is called after each
    chunk, with the number of parents so far and the last key.
    """
    if isinstance(kept, GroupField) and after is None:
        yield from _missing_groups(kept, using, repair)
    done = 0
    for keys in parents_in_chunks(kept, using, after):
        found = [*differences(kept, using, keys)]
        if repair and found:
            mend(kept, [one.key for one in found], using)
        yield from found
        done += len(keys)
        report(done, keys[-1])


def _missing_groups(kept: GroupField, using: str, repair: bool) -> Iterator[Difference]:
    """Yield the groups that have no row of their own, and create these rows if that is asked for."""
    keys = kept.missing(using)
    if repair and keys:
        kept.create(keys, using)
    for key in keys:
        yield Difference(kept, key, "missing", "a row")


def mend(kept: KeptField, keys: Sequence[Any], using: str) -> None:
    """Recount some parents, in a transaction that locks them in the order of their keys."""
    with transaction.atomic(using):
        perform_on(kept.parent, {key: {kept: RECOUNT} for key in keys}, using)
