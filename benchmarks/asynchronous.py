"""Sends from async code."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.facts import Candidate, Column, Group, beside_django
from benchmarks.peer import Peer
from benchmarks.peers import installed
from benchmarks.receivers import AWAITED, Order, functions
from benchmarks.timing import repeated_async

ONE, TEN, BOTH = "1 async", "10 async", "5 sync and 5 async"


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield Group(
        "async",
        "Async send",
        "`asend` to functions that do not wait for anything; the sync ones run in a thread. blinker awaits one receiver"
        " after the other, and takes a thread for each sync one. The others have no async send.",
        tuple(
            Column(name, partial(_candidates, sync, concurrent))
            for name, sync, concurrent in ((ONE, 0, 1), (TEN, 0, 10), (BOTH, 5, 5))
        ),
        (beside_django(ONE, 0.3), beside_django(TEN, 0.4), beside_django(BOTH, 0.85)),
    )


def _candidates(sync: int, concurrent: int) -> list[Candidate]:
    return [_candidate(peer, sync, concurrent) for peer in installed() if peer.sends_async]


def _candidate(peer: Peer, sync: int, concurrent: int) -> Candidate:
    signal, receivers = peer.signal(), [*functions(sync), *functions(concurrent, AWAITED)]
    peer.connect_all(signal, receivers, Order)
    return repeated_async(peer.name, peer.sending_async(signal), keeps=receivers)
