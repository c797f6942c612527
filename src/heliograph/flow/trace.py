"""The trace: the sends and calls of a block, printed as a tree with their times."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from heliograph.dispatch.describe import full_name
from heliograph.dispatch.observed_events import Called, Calling, Sent
from heliograph.dispatch.scopes import Scope

_Step = Sent | Called | Calling


class trace(Scope):
    """Keep the events of this thread or task; printed, it is the tree of sends and receivers with their times."""

    def __init__(self) -> None:
        self.events: list[Sent | Called] = []
        self._calling: dict[int, Calling] = {}  # the calls that have not ended, by their numbers

    def on_event(self, event: object) -> None:
        if isinstance(event, Sent | Called):
            self.events.append(event)

    @contextmanager
    def around_call(self, call: Calling) -> Iterator[None]:
        self._calling[call.number] = call
        try:
            yield
        finally:
            del self._calling[call.number]

    def __str__(self) -> str:
        steps: list[_Step] = sorted([*self.events, *self._calling.values()], key=lambda step: step.number)
        children: defaultdict[int | None, list[_Step]] = defaultdict(list)
        known = {step.number for step in steps}
        for step in steps:
            children[step.parent if step.parent in known else None].append(step)
        return "\n".join(_branch(children, None, 0)) or "No signal was sent."


def _branch(children: Mapping[int | None, list[_Step]], parent: int | None, depth: int) -> Iterator[str]:
    for step in children.get(parent, ()):
        yield "  " * depth + _line(step)
        yield from _branch(children, step.number, depth + 1)


def _line(step: _Step) -> str:
    match step:
        case Sent(signal=signal, sender=sender):  # a signal that another dispatcher runs has no name
            return f"{getattr(signal, 'name', signal)} from {getattr(sender, '__qualname__', repr(sender))}"
        case Calling(receiver=receiver):
            return f"{full_name(receiver)} is running"
        case Called(receiver=receiver, seconds=seconds, outcome=outcome):
            raised = f", raised {outcome!r}" if isinstance(outcome, BaseException) else ""
            return f"{full_name(receiver)} {seconds * 1000:.2f} ms{raised}"
