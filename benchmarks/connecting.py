"""Connecting and disconnecting ten thousand receivers, and what it costs when they die."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from random import Random
from typing import Any

from benchmarks.django_peers import Heliograph
from benchmarks.facts import DJANGO_UNCACHED, HELIOGRAPH, Candidate, Column, Group, beside_column, beside_django
from benchmarks.peer import Peer
from benchmarks.peers import dispatchers
from benchmarks.receivers import Order
from benchmarks.timing import Call, once, repeated

MANY = 10_000
SIZES = (1_000, 10_000, 20_000)
CONNECT = "connect 10,000"
DISCONNECT = "disconnect 10,000"

Preparation = Callable[[Peer, int], Call]


def groups() -> Iterator[Group]:
    """Yield the groups of this file."""
    yield _connect()
    yield _growth()
    yield _dead()


# --- connecting -----------------------------------------------------------------------------------------------


def _connect() -> Group:
    return Group(
        "connect",
        "Connect and disconnect",
        "Ten thousand functions and one sender, in random order. Dispatchers that look at every connection each time"
        " take seconds and are measured once, Django's twice, and the others fifteen times.",
        (Column(CONNECT, partial(_all, _connecting)), Column(DISCONNECT, partial(_all, _disconnecting))),
        (beside_django(CONNECT, 0.01), beside_django(DISCONNECT, 0.01)),
    )


def _all(prepare: Preparation) -> list[Candidate]:
    peers = (peer for peer in dispatchers() if peer.name != DJANGO_UNCACHED)
    return [once(peer.name, partial(prepare, peer, MANY), peer.connect_rounds) for peer in peers]


def _connecting(peer: Peer, count: int) -> Call:
    signal, receivers = peer.signal(), _shuffled(peer.receivers(count))
    return lambda: _each(peer.connect, signal, receivers)


def _disconnecting(peer: Peer, count: int) -> Call:
    signal, receivers = peer.signal(), peer.receivers(count)
    peer.connect_all(signal, receivers, Order)
    receivers = _shuffled(receivers)
    return lambda: _each(peer.disconnect, signal, receivers)


def _each(verb: Callable[[Any, Any, Any], None], signal: Any, receivers: list[Any]) -> None:
    sender = Order
    for receiver in receivers:
        verb(signal, receiver, sender)


def _shuffled(receivers: list[Any]) -> list[Any]:
    return Random(0).sample(receivers, len(receivers))


# --- growth ---------------------------------------------------------------------------------------------------


def _growth() -> Group:
    first, *_, last = (f"one of {size:,}" for size in SIZES)
    verbs = [f"{HELIOGRAPH}, {verb}" for verb in ("connect", "disconnect")]
    return Group(
        "growth",
        "Growth",
        "The time for one receiver of so many, in Heliograph; the ratio is to one of a thousand, and stays near 1 where"
        " the cost is linear.",
        tuple(Column(f"one of {size:,}", partial(_one_of, size)) for size in SIZES),
        tuple(beside_column(last, first, 1.5, verb) for verb in verbs),
        base=first,
    )


def _one_of(size: int) -> list[Candidate]:
    verbs: dict[str, Preparation] = {"connect": _connecting, "disconnect": _disconnecting}
    return [
        once(f"{HELIOGRAPH}, {verb}", partial(prepare, Heliograph(), size), rounds=9, times=size)
        for verb, prepare in verbs.items()
    ]


# --- dead receivers -------------------------------------------------------------------------------------------


def _dead() -> Group:
    columns: dict[str, Callable[[Peer], Candidate]] = {
        "dropping them": _dropping,
        "first send after": _first_send,
        "later sends": partial(_later_sends, survivors=0),
        "later sends, one left": partial(_later_sends, survivors=1),
    }
    return Group(
        "dead",
        "Ten thousand receivers die",
        "The functions are dropped; nobody disconnects them. One other receiver of the sender lives on, except in"
        " `later sends`. psygnal and pluggy keep their receivers alive.",
        tuple(Column(name, partial(_mortal, make)) for name, make in columns.items()),
        (
            beside_django("dropping them", 1.0),
            beside_django("first send after", 0.1),
            beside_django("later sends", 0.6),
            beside_django("later sends, one left", 0.6),
        ),
    )


def _mortal(make: Callable[[Peer], Candidate]) -> list[Candidate]:
    return [make(peer) for peer in dispatchers() if peer.is_weak]


def _dropping(peer: Peer) -> Candidate:
    return once(peer.name, lambda: _doomed(peer, peer.receivers(1))[1].clear, _rounds(peer))


def _first_send(peer: Peer) -> Candidate:
    survivors = peer.receivers(1)
    return once(peer.name, lambda: _bereaved(peer, survivors), _rounds(peer))


def _later_sends(peer: Peer, survivors: int) -> Candidate:
    left = peer.receivers(survivors)
    send = _bereaved(peer, left)
    send()
    return repeated(peer.name, send, keeps=left)


def _bereaved(peer: Peer, survivors: list[Any]) -> Call:
    """Return the send of a signal whose other receivers have died."""
    send, receivers = _doomed(peer, survivors)
    receivers.clear()
    return send


def _doomed(peer: Peer, survivors: list[Any]) -> tuple[Call, list[Any]]:
    """Return the send of a signal, which was sent before, and the receivers that nothing else refers to."""
    signal, receivers = peer.signal(), peer.receivers(MANY)
    peer.connect_all(signal, receivers, Order)
    peer.connect_all(signal, survivors, Order)
    send = peer.sending(signal)
    send()
    return send, receivers


def _rounds(peer: Peer) -> int:
    return 1 if peer.is_slow_to_prepare else 9
