"""The graph of signals: its nodes and edges as frozen values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

from heliograph.flow.connected_receivers import declared_name, short_signal

# A send is a signal with its sender.
Kind = Literal["send", "receiver", "model"]

# A send calls a receiver, which writes the rows of a model, sets fields of the row that is being written, or sends
# another signal; rows that are written cause a send.
Relation = Literal["calls", "writes", "sets", "sends", "causes"]


@dataclass(frozen=True, order=True)
class Node:
    """A send, a receiver or a model."""

    kind: Kind
    name: str
    sender: str = ""  # of a send

    @property
    def text(self) -> str:
        """The text of the node; the names of Django and of Heliograph have no module."""
        if self.kind == "send":
            return f"{short_signal(self.name)} {self.sender}".rstrip()
        return declared_name(self.name)


@dataclass(frozen=True, order=True)
class Edge:
    """The relation of one node to another, such as a receiver that writes a model."""

    source: Node
    target: Node
    relation: Relation


@dataclass
class Graph:
    """Edges, with how often each was seen, and the nodes that they connect."""

    counts: Counter[Edge] = field(default_factory=Counter)

    def add(self, source: Node, target: Node, relation: Relation) -> None:
        """Add an edge, or count it once more."""
        self.counts[Edge(source, target, relation)] += 1

    @property
    def edges(self) -> list[Edge]:
        """The edges, in an order that is the same in each process."""
        return sorted(self.counts)

    @property
    def nodes(self) -> list[Node]:
        """The nodes of all edges, in an order that is the same in each process."""
        return nodes_of(self.counts)


def nodes_of(edges: Iterable[Edge]) -> list[Node]:
    """Return the nodes of edges in order."""
    return sorted({node for edge in edges for node in (edge.source, edge.target)})
