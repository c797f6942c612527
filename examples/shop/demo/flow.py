"""What an order causes, step by step."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from heliograph.dispatch import Called, Sent


@dataclass(frozen=True)
class Step:
    """A signal that was sent, or a receiver that ran and its time; the deeper, the more remote the cause."""

    depth: int
    text: str
    seconds: float | None = None


def steps(events: Sequence[Sent | Called]) -> tuple[Step, ...]:
    """Return the events in the order in which they began, without the signals that nobody received."""
    received = {event.parent for event in events if isinstance(event, Called)}
    kept = (event for event in events if isinstance(event, Called) or event.number in received)
    return tuple(_steps(sorted(kept, key=lambda event: event.number)))


def _steps(events: Sequence[Sent | Called]) -> Iterator[Step]:
    depths: dict[int | None, int] = {None: -1}
    for event in events:
        depths[event.number] = depth = depths[event.parent] + 1
        yield _step(event, depth)


def _step(event: Sent | Called, depth: int) -> Step:
    match event:
        case Sent(signal=signal, sender=sender):
            return Step(depth, f"{signal.name} from {sender.__name__}")
        case Called(receiver=receiver, seconds=seconds):
            return Step(depth, f"{receiver.__module__}.{receiver.__qualname__}", seconds)
