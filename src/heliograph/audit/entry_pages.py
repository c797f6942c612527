"""A page of entries, newest first: by an index however many entries there are, without COUNT and without OFFSET.

A page is read by *branches*: conditions such as `kind_id = 7` for which an index has the entries in their order. Each
branch gives as many entries as the page may need, and the database merges them, so that the cost depends on the size of
the page and the number of branches, and not on the size of the log.

A filter that no index combines with the branches is asked of the entries that were read. A page reads `MOST` entries at
most for it, and then says where to go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from operator import itemgetter
from typing import Any, NamedTuple

from django.db import connections
from django.db.models import OuterRef, Subquery

from heliograph.audit.models import ChangeSet, Entry

# How many entries a page has.
SIZE = 50

# How many entries are read at once if a filter is asked of them, and how many for a page at most.
AT_ONCE, MOST = 1000, 2000

# How many branches a statement has: SQLite takes 500, and PostgreSQL needs half a millisecond to plan each.
BRANCHES = 100

# A change set with at most so many entries is small: the entries of all small change sets are read by one query.
_SMALL = 50

# How many change sets at each end of a span of time are read: a change set with a higher number usually has a later
# time, except where two were written at the same time, or somebody has set the clock of the database back.
_WINDOW = 100

_LAST = 2**63 - 1

Branch = Mapping[str, Any]  # the values of columns


class Row(NamedTuple):
    """An entry of a page: its number, its change set and its kind."""

    id: int
    change_set: int
    kind: int


class Cursor(NamedTuple):
    """Where a page begins: before this entry of this change set."""

    change_set: int
    entry: int

    def __str__(self) -> str:
        return f"{self.change_set}-{self.entry}"


NEWEST = Cursor(_LAST, _LAST)


def cursor_of(text: str) -> Cursor:
    """Return the cursor that was written as text; the newest entries for another text."""
    if not re.fullmatch(r"[0-9]{1,19}-[0-9]{1,19}", text):
        return NEWEST
    return Cursor(*(min(int(part), _LAST) for part in text.split("-")))


@dataclass(frozen=True)
class Times:
    """A span of time, and the numbers of the change sets and entries that can be in it."""

    since: datetime | None = None
    until: datetime | None = None
    sets: tuple[int, int] = (0, _LAST)
    entries: tuple[int, int] = (0, _LAST)

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of the change sets that are in it."""
        given = {"at__gte": self.since, "at__lt": self.until}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class Wanted:
    """The entries that a page asks for: of some branches or of all, filtered by kinds, actor and times."""

    using: str
    branches: Sequence[Branch] = field(default_factory=lambda: [{}])
    kinds: frozenset[int] | None = None
    actor: str | None = None
    times: Times = field(default_factory=Times)
    before: Cursor = NEWEST

    @property
    def is_by_actor(self) -> bool:
        """Whether the entries are found by the change sets of the actor, because no other branch leads to them."""
        return self.actor is not None and [*self.branches] == [{}]

    @property
    def conditions(self) -> dict[str, Any]:
        """The conditions of change sets that are asked of the entries that were read."""
        if self.is_by_actor:
            return {}
        return {**self.times.conditions, **({} if self.actor is None else {"actor": self.actor})}

    @property
    def is_asked(self) -> bool:
        """Whether some of the entries that are read may not be wanted."""
        return self.kinds is not None or bool(self.conditions)


@dataclass(frozen=True)
class Found:
    """The entries of a page, and the cursor of the next page if there may be more."""

    rows: Sequence[Row]
    older: Cursor | None
    is_cut: bool = False  # whether the page ends because it has read as many entries as it may


def find(wanted: Wanted, size: int = SIZE) -> Found:
    """Return a page of entries."""
    rows: list[Row] = []
    looked, before = 0, wanted.before
    look = _of_actor if wanted.is_by_actor else _of_branches
    limit = AT_ONCE if wanted.is_asked else size + 1
    while looked < MOST:
        read, older = look(replace(wanted, before=before), limit)
        rows += _kept(wanted, read)
        if len(rows) > size:
            return Found(rows[:size], Cursor(rows[size - 1].change_set, rows[size - 1].id))
        if older is None:
            return Found(rows, None)
        looked, before = looked + max(len(read), 1), older
    return Found(rows, before, is_cut=True)


def _kept(wanted: Wanted, rows: Sequence[Row]) -> list[Row]:
    """Return the entries that have the kinds, the actor and the times."""
    rows = [row for row in rows if wanted.kinds is None or row.kind in wanted.kinds]
    if not wanted.conditions or not rows:
        return rows
    numbers = {row.change_set for row in rows}
    sets = ChangeSet.objects.using(wanted.using).filter(pk__in=numbers, **wanted.conditions)
    kept = {*sets.values_list("pk", flat=True)}
    return [row for row in rows if row.change_set in kept]


# --- which entries are read ---------------------------------------------------------------------------------------

Read = tuple[Sequence[Row], Cursor | None]  # the entries, and where to go on if there may be more


def _of_branches(wanted: Wanted, limit: int) -> Read:
    """Read entries in the order of their numbers."""
    first, last = wanted.times.entries
    rows = _merged(wanted, (first, min(last, wanted.before.entry - 1)), limit)
    return rows, Cursor(rows[-1].change_set, rows[-1].id) if len(rows) == limit else None


def _of_actor(wanted: Wanted, limit: int) -> Read:
    """Read the entries of an actor's change sets, in the order of the sets."""
    begun = wanted.before
    if begun.entry == _LAST:
        return _of_next_sets(wanted, limit)
    of_set = replace(wanted, branches=[{"change_set_id": begun.change_set}])
    rows = _merged(of_set, (0, begun.entry - 1), limit)
    if len(rows) == limit:
        return rows, Cursor(begun.change_set, rows[-1].id)
    return rows, Cursor(begun.change_set - 1, _LAST)


def _of_next_sets(wanted: Wanted, limit: int) -> Read:
    """Read the entries of so many change sets, of which each has an entry at least."""
    first, last = wanted.times.sets
    span = {**wanted.times.conditions, "pk__range": (first, min(last, wanted.before.change_set))}
    beyond = Entry.objects.using(wanted.using).filter(change_set=OuterRef("pk")).order_by("-pk")[_SMALL : _SMALL + 1]
    sets = ChangeSet.objects.using(wanted.using).filter(actor=wanted.actor, **span).order_by("-pk")
    found = [*sets.annotate(beyond=Subquery(beyond.values("pk"))).values_list("pk", "beyond")[:limit]]
    rows = _of_sets(wanted, found, limit)
    if len(rows) == limit:
        return rows, Cursor(rows[-1].change_set, rows[-1].id)
    return rows, Cursor(found[-1][0] - 1, _LAST) if len(found) == limit else None


def _of_sets(wanted: Wanted, sets: Sequence[tuple[int, int | None]], limit: int) -> list[Row]:
    """Read the newest entries of change sets: of all small sets by one query, and of each large set by its own."""
    small = [number for number, beyond in sets if beyond is None]
    branches = [{"change_set_id": number} for number, beyond in sets if beyond is not None]
    entries = Entry.objects.using(wanted.using).filter(change_set__in=small).order_by()
    rows = [Row(*row) for row in entries.values_list("pk", "change_set_id", "kind_id")] if small else []
    rows += _merged(replace(wanted, branches=branches), (0, _LAST), limit, "change_set_id") if branches else []
    return sorted(rows, key=_by_set, reverse=True)[:limit]


def _by_set(row: Row) -> tuple[int, int]:
    return row.change_set, row.id


# --- statements ---------------------------------------------------------------------------------------------------


def _merged(wanted: Wanted, numbers: tuple[int, int], limit: int, first: str = "id") -> list[Row]:
    """Return the newest entries of all branches."""
    branches = wanted.branches
    some = (branches[at : at + BRANCHES] for at in range(0, len(branches), BRANCHES))
    found = [row for few in some for row in _read(wanted.using, few, numbers, limit, first)]
    key: Callable[[Row], Any] = _by_set if first == "change_set_id" else itemgetter(0)
    return sorted(found, key=key, reverse=True)[:limit]


def _read(using: str, branches: Sequence[Branch], numbers: tuple[int, int], limit: int, first: str) -> list[Row]:
    name = connections[using].ops.quote_name
    of_branches = " UNION ALL ".join(_of_branch(name, branch, at, limit) for at, branch in enumerate(branches))
    order = f"{name(first)} DESC, {name('id')} DESC"
    values = [value for branch in branches for value in (*branch.values(), *numbers)]
    with connections[using].cursor() as cursor:
        cursor.execute(f"SELECT * FROM ({of_branches}) u ORDER BY {order} LIMIT {limit}", values)
        return [Row(*row) for row in cursor.fetchall()]


def _of_branch(name: Callable[[str], str], branch: Branch, at: int, limit: int) -> str:
    """Return the SELECT of the newest entries of a branch, in a SELECT as SQLite needs it for a UNION."""
    columns = ", ".join(map(name, ("id", "change_set_id", "kind_id")))
    conditions = "".join(f"{name(column)} = %s AND " for column in branch)
    return (
        f"SELECT * FROM (SELECT {columns} FROM {name(Entry._meta.db_table)} WHERE {conditions}{name('id')}"
        f" BETWEEN %s AND %s ORDER BY {name('id')} DESC LIMIT {limit}) b{at}"
    )


# --- times --------------------------------------------------------------------------------------------------------


def times_between(using: str, since: datetime | None, until: datetime | None) -> Times:
    """Return a span of time, with the numbers between which its change sets and entries are."""
    sets = ChangeSet.objects.using(using)
    first_sets = first_entries = 0
    last_sets = last_entries = _LAST
    if since is not None:
        window = sets.filter(at__gte=since).order_by("at")[:_WINDOW]
        first_sets, first_entries = _ends(using, window, "id", min)
    if until is not None:
        window = sets.filter(at__lt=until).order_by("-at")[:_WINDOW]
        last_sets, last_entries = _ends(using, window, "-id", max)
    return Times(since, until, (first_sets, last_sets), (first_entries, last_entries))


def _ends(using: str, window: Any, order: str, end: Callable[..., int]) -> tuple[int, int]:
    """Return the first, or last, number of some change sets and of their entries."""
    own = Entry.objects.using(using).filter(change_set=OuterRef("pk")).order_by(order).values("pk")[:1]
    found = [*window.annotate(entry=Subquery(own)).values_list("pk", "entry")]
    beyond = _LAST if end is min else 0
    entries = [entry for _, entry in found if entry is not None]
    return end((number for number, _ in found), default=beyond), end(entries, default=beyond)
