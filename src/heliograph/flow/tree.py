"""The tree of what happened: each save, send and call with what it has caused, made of observed events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from heliograph.dispatch.observed_events import Called, Calling, Ended, PutOff, Sent, Skipped
from heliograph.flow.observed_database import Queried, Saving
from heliograph.flow.statements_in_short import is_control
from heliograph.outbox.events import Delivering

Event = Sent | Called | Calling | PutOff | Skipped | Saving | Delivering


@dataclass(slots=True)
class Node:
    """An event with its time, its queries, and the nodes that it has caused.

    `seconds` is None while it goes on, and for an event that takes no time. `queries` are its own, without those of its
    `children`.
    """

    event: Event
    seconds: float | None = None  # None while it goes on, and for what takes no time
    traceparent: str = ""  # of the send of a call that a worker makes: its delivery names it as its cause
    queries: list[Queried] = field(default_factory=list)  # of its own, and not of what it has caused
    children: list[Node] = field(default_factory=list)

    @property
    def all_queries(self) -> list[Queried]:
        """The queries of the event and of all that it has caused."""
        return [*self.queries, *(query for child in self.children for query in child.all_queries)]

    @property
    def repeated(self) -> list[tuple[str, int]]:
        """The statements of its own that were executed more than once, and how often; no SAVEPOINT and no COMMIT."""
        counts = Counter(query.sql for query in self.queries if not is_control(query.sql))
        return [(sql, count) for sql, count in counts.items() if count > 1]

    @property
    def is_silent(self) -> bool:
        """Whether it is a send that had no receiver and caused nothing."""
        return isinstance(self.event, Sent) and not self.children and not self.queries


@dataclass(slots=True)
class Tree:
    """All events of a block as trees of nodes: `roots`; and `queries` that no save, send or call has made."""

    roots: list[Node]
    queries: list[Queried]

    @property
    def all_queries(self) -> list[Queried]:
        """All queries of the block, in a list."""
        return [*self.queries, *(query for root in self.roots for query in root.all_queries)]

    def nodes(self) -> Iterator[Node]:
        """Yield all nodes, each before its children."""
        waiting = [*reversed(self.roots)]
        while waiting:
            node = waiting.pop()
            yield node
            waiting += reversed(node.children)


def tree_of(events: Iterable[Any], traceparents: Mapping[int, str] | None = None) -> Tree:
    """Return the tree of events, whose numbers say in which order they began.

    `traceparents` are those of the sends of calls that workers make, by the numbers of these calls.
    """
    traced = traceparents or {}
    ends, nodes, queries, order = dict[int, float](), dict[int, Node](), list[Queried](), list[Node]()
    for event in sorted(events, key=_number):
        match event:
            case Ended(number=number, seconds=seconds):
                ends[number] = seconds
            case Queried():
                queries.append(event)
            case _:
                node = Node(event, getattr(event, "seconds", None), traced.get(event.number, ""))
                nodes[event.number] = node
                order.append(node)
    for number, seconds in ends.items():
        if number in nodes:
            nodes[number].seconds = seconds
    roots = [node for node in order if _is_root(node, nodes)]
    loose = [query for query in queries if not _belongs(query, nodes)]
    return Tree(roots, loose)


def _number(event: Any) -> int:
    number: int = event.number
    return number


def _is_root(node: Node, nodes: dict[int, Node]) -> bool:
    """Return whether nothing that is known has caused a node; otherwise add it to its cause."""
    cause = None if node.event.parent is None else nodes.get(node.event.parent)
    if cause is not None:
        cause.children.append(node)
    return cause is None


def _belongs(query: Queried, nodes: dict[int, Node]) -> bool:
    cause = None if query.parent is None else nodes.get(query.parent)
    if cause is not None:
        cause.queries.append(query)
    return cause is not None
