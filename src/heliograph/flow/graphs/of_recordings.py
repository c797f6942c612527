"""The graph of recordings: what has called what, as `trace().to_json()` has written it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.apps import apps

from heliograph.flow.graphs.nodes import Edge, Graph, Node, Relation, nodes_of
from heliograph.flow.tree_json import VERSION


def verified(document: Any) -> Mapping[str, Any]:
    """Return a document if it is a recording that this release can read; otherwise raise ValueError."""
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        raise ValueError("it is no recording, as trace().to_json() returns it.")
    if document.get("version") != VERSION:
        raise ValueError(f"it has version {document.get('version')!r}, and this release reads version {VERSION}.")
    return document


def graph_of(recordings: Iterable[Mapping[str, Any]]) -> Graph:
    """Return the graph of all that has happened in recordings; each edge is counted."""
    graph = Graph()
    for recording in recordings:
        waiting: list[tuple[Node | None, Any]] = [(None, one) for one in recording["nodes"]]
        while waiting:
            cause, record = waiting.pop()
            node = _node(record)
            if node is None:
                continue
            # A call that was put off is below itself.
            if cause is not None and cause != node:
                graph.add(cause, node, _relation(cause, node))
            waiting += [(node, child) for child in record["children"]]
    return graph


def _node(record: Mapping[str, Any]) -> Node | None:
    """Return the node of a recorded save, send or call; None for a send that has called nobody, and for nobody."""
    match record["kind"]:
        case "save":
            return Node("model", record["sender"])
        case "send":
            is_received = any(child["kind"] != "skipped" for child in record["children"])
            return Node("send", record["signal"], record["sender"]) if is_received else None
        case "skipped":
            return None
    return Node("receiver", record["receiver"])  # called, running, or put off


def _relation(cause: Node, node: Node) -> Relation:
    match cause.kind, node.kind:
        case "send", "receiver":
            return "calls"
        case "receiver", "model":
            return "writes"
        case "receiver", "send":
            return "sends"
    return "causes"


# --- filters --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class RecordedCall:
    """A send and a receiver that it has called."""

    edge: Edge

    @property
    def signal_name(self) -> str:
        """The name of the signal with its module."""
        return self.edge.source.name

    @property
    def name(self) -> str:
        """The name of the receiver with its module."""
        return self.edge.target.name

    @property
    def sender(self) -> str:
        """The sender as text: the label of a model."""
        return self.edge.source.sender

    @property
    def sender_app(self) -> str | None:
        """The label of the app of a sender that is a model."""
        label = self.sender.partition(".")[0]
        return label if label in apps.app_configs else None

    @property
    def written(self) -> tuple[str, ...]:
        """No field: a recording has the models that are written."""
        return ()

    def receives_from(self, model: Any) -> bool:
        """Return whether the sender is this model."""
        return bool(self.sender == model._meta.label)


def calls_of(graph: Graph) -> list[RecordedCall]:
    """Return the calls of a graph."""
    return [RecordedCall(edge) for edge in graph.edges if edge.relation == "calls"]


def part_of(graph: Graph, calls: Iterable[RecordedCall]) -> Graph:
    """Return the part of a graph with some of its calls, and with what is next to them."""
    kept = {call.edge for call in calls}
    nodes = {*nodes_of(kept)}
    return Graph(
        Counter({edge: count for edge, count in graph.counts.items() if edge in kept or _is_next(edge, nodes)})
    )


def _is_next(edge: Edge, nodes: set[Node]) -> bool:
    """Return whether an edge shows what a receiver does, or why a send is sent."""
    return edge.relation != "calls" and (edge.source in nodes or edge.target in nodes)
