"""A graph as text: Mermaid for Markdown, DOT for Graphviz, or JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

from heliograph.flow.graphs.cycles import cycles_of, edges_in
from heliograph.flow.graphs.nodes import Edge, Graph, Node

# The version of the format of JSON.
VERSION = 1


def mermaid(graph: Graph) -> str:
    """Return a flowchart of Mermaid, which GitHub and GitLab draw; the edges of a cycle are thick and red."""
    ids, marked = _ids(graph), edges_in(cycles_of(graph), graph)
    lines = ["flowchart LR", *(f"  {ids[node]}{_in_shape(node)}" for node in graph.nodes)]
    for edge in graph.edges:
        arrow = "==>" if edge in marked else "-.->" if edge.relation == "sets" else "-->"
        lines.append(f'  {ids[edge.source]} {arrow}|"{_relation(graph, edge)}"| {ids[edge.target]}')
    red = [str(at) for at, edge in enumerate(graph.edges) if edge in marked]
    return "\n".join([*lines, *([f"  linkStyle {','.join(red)} stroke:red"] if red else [])])


_SHAPES = {"send": ("([", "])"), "receiver": ("[", "]"), "model": ("[(", ")]")}
_ENTITIES = str.maketrans({"#": "#35;", "`": "#96;", '"': "#quot;", "<": "#lt;", ">": "#gt;", "\n": " "})


def _in_shape(node: Node) -> str:
    left, right = _SHAPES[node.kind]
    return f'{left}"{node.text.translate(_ENTITIES)}"{right}'


def dot(graph: Graph) -> str:
    """Return a digraph in the language of Graphviz; the edges of a cycle are red."""
    ids, marked = _ids(graph), edges_in(cycles_of(graph), graph)
    return "\n".join(["digraph signals {", "  rankdir=LR;", *_dot_statements(graph, ids, marked), "}"])


_DOT_SHAPES = {"send": "ellipse", "receiver": "box", "model": "cylinder"}


def _dot_statements(graph: Graph, ids: dict[Node, str], marked: set[Edge]) -> Iterator[str]:
    for node in graph.nodes:
        yield f"  {ids[node]} [label={_quoted(node.text)}, shape={_DOT_SHAPES[node.kind]}];"
    for edge in graph.edges:
        style = ", color=red, penwidth=2" if edge in marked else ", style=dashed" if edge.relation == "sets" else ""
        yield f"  {ids[edge.source]} -> {ids[edge.target]} [label={_quoted(_relation(graph, edge))}{style}];"


def _quoted(text: str) -> str:
    return '"{}"'.format(text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " "))


def as_json(graph: Graph) -> str:
    """Return a document of JSON, in a format with a version."""
    ids, cycles = _ids(graph), cycles_of(graph)
    marked = edges_in(cycles, graph)
    document = {
        "version": VERSION,
        "nodes": [{"id": ids[node], **_facts(node)} for node in graph.nodes],
        "edges": [
            {
                "from": ids[edge.source],
                "to": ids[edge.target],
                "relation": edge.relation,
                "count": graph.counts[edge],
                "in_cycle": edge in marked,
            }
            for edge in graph.edges
        ],
        "cycles": [[ids[node] for node in cycle] for cycle in cycles],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def _facts(node: Node) -> dict[str, str]:
    facts = {"kind": node.kind, "name": node.name}
    return {**facts, "sender": node.sender} if node.kind == "send" else facts


def _ids(graph: Graph) -> dict[Node, str]:
    return {node: f"n{number}" for number, node in enumerate(graph.nodes, 1)}


def _relation(graph: Graph, edge: Edge) -> str:
    """Return what an edge says, and how often it was seen if that is more than once."""
    count = graph.counts[edge]
    return f"{edge.relation} {count} x" if count > 1 else str(edge.relation)


FORMATS: dict[str, Callable[[Graph], str]] = {"mermaid": mermaid, "dot": dot, "json": as_json}
