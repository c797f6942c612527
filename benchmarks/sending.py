"""Sends: to few and to many receivers, beside receivers of other senders, to methods, and robust ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from functools import partial
from time import perf_counter
from typing import Any

from benchmarks.facts import DECLARED, Candidate, Column, Group, beside_column, beside_django
from benchmarks.peer import Peer
from benchmarks.peers import installed, saving
from benchmarks.receivers import ORDER, Order, functions, other_senders
from benchmarks.timing import repeated
from heliograph.dispatch import Signal, observe
from heliograph.flow.trace import trace

COUNTS = (0, 1, 5, 50)
OTHERS = (0, 1_000, 10_000)


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _send()
    yield _post_save()
    yield _senders()
    yield _methods()
    yield _robust()
    yield _watching()


def _send() -> Group:
    return Group(
        "send",
        "Send",
        "A class sends two names, `instance` and `created`, to functions that are connected to it:"
        " `def receiver(sender, **kwargs): pass`. psygnal and pluggy know no senders, and their receivers name what"
        " they take; psygnal collects no responses.",
        _columns(installed()),
        (
            *(beside_django(_receivers(count), 0.45) for count in (1, 5, 50)),
            *(beside_django(_receivers(count), 0.42, DECLARED) for count in (1, 5, 50)),
        ),
        processes=3,
    )


def _post_save() -> Group:
    return Group(
        "post_save",
        "Django's post_save",
        "The real `post_save`, adopted, beside a `ModelSignal(use_caching=True)` of Django's own dispatcher; both send"
        " the five names that `Model.save()` sends.",
        _columns(saving()),
        tuple(beside_django(_receivers(count), 0.42) for count in (1, 5, 50)),
        processes=3,
    )


def _columns(peers: Sequence[Peer]) -> tuple[Column, ...]:
    return tuple(Column(_receivers(count), partial(_to_functions, peers, count)) for count in COUNTS)


def _receivers(count: int) -> str:
    return "1 receiver" if count == 1 else f"{count} receivers"


def _to_functions(peers: Sequence[Peer], count: int) -> list[Candidate]:
    return [_sending(peer, peer.receivers(count)) for peer in peers]


def _sending(peer: Peer, receivers: list[Any]) -> Candidate:
    signal = peer.signal()
    peer.connect_all(signal, receivers, Order)
    return repeated(peer.name, peer.sending(signal), keeps=receivers)


# --- receivers of other senders -------------------------------------------------------------------------------


def _senders() -> Group:
    return Group(
        "senders",
        "Send beside the receivers of other senders",
        "One receiver of the sender's own, and others that are connected to a hundred other classes.",
        tuple(Column(_others(count), partial(_beside_others, count)) for count in OTHERS),
        (beside_column(_others(10_000), _others(0), 1.1),),
        processes=2,
    )


def _others(count: int) -> str:
    return f"{count:,} others" if count else "none other"


def _beside_others(count: int) -> list[Candidate]:
    return [_sending_beside(peer, count) for peer in installed() if peer.has_senders]


def _sending_beside(peer: Peer, count: int) -> Candidate:
    signal, own, others = peer.signal(), peer.receivers(1), peer.receivers(count)
    for number, sender in enumerate(other_senders()):
        peer.connect_all(signal, others[number :: len(other_senders())], sender)
    peer.connect_all(signal, own, Order)
    return repeated(peer.name, peer.sending(signal), keeps=(own, others))


# --- methods, and receivers that may raise --------------------------------------------------------------------


def _methods() -> Group:
    return Group(
        "methods",
        "Send to bound methods",
        "Five methods, each of an object of its own, connected weakly. pluggy has no weak connections.",
        (Column("5 methods", _to_methods),),
    )


def _to_methods() -> list[Candidate]:
    return [_sending(peer, peer.methods(5)) for peer in installed() if peer.has_weak_methods]


def _robust() -> Group:
    return Group(
        "robust",
        "Robust send",
        "`send_robust` to five functions, none of which raises. The others have no such send.",
        (Column("5 receivers", _robustly),),
    )


def _robustly() -> list[Candidate]:
    return [_sending_robust(peer, peer.receivers(5)) for peer in installed() if peer.sends_robust]


def _sending_robust(peer: Peer, receivers: list[Any]) -> Candidate:
    signal = peer.signal()
    peer.connect_all(signal, receivers, Order)
    return repeated(peer.name, peer.sending_robust(signal), keeps=receivers)


# --- watching -----------------------------------------------------------------------------------------------------

WATCHED = 100


def _watching() -> Group:
    return Group(
        "watching",
        "Watching",
        f"A class sends two names to {WATCHED} functions without options, for one receiver. `observe()` has an observer"
        " that does nothing; `trace()` keeps the events. The target for watching is 2 µs a receiver.",
        (Column("a receiver", _watched),),
        base=NOBODY,
    )


NOBODY = "nobody watches"


def _watched() -> Sequence[Candidate]:
    signal, receivers = Signal(name="benchmarks.watched"), functions(WATCHED)
    for one in receivers:
        signal.connect(one, sender=Order)

    def send() -> None:
        signal.send(Order, instance=ORDER, created=True)

    blocks = {NOBODY: nullcontext, "observe()": lambda: observe(_nothing), "trace()": trace}
    return [Candidate(name, partial(_sent_in, block, send), keeps=receivers) for name, block in blocks.items()]


def _nothing(event: object) -> None:
    """Observe."""


def _sent_in(block: Callable[[], Any], send: Callable[[], None], loops: int) -> float:
    """Return how long a receiver takes in a block."""
    with block():
        started = perf_counter()
        for _ in range(loops):
            send()
        return (perf_counter() - started) / loops / WATCHED
