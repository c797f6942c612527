"""What an order causes, step by step."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from inspect import isroutine
from textwrap import shorten
from typing import Any

from heliograph.dispatch import Called, Sent

LONGEST = 60  # characters of a name


@dataclass(frozen=True)
class Step:
    """A signal that was sent, or a receiver that ran and its time; the deeper, the more remote the cause."""

    depth: int
    text: str
    seconds: float | None = None


def steps(events: Sequence[Sent | Called]) -> tuple[Step, ...]:
    """Return the events, each below its cause, without the signals that nobody received.

    A receiver that waited for the end of the transaction stands below the first signal that it waited with, and one
    that waited with bulk writes only stands by itself.
    """
    effects: defaultdict[int | None, list[Sent | Called]] = defaultdict(list)
    for event in sorted(events, key=lambda event: event.number):
        effects[event.parent].append(event)
    return tuple(_below(None, effects, 0))


def _below(cause: int | None, effects: Mapping[int | None, Sequence[Sent | Called]], depth: int) -> Iterator[Step]:
    for event in effects.get(cause, ()):
        if isinstance(event, Called) or event.number in effects:
            yield _step(event, depth)
            yield from _below(event.number, effects, depth + 1)


def _step(event: Sent | Called, depth: int) -> Step:
    match event:
        case Sent(signal=signal, sender=sender):
            return Step(depth, f"{signal.name} from {sender.__name__}")
        case Called(receiver=receiver, seconds=seconds):
            return Step(depth, name_of(receiver), seconds)


def name_of(receiver: Callable[..., Any]) -> str:
    """Return the name of a function, with its module, or of an object that says which figures it keeps."""
    function = receiver.func if isinstance(receiver, partial) else receiver
    name: str = function.__qualname__
    return f"{function.__module__}.{name}" if isroutine(function) else shorten(name, LONGEST, placeholder=" ...)")
