"""The memory that a connection of a receiver takes."""

from __future__ import annotations

import gc
import tracemalloc
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.facts import DJANGO_UNCACHED, Candidate, Column, Group, beside_django
from benchmarks.peer import Peer
from benchmarks.peers import dispatchers
from benchmarks.receivers import Order

MANY, FEWER = 10_000, 1_000
FUNCTIONS, METHODS = "function", "bound method"

Making = Callable[[Peer, int], list[Any]]


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield Group(
        "memory",
        "Memory of a connection",
        "What `tracemalloc` counts while ten thousand receivers are connected to one sender, for one of them: only what"
        " connecting adds, before the first send. With PyDispatcher and pluggy, which are slow to connect, it is one"
        " thousand.",
        (Column(FUNCTIONS, partial(_candidates, _functions)), Column(METHODS, partial(_candidates, _methods))),
        (beside_django(FUNCTIONS, 1.5), beside_django(METHODS, 0.8)),
        unit="bytes",
    )


def _functions(peer: Peer, count: int) -> list[Any]:
    return peer.receivers(count)


def _methods(peer: Peer, count: int) -> list[Any]:
    return peer.methods(count) if peer.has_weak_methods else []


def _candidates(make: Making) -> list[Candidate]:
    peers = (peer for peer in dispatchers() if peer.name != DJANGO_UNCACHED)
    made = ((peer, make(peer, FEWER if peer.is_slow_to_prepare else MANY)) for peer in peers)
    return [Candidate(peer.name, partial(_bytes, peer, ones), rounds=1, loops=1) for peer, ones in made if ones]


def _bytes(peer: Peer, receivers: list[Any], loops: int) -> float:
    """Return the bytes of one connection."""
    signal = peer.signal()
    tracemalloc.start()
    peer.connect_all(signal, receivers, Order)
    gc.collect()
    added, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return added / len(receivers)
