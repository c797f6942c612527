"""The graph of the receivers that are connected: what may happen, as far as it is known without running anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from django.apps import apps

from heliograph.bulk.audience import ReceivesBulk
from heliograph.flow.connected_receivers import ConnectedReceiver, short_signal
from heliograph.flow.graphs.nodes import Edge, Graph, Node
from heliograph.flow.written_models import models_written_by


def graph_of(receivers: Sequence[ConnectedReceiver]) -> Graph:
    """Return the graph of receivers: the sends that call them, the models that they write, and what that causes."""
    edges = {edge for one in receivers for edge in _edges_of(one, models_written_by(one))}
    labels = {edge.target.name for edge in edges if edge.relation == "writes"}
    return Graph(Counter(edges | {edge for label in labels for edge in _caused(label, receivers)}))


def _edges_of(one: ConnectedReceiver, labels: Sequence[str]) -> Iterator[Edge]:
    receiver = Node("receiver", one.name)
    yield Edge(_send(one), receiver, "calls")
    for label in labels:
        yield Edge(receiver, Node("model", label), "sets" if label == one.sender_label else "writes")


def _caused(label: str, receivers: Sequence[ConnectedReceiver]) -> Iterator[Edge]:
    """Yield the sends that writes of a model may cause: recipes and the audit log insert and update in bulk."""
    model = apps.get_model(label)
    for one in receivers:
        if one.receives_from(model) and _is_of_bulk_writes(one):
            yield Edge(Node("model", label), _send(one), "causes")


def _is_of_bulk_writes(one: ConnectedReceiver) -> bool:
    signal = short_signal(one.signal_name)
    return signal in _OF_BULK or (signal in _OF_ROWS and one.connection.options.find(ReceivesBulk) is not None)


_OF_ROWS = ("pre_save", "post_save")  # sent by bulk writes to receivers with bulk=True
_OF_BULK = ("pre_update", "post_update", "pre_bulk_create", "post_bulk_create", "pre_bulk_update", "post_bulk_update")


def _send(one: ConnectedReceiver) -> Node:
    return Node("send", one.signal_name, one.sender)
