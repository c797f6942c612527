"""Two threads that send while a third one connects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import repeat
from threading import Event, Thread
from time import perf_counter, sleep

from benchmarks.facts import Candidate, Column, Group
from benchmarks.peer import Peer
from benchmarks.peers import installed
from benchmarks.receivers import Order
from benchmarks.timing import Call

SECONDS = 0.2
BATCH = 100


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield Group(
        "threads",
        "Threads",
        "Two threads send to five functions for a fifth of a second, while a third one connects and disconnects a sixth"
        " receiver without a pause. The time is that of one send, both threads taken together.",
        (Column("2 threads send, 1 connects", _candidates),),
    )


def _candidates() -> list[Candidate]:
    peers = (peer for peer in installed() if peer.has_senders and peer.is_weak and peer.has_thread_safety)
    return [Candidate(peer.name, partial(_contended, peer), rounds=8, loops=1) for peer in peers]


def _contended(peer: Peer, loops: int) -> float:
    """Return the seconds of one send."""
    signal, receivers, sixth = peer.signal(), peer.receivers(5), peer.receivers(1)[0]
    peer.connect_all(signal, receivers, Order)
    over, counts = Event(), list[int]()
    churn = partial(_connect_and_disconnect, peer, signal, sixth)
    seconds = _run(over, [partial(_send, peer.sending(signal), over, counts)] * 2 + [partial(_churn, churn, over)])
    return seconds / sum(counts)


def _run(over: Event, targets: Sequence[Callable[[], None]]) -> float:
    threads = [Thread(target=target) for target in targets]
    start = perf_counter()
    for thread in threads:
        thread.start()
    sleep(SECONDS)
    over.set()
    for thread in threads:
        thread.join()
    return perf_counter() - start


def _send(call: Call, over: Event, counts: list[int]) -> None:
    sent = 0
    while not over.is_set():
        for _ in repeat(None, BATCH):
            call()
        sent += BATCH
    counts.append(sent)


def _churn(change: Call, over: Event) -> None:
    while not over.is_set():
        change()


def _connect_and_disconnect(peer: Peer, signal: object, receiver: Callable[..., object]) -> None:
    peer.connect(signal, receiver, Order)
    peer.disconnect(signal, receiver, Order)
