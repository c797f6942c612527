"""Cycles of a graph: groups of nodes that lead back to themselves."""

import graphlib

from hypothesis import given
from hypothesis import strategies as st

from heliograph.flow.graphs.cycles import cycles_of, edges_in
from heliograph.flow.graphs.nodes import Edge, Graph, Node


def graph(*pairs, relation="sends"):
    made = Graph()
    for source, target in pairs:
        made.add(Node("receiver", source), Node("receiver", target), relation)
    return made


def names(cycles):
    return [[node.name for node in cycle] for cycle in cycles]


def test_a_chain_has_no_cycle():
    assert cycles_of(graph("ab", "bc")) == []


def test_two_that_lead_to_each_other_are_a_cycle():
    assert names(cycles_of(graph("ab", "ba", "bc"))) == [["a", "b"]]


def test_one_that_leads_to_itself_is_a_cycle():
    assert names(cycles_of(graph("aa", "ab"))) == [["a"]]


def test_two_ways_to_one_node_are_no_cycle():
    assert cycles_of(graph("ab", "ac", "bd", "cd")) == []


def test_cycles_that_share_a_node_are_one_group():
    assert names(cycles_of(graph("ab", "ba", "bc", "cb", "xy", "yx"))) == [["a", "b", "c"], ["x", "y"]]


def test_to_set_a_field_of_the_row_leads_nowhere():
    assert cycles_of(graph("ab", "ba", relation="sets")) == []


def test_the_edges_between_cycles_belong_to_none():
    made = graph("ab", "ba", "bx", "xy", "yx")
    found = {(edge.source.name, edge.target.name) for edge in edges_in(cycles_of(made), made)}
    assert found == {("a", "b"), ("b", "a"), ("x", "y"), ("y", "x")}


def test_a_chain_longer_than_the_stack_of_python_is_searched():
    nodes = [Node("receiver", str(number)) for number in range(5000)]
    made = Graph()
    for source, target in zip(nodes, [*nodes[1:], nodes[0]], strict=True):
        made.add(source, target, "sends")
    assert [len(cycle) for cycle in cycles_of(made)] == [5000]


pairs = st.lists(st.tuples(st.sampled_from("abcdefg"), st.sampled_from("abcdefg")), max_size=15)


@given(pairs)
def test_what_is_in_no_cycle_has_an_order(pairs):
    made = graph(*pairs)
    marked = edges_in(cycles_of(made), made)
    left = [edge for edge in made.edges if edge not in marked]
    assert len(list(ordered(left))) == len({node for edge in left for node in (edge.source, edge.target)})


@given(pairs)
def test_each_edge_of_a_cycle_leads_back_to_where_it_comes_from(pairs):
    made = graph(*pairs)
    for edge in edges_in(cycles_of(made), made):
        assert edge.source in reached(edge.target, made.edges)


@given(pairs)
def test_a_graph_with_an_order_has_no_cycle(pairs):
    made = graph(*pairs)
    try:
        list(ordered(made.edges))
    except graphlib.CycleError:
        assert cycles_of(made) != []
    else:
        assert cycles_of(made) == []


def ordered(edges: list[Edge]):
    sorter = graphlib.TopologicalSorter[Node]()
    for edge in edges:
        sorter.add(edge.target, edge.source)
    return sorter.static_order()


def reached(node: Node, edges: list[Edge]) -> set[Node]:
    found: set[Node] = {node}
    waiting = [node]
    while waiting:
        at = waiting.pop()
        for edge in edges:
            if edge.source == at and edge.target not in found:
                found.add(edge.target)
                waiting.append(edge.target)
    return found
