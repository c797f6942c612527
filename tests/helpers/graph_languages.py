"""Strict little grammars of Mermaid and of DOT: they read the graphs that `signals graph` prints, and nothing else."""

import re
from typing import NamedTuple

_TEXT = r"(?P<text>(?:[^\"<>#`]|#(?:quot|lt|gt|96|35);)*)"
_MERMAID_NODE = re.compile(
    rf"  (?P<id>n\d+)(?:\(\[\"{_TEXT}\"\]\)|\[\"{_TEXT.replace('text', 'box')}\"\]"
    rf"|\[\(\"{_TEXT.replace('text', 'model')}\"\)\])"
)
_MERMAID_EDGE = re.compile(r"  (?P<a>n\d+) (?P<arrow>-->|==>|-\.->)\|\"(?P<label>[\w ]+)\"\| (?P<b>n\d+)")
_MERMAID_STYLE = re.compile(r"  linkStyle (?P<edges>\d+(?:,\d+)*) stroke:red")

_STRING = r"\"((?:[^\"\\\n]|\\\\|\\\")*)\""
_DOT_NODE = re.compile(rf"  (n\d+) \[label={_STRING}, shape=(?:ellipse|box|cylinder)\];")
_DOT_EDGE = re.compile(rf"  (n\d+) -> (n\d+) \[label={_STRING}(, color=red, penwidth=2)?(?:, style=dashed)?\];")


class Parsed(NamedTuple):
    """A graph that was read: the texts of its nodes, and its edges as (from, label, to)."""

    nodes: set[str]
    edges: set[tuple[str, str, str]]
    marked: set[tuple[str, str]]  # edges of cycles


def of_mermaid(text: str) -> Parsed:
    """Read a flowchart; AssertionError for a line that is none of the grammar, or an edge of an unknown node."""
    first, *lines = text.split("\n")
    assert first == "flowchart LR"
    names: dict[str, str] = {}
    edges, red, thick = [], set(), set()
    for line in lines:
        if node := _MERMAID_NODE.fullmatch(line):
            assert not edges, "a node behind an edge"
            names[node["id"]] = _decoded(next(one for one in node.group("text", "box", "model") if one is not None))
        elif edge := _MERMAID_EDGE.fullmatch(line):
            if edge["arrow"] == "==>":
                thick.add(len(edges))
            edges.append((names[edge["a"]], edge["label"], names[edge["b"]]))
        else:
            style = _MERMAID_STYLE.fullmatch(line)
            assert style is not None, line
            red = {*map(int, style["edges"].split(","))}
    assert red == thick
    return Parsed({*names.values()}, {*edges}, {(edges[at][0], edges[at][2]) for at in red})


def _decoded(text: str) -> str:
    for entity, character in (("#quot;", '"'), ("#lt;", "<"), ("#gt;", ">"), ("#96;", "`"), ("#35;", "#")):
        text = text.replace(entity, character)
    return text


def of_dot(text: str) -> Parsed:
    """Read a digraph; AssertionError for a line that is none of the grammar, or an edge of an unknown node."""
    first, rank, *lines, last = text.split("\n")
    assert (first, rank, last) == ("digraph signals {", "  rankdir=LR;", "}")
    names: dict[str, str] = {}
    edges, marked = set(), set()
    for line in lines:
        if node := _DOT_NODE.fullmatch(line):
            names[node[1]] = re.sub(r"\\(.)", r"\1", node[2])
        else:
            edge = _DOT_EDGE.fullmatch(line)
            assert edge is not None, line
            edges.add((names[edge[1]], edge[3], names[edge[2]]))
            if edge[4]:
                marked.add((names[edge[1]], names[edge[2]]))
    return Parsed({*names.values()}, edges, marked)
