"""A selection: the deliveries that somebody has seen before they are redelivered or discarded, and no others."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import QuerySet
from django.db.models.functions import Left

from heliograph.outbox.manage import ranges
from heliograph.outbox.models import Delivery, State

# How many groups are shown: more than that nobody reads.
_GROUPS = 20

# So many characters of an error show its kind.
_ERROR = 100


class Group(NamedTuple):
    """Deliveries with the same receiver, state and error."""

    state: str
    receiver: str
    queue: str
    error: str  # with # for numbers, which would make a group of each delivery


@dataclass(frozen=True)
class Selection:
    """Deliveries as they were when somebody looked at them."""

    using: str
    ids: Mapping[str, Sequence[int]]  # by the state that they were in
    groups: Sequence[tuple[Group, int]]  # the largest ones, each with how many deliveries it has
    last_claim: datetime | None  # when a worker had last claimed one of them
    is_cut: bool = False  # whether there are more deliveries than a selection takes

    def count(self, states: Iterable[str] = State.values) -> int:
        """Return how many deliveries it has in these states."""
        return sum(len(self.ids.get(state, ())) for state in states)

    @property
    def others(self) -> int:
        """How many deliveries are in none of the groups."""
        return self.count() - sum(count for _, count in self.groups)

    def chosen(self, states: Iterable[str]) -> list[int]:
        """Return the ids of the deliveries in these states, ascending."""
        return sorted(number for state in states for number in self.ids.get(state, ()))


def look_at(using: str, deliveries: Iterable[QuerySet[Delivery]], most: int | None = None) -> Selection:
    """Return the selection of what some queries find, up to so many deliveries."""
    ids: dict[str, list[int]] = {}
    groups: Counter[Group] = Counter()
    last_claim: datetime | None = None
    rows = (row for query in deliveries for row in _rows(query, most))
    for number, claimed_at, group in islice(rows, most):
        ids.setdefault(group.state, []).append(number)
        groups[group] += 1
        if claimed_at is not None:
            last_claim = max(claimed_at, last_claim or claimed_at)
    is_cut = next(rows, None) is not None
    return Selection(using, ids, groups.most_common(_GROUPS), last_claim, is_cut)


def _rows(deliveries: QuerySet[Delivery], most: int | None) -> Iterable[tuple[int, datetime | None, Group]]:
    """Yield the id of each delivery, when it was last claimed, and its group."""
    columns = ("pk", "claimed_at", "state", "receiver", "queue", "start_of_error")
    query = deliveries.order_by("pk").annotate(start_of_error=Left("error", _ERROR)).values_list(*columns)
    for number, claimed_at, state, receiver, queue, error in query[: most and most + 1].iterator():
        # The last error of a delivery that has succeeded since says nothing.
        kind = "" if state == State.SUCCESSFUL else re.sub(r"\d+", "#", " ".join(error.split()))
        yield number, claimed_at, Group(state, receiver, queue, kind)


# --- as text ----------------------------------------------------------------------------------------------------


def as_json(selection: Selection) -> dict[str, Any]:
    """Return a selection as JSON, for the page that asks for a reason."""
    return {
        "using": selection.using,
        "ids": {state: ranges.text_of(ids) for state, ids in selection.ids.items()},
        "groups": [[*group, count] for group, count in selection.groups],
        "last_claim": selection.last_claim and selection.last_claim.isoformat(),
        "is_cut": selection.is_cut,
    }


def of_json(facts: Mapping[str, Any]) -> Selection:
    """Return the selection of this JSON."""
    return Selection(
        using=facts["using"],
        ids={state: ranges.ids_of(text) for state, text in facts["ids"].items()},
        groups=[(Group(*group), count) for *group, count in facts["groups"]],
        last_claim=facts["last_claim"] and datetime.fromisoformat(facts["last_claim"]),
        is_cut=facts["is_cut"],
    )
