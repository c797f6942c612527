"""Kept fields for the time of a test, and their comparison with `annotate()`, on public names only."""

import math
from contextlib import ExitStack
from decimal import ROUND_HALF_UP, Decimal
from itertools import groupby

from django.db.models import DecimalField, FloatField
from django.db.models.functions import TruncDate
from django.utils import timezone

from heliograph.recipes import keep, keep_groups


class Keeping(ExitStack):
    """Declarations, which end with the block, and the values that differ from their truth."""

    def __init__(self):
        super().__init__()
        self.truths = []

    def keep(self, model, **fields):
        return self._declared(keep(model, **fields), [_Annotated(model, *pair) for pair in fields.items()])

    def keep_days(self, model, moment, into, **fields):
        """Keep aggregates by the day of a time, in the field `day` of another model."""
        declaration = keep_groups(model, into=into, by={"day": TruncDate(moment)}, **fields)
        return self._declared(declaration, [_OfDays(model, moment, into, *pair) for pair in fields.items()])

    def _declared(self, declaration, truths):
        self.callback(declaration.disconnect)
        self.truths += truths
        return declaration

    def wrong(self, using="default"):
        """Return a line for each value that differs from its truth."""
        return [line for truth in self.truths for line in truth.wrong(using)]


class _Annotated:
    """A kept field beside `annotate()`."""

    def __init__(self, model, name, declared):
        self.model, self.name, self.declared = model, name, declared

    def wrong(self, using):
        rows = self.model._base_manager.using(using).annotate(truth=self.declared).order_by("pk")
        for key, stored, truth in rows.values_list("pk", self.name, "truth"):
            if not is_stored_as(self.model._meta.get_field(self.name), stored, truth):
                yield f"{self.model.__name__}.{self.name} of {key} is {stored}, not {truth}"
            elif not self._is_found(key, stored, using):
                yield f"{self.model.__name__}.{self.name} of {key} is {stored}, and filter() does not find it"

    def _is_found(self, key, stored, using):
        """Return whether a filter by the value finds the row: SQLite keeps digits that Django does not show."""
        if not isinstance(stored, Decimal):
            return True
        return self.model._base_manager.using(using).filter(**{"pk": key, self.name: stored}).exists()


class _OfDays:
    """A field of days beside `aggregate()` of each day's rows; the days are computed in Python."""

    def __init__(self, model, moment, into, name, declared):
        self.model, self.moment, self.into, self.name, self.declared = model, moment, into, name, declared

    def wrong(self, using):
        rows = self.model._base_manager.using(using)
        keys = self._keys_by_day(rows)
        stored = dict(self.into._base_manager.using(using).values_list("day", self.name))
        for day in {*keys} - {*stored}:
            yield f"{self.into.__name__} has no row of {day}"
        for day, value in stored.items():
            truth = rows.filter(pk__in=keys.get(day, [])).aggregate(truth=self.declared)["truth"]
            if not is_stored_as(self.into._meta.get_field(self.name), value, truth):
                yield f"{self.into.__name__}.{self.name} of {day} is {value}, not {truth}"

    def _keys_by_day(self, rows):
        zone = timezone.get_default_timezone()
        pairs = sorted((value.astimezone(zone).date(), key) for key, value in rows.values_list("pk", self.moment))
        return {day: [key for _, key in group] for day, group in groupby(pairs, key=lambda pair: pair[0])}


def is_stored_as(field, stored, truth):
    """Return whether a column stores a truth as this value."""
    if stored is None or truth is None:
        return stored is truth
    if isinstance(field, FloatField):
        return math.isclose(stored, truth, rel_tol=1e-9, abs_tol=1e-6)  # MariaDB gives averages few digits
    if isinstance(field, DecimalField):
        return stored == Decimal(str(truth)).quantize(Decimal(1).scaleb(-field.decimal_places), ROUND_HALF_UP)
    return bool(stored == truth)
