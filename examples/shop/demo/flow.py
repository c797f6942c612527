"""What an order causes, step by step."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from heliograph.dispatch import Called, Sent


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
            return Step(depth, f"{receiver.__module__}.{receiver.__qualname__}", seconds)
