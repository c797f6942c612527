"""Verifying: the stored values of kept fields beside their truth, and the repair of values that differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

from django.db import transaction
from django.db.models import DecimalField, ExpressionWrapper, F, FloatField

from heliograph.recipes.kept.flushing import perform_on
from heliograph.recipes.kept.groups import GroupField
from heliograph.recipes.kept.kept_fields import ALIAS, RECOUNT, KeptField
from heliograph.recipes.subjects import ENDS, Difference, Report, Sample, SubjectOfRows, ends_of, no_report

FEW = 10_000  # children that a sample may read
_RAW = "heliograph_raw"  # SQLite stores decimals as floats, which Django rounds when it reads them


@dataclass(frozen=True)
class SubjectOfField(SubjectOfRows):
    """A kept field, whose truth is its annotation."""

    kept: KeptField

    def describe(self) -> str:
        return f"{self.label}: {self.kept.kind}, from {self.kept.child._meta.label} ({', '.join(self.kept.columns)})"

    def differences(self, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
        return differences(self.kept, using, keys)

    def mend(self, using: str, keys: Sequence[Any]) -> None:
        """Recount some parents, in a transaction that locks them in the order of their keys."""
        with transaction.atomic(using):
            perform_on(self.model, {key: {self.kept: RECOUNT} for key in keys}, using)

    def sample(self, using: str) -> Sample:
        """Compare the parents at both ends; fewer if they have many children."""
        for size in (ENDS, ENDS // 10, 1):
            keys = ends_of(self.model, using, size)
            if self._count_children(using, keys) <= FEW:
                return Sample(len(keys), [*self.differences(using, keys)])
        return Sample(0, [])

    def _count_children(self, using: str, keys: Sequence[Any]) -> int:
        """Query for the number of children of some parents, as far as there are few."""
        children = self.kept.child._base_manager.using(using).filter(**{f"{self.kept.cut.key.name}__pk__in": keys})
        return children.order_by()[: FEW + 1].count()


@dataclass(frozen=True)
class SubjectOfGroups(SubjectOfField):
    """A kept field of groups, of which some may have no row of their own."""

    kept: GroupField

    def verify(
        self, using: str, *, repair: bool = False, after: Any = None, report: Report = no_report
    ) -> Iterator[Difference]:
        if after is None:
            yield from self._missing(using, repair)
        yield from super().verify(using, repair=repair, after=after, report=report)

    def _missing(self, using: str, repair: bool) -> Iterator[Difference]:
        """Yield the groups without a row, which is created if that is asked for."""
        keys = self.kept.missing(using)
        if repair and keys:
            self.kept.create(keys, using)
        yield from self._differences(keys)

    def _differences(self, keys: Iterable[Any]) -> Iterator[Difference]:
        return (Difference(self.label, key, "missing", "a row") for key in keys)

    def sample(self, using: str) -> Sample:
        """Look for missing groups only, of the rows at both ends: only all rows could say the value of a group."""
        keys = ends_of(self.kept.child, using, ENDS)
        return Sample(len(keys), [*self._differences(self.kept.missing(using, keys))])


def subject_of(kept: KeptField) -> SubjectOfField:
    """Return what `manage.py recipes verify` compares of a kept field."""
    kind: Any = SubjectOfGroups if isinstance(kept, GroupField) else SubjectOfField
    return kind(kept.label, kept.parent, kept)  # type: ignore[no-any-return]


def differences(kept: KeptField, using: str, keys: Sequence[Any]) -> Iterator[Difference]:
    """Yield the values that differ from their truth, of parents with these primary keys."""
    rows = kept.truth(using).filter(pk__in=keys)
    if isinstance(kept.field, DecimalField):
        rows = rows.annotate(**{_RAW: ExpressionWrapper(F(kept.name), FloatField())})
        for key, stored, truth, raw in rows.values_list("pk", kept.name, ALIAS, _RAW):
            is_exact = stored is None or float(raw) == float(stored)
            if not is_exact or not _is_stored_as(kept, stored, truth):
                yield Difference(kept.label, key, stored if is_exact else raw, truth)
        return
    for key, stored, truth in rows.values_list("pk", kept.name, ALIAS):
        if not _is_stored_as(kept, stored, truth):
            yield Difference(kept.label, key, stored, truth)


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
