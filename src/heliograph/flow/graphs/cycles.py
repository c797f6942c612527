"""Cycles of a graph: the nodes from which edges lead back to themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from heliograph.flow.graphs.nodes import Edge, Graph, Node


def cycles_of(graph: Graph) -> list[list[Node]]:
    """Return the groups of nodes in which each node leads to each other one, by Tarjan's algorithm.

    A receiver that sets fields of the row that is being written causes no further send, so such an edge leads nowhere.
    """
    edges = edges_that_lead_on(graph)
    targets = _targets(edges)
    itself = {edge.source for edge in edges if edge.source == edge.target}
    found = _components(targets)
    return sorted(sorted(group) for group in found if len(group) > 1 or group[0] in itself)


def edges_that_lead_on(graph: Graph) -> list[Edge]:
    """Return the edges of a graph from whose target something further happens."""
    return [edge for edge in graph.edges if edge.relation != "sets"]


def edges_in(cycles: Iterable[Iterable[Node]], graph: Graph) -> set[Edge]:
    """Return the edges of a graph that are part of a cycle."""
    cycle_of = {node: number for number, cycle in enumerate(cycles) for node in cycle}
    found = edges_that_lead_on(graph)
    return {one for one in found if one.source in cycle_of and cycle_of[one.source] == cycle_of.get(one.target)}


def _targets(edges: Iterable[Edge]) -> dict[Node, list[Node]]:
    targets: dict[Node, list[Node]] = {}
    for edge in edges:
        targets.setdefault(edge.source, []).append(edge.target)
        targets.setdefault(edge.target, [])
    return targets


class _Search:
    """The state of Tarjan's algorithm; a path of its own, since one of Python's frames for each node is too many."""

    def __init__(self, targets: Mapping[Node, list[Node]]) -> None:
        self.targets = targets
        self.numbers: dict[Node, int] = {}  # in the order of discovery
        self.lowest: dict[Node, int] = {}  # the lowest number that a node leads back to
        self.path: list[Node] = []  # nodes whose group is not complete
        self.is_on_path: set[Node] = set()
        self.groups: list[list[Node]] = []

    def start(self, root: Node) -> None:
        """Find the groups of the nodes to which a node leads."""
        waiting = [(root, iter(self._enter(root)))]
        while waiting:
            node, targets = waiting[-1]
            target = next(targets, None)
            if target is None:
                waiting.pop()
                self._leave(node)
                if waiting:
                    self._leads_back(waiting[-1][0], self.lowest[node])
            elif target not in self.numbers:
                waiting.append((target, iter(self._enter(target))))
            elif target in self.is_on_path:
                self._leads_back(node, self.numbers[target])

    def _enter(self, node: Node) -> list[Node]:
        self.numbers[node] = self.lowest[node] = len(self.numbers)
        self.path.append(node)
        self.is_on_path.add(node)
        return self.targets[node]

    def _leads_back(self, node: Node, number: int) -> None:
        self.lowest[node] = min(self.lowest[node], number)

    def _leave(self, node: Node) -> None:
        """Take the group of a node from the path, if the node leads back to no earlier one."""
        if self.lowest[node] == self.numbers[node]:
            start = self.path.index(node)
            group, self.path = self.path[start:], self.path[:start]
            self.is_on_path -= {*group}
            self.groups.append(group)


def _components(targets: Mapping[Node, list[Node]]) -> list[list[Node]]:
    search = _Search(targets)
    for node in targets:
        if node not in search.numbers:
            search.start(node)
    return search.groups
