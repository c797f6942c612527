"""The reasons of seals about pruned entries, as pruning writes them and as-of reads them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import reduce
from operator import or_

from django.db.models import Q

_KEPT, _BETWEEN = "{} is kept for ", "; "


def reason_of(keep: Mapping[str, timedelta]) -> str:
    """Return why entries of models were pruned, from how long the entries of each are kept."""
    return _BETWEEN.join(f"{_KEPT.format(label)}{duration}" for label, duration in keep.items())


def is_about(labels: Iterable[str]) -> Q:
    """Return the condition of seals whose reason is about one of these models at least."""
    kept = [_KEPT.format(label) for label in labels]
    return reduce(or_, (Q(reason__startswith=one) | Q(reason__contains=f"{_BETWEEN}{one}") for one in kept))
