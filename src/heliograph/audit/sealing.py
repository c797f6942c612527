"""Sealing: ranges of entries are closed by a Merkle root, never past a transaction that is still open.

A transaction takes the ids of its entries before it commits, so a lower id may become visible after a higher one. The
*mark* is the highest id at a time; entries up to it are sealed when every transaction has ended that was open then.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Event
from time import monotonic

from django.db import connections
from django.db.models import Max

from heliograph.audit.chain import add_seal, last_seal, locked_chain, rows
from heliograph.audit.digests import root_of, shown
from heliograph.audit.entry_rows import Leaves
from heliograph.audit.models import Chain, Entry, Link, Seal
from heliograph.databases import database_of
from heliograph.outbox.clock import DatabaseNow

SIZE = 5_000  # entries of one seal, which is one short transaction

_PAUSE = 0.1  # seconds between two looks at the open transactions

Progress = Callable[[int], object]  # is called with how many entries there were so far


@dataclass(frozen=True)
class Sealed:
    """The result of a call of `seal`."""

    entries: int  # how many it has sealed
    head: Seal | None  # the newest seal
    left: int  # how many entries it has left, which are newer than the mark
    waits_for: int  # for how many transactions the mark still waits


def seal(using: str, wait: float = 0.0, progress: Progress = lambda count: None) -> Sealed:
    """Seal the entries of transactions that have ended; wait for open ones for so many seconds at most.

    A mark that an earlier call has left comes first: otherwise transactions that overlap each other would put off the
    seal for ever.
    """
    until, count = monotonic() + wait, 0
    for is_last in (False, True):
        chain, is_new = _marked(using)
        waits_for = _open_writers(using, chain, until)
        while not waits_for and (sealed := _seal_some(using, chain.marked or 0)):
            count += sealed
            progress(count)
        if waits_for or is_new or is_last:
            break
    return Sealed(count, last_seal(using), left(using), waits_for)


def sealed_up_to(using: str) -> int:
    """Return the id of the last entry that is sealed; 0 if there is no seal, below which are imported entries alone."""
    found = last_seal(using, link=Link.SEALED)
    return 0 if found is None else found.last


def _marked(using: str) -> tuple[Chain, bool]:
    """Return the chain with the mark of an earlier call, or with a new one, and whether it is new."""
    with locked_chain(using) as chain:
        is_new = chain.marked is None
        if is_new:
            highest = rows(Entry, using).aggregate(highest=Max("id"))["highest"] or 0
            # The time is read after the id: a transaction that has taken a lower id began before.
            rows(Chain, using).filter(pk=chain.pk).update(marked=highest, marked_at=DatabaseNow())
            chain = rows(Chain, using).get(pk=chain.pk)
    return chain, is_new


def _open_writers(using: str, chain: Chain, until: float) -> int:
    """Wait, until a time, for the transactions that may have entries up to the mark; return how many are still open."""
    connection = connections[using]
    database, table = database_of(connection), Entry._meta.db_table
    while (count := database.open_writers(connection, table, chain.marked_at)) and monotonic() < until:
        Event().wait(_PAUSE)
    return count


def _seal_some(using: str, mark: int) -> int:
    """Seal the next entries up to a mark, in one transaction; return how many."""
    with locked_chain(using) as chain:
        found = [*Leaves(using, with_texts=False).between(sealed_up_to(using), mark, SIZE)]
        if found:
            hashes = [one.hash for one in found]
            add_seal(using, Link.SEALED, [one.entry.id for one in found], root=shown(root_of(hashes)), leaves=hashes)
        if len(found) < SIZE:
            rows(Chain, using).filter(pk=chain.pk, marked__lte=mark).update(marked=None, marked_at=None)
    return len(found)


def record_pruned(using: str, ids: Sequence[int], reason: str) -> None:
    """Record in the chain, in a transaction of `locked_chain`, that entries are deleted which have a seal."""
    last = sealed_up_to(using)
    sealed = [number for number in ids if number <= last]
    if sealed:
        add_seal(using, Link.PRUNED, sealed, reason=reason)


def left(using: str) -> int:
    """Return how many entries are not sealed yet."""
    return int(rows(Entry, using).filter(pk__gt=sealed_up_to(using)).count())
