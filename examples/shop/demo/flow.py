"""What an order causes, step by step."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from inspect import isroutine
from textwrap import shorten
from typing import Any

from heliograph import trace
from heliograph.dispatch import Called, Sent
from heliograph.flow.tree import Node

LONGEST = 60  # characters of a name


@dataclass(frozen=True)
class Step:
    """A signal that was sent, or a receiver that ran, with its time; `depth` is how many causes are above it."""

    depth: int
    text: str
    seconds: float | None = None


def steps(traced: trace) -> tuple[Step, ...]:
    """Return the sends and calls of a trace, each below its cause, without the signals that nobody received.

    A receiver that waited for the end of the transaction stands below the first signal that it waited with.
    """
    return tuple(step for root in traced.tree.roots for step in _below(root, 0))


def _below(node: Node, depth: int) -> Iterator[Step]:
    step = _step(node.event, depth)
    below = [one for child in node.children for one in _below(child, depth if step is None else depth + 1)]
    if step is not None and (below or isinstance(node.event, Called)):
        yield step
    yield from below


def _step(event: object, depth: int) -> Step | None:
    """Return the step of a send or a call; a save and a call that was put off are none of their own."""
    match event:
        case Sent(signal=signal, sender=sender):
            return Step(depth, f"{signal.name} from {sender.__name__}")
        case Called(receiver=receiver, seconds=seconds):
            return Step(depth, name_of(receiver), seconds)
    return None


def name_of(receiver: Callable[..., Any]) -> str:
    """Return the name of a function, with its module, or of an object that says which figures it keeps."""
    function = receiver.func if isinstance(receiver, partial) else receiver
    name: str = function.__qualname__
    return f"{function.__module__}.{name}" if isroutine(function) else shorten(name, LONGEST, placeholder=" ...)")
