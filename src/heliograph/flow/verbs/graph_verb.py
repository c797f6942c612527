"""The verb `graph`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from django.apps import apps
from django.core.management.base import CommandError

from heliograph.flow import receiver_filters
from heliograph.flow.connected_receivers import connected_receivers
from heliograph.flow.graphs import of_recordings, of_registry
from heliograph.flow.graphs.cycles import cycles_of
from heliograph.flow.graphs.nodes import Graph, Node
from heliograph.flow.graphs.of_recordings import verified
from heliograph.flow.graphs.printing import FORMATS

READABLE = 60  # nodes of a graph that people can read


def add_arguments(parser: Any) -> None:
    """Add the arguments of the verb."""
    receiver_filters.add_arguments(parser)
    parser.add_argument("--format", choices=FORMATS, default="mermaid", help="how it is printed; default: mermaid")
    text = "files that trace().to_json() has filled: the graph shows what has happened in them"
    parser.add_argument("--from", dest="recordings", nargs="+", metavar="FLOW.json", default=[], help=text)


def run(command: Any, options: dict[str, Any]) -> None:
    """Print a graph, and on the other stream how much of all there is it shows."""
    filters, paths = receiver_filters.filters_of(options), options["recordings"]
    calls, graph_of = _recorded(paths) if paths else _connected()
    shown = filters.matching(calls)
    if not shown:
        command.stderr.write(filters.why_nothing(calls))
    graph = graph_of(shown)
    command.stdout.write(FORMATS[options["format"]](graph))
    command.stderr.write("\n".join(_remarks(graph, f"{len(shown)} of {len(calls)} calls")))


_Calls = tuple[Sequence[Any], Callable[[Sequence[Any]], Graph]]  # with the function that makes a graph of some of them


def _connected() -> _Calls:
    return connected_receivers(), of_registry.graph_of


def _recorded(paths: Sequence[str]) -> _Calls:
    whole = of_recordings.graph_of(map(_recording, paths))
    return of_recordings.calls_of(whole), lambda shown: of_recordings.part_of(whole, shown)


def _recording(path: str) -> Any:
    try:
        return verified(json.loads(Path(path).read_text()))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error


def _remarks(graph: Graph, shown: str) -> Iterator[str]:
    nodes = len(graph.nodes)
    yield f"Shown: {shown}, as {nodes} nodes and {len(graph.edges)} edges."
    if nodes > READABLE:
        yield (
            f"More than {READABLE} nodes are hard to read: add --app, --model, --signal or --receiver"
            f"{_suggested(graph)}."
        )
    for cycle in cycles_of(graph):
        yield f"Cycle: {', '.join(node.text for node in cycle)}."


def _suggested(graph: Graph) -> str:
    """Return the apps whose models have the most nodes, as filters."""
    labels = Counter(label for label in map(_label_of, graph.nodes) if label in apps.app_configs)
    found = ", ".join(f"--app {label}" for label, _ in labels.most_common(3))
    return f", such as {found}" if found else ""


def _label_of(node: Node) -> str:
    return "" if node.kind == "receiver" else (node.sender or node.name).partition(".")[0]
