from __future__ import annotations

from itertools import pairwise

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from farandole.graph.paths import components, reachable, shortest_cycle, way


@st.composite
def graphs(draw):
    count = draw(st.integers(0, 14))
    node = st.integers(0, max(count - 1, 0))
    arrows = draw(st.lists(st.tuples(node, node), max_size=40)) if count else []
    successors = [[] for _ in range(count)]
    for a, b in arrows:
        successors[a].append(b)
    return successors


def like(successors):
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(successors)))
    graph.add_edges_from((a, b) for a, others in enumerate(successors) for b in others)
    return graph


def everything(node: int) -> bool:
    return True


@given(graphs())
def test_components_are_those_of_networkx(successors):
    members: dict[int, set[int]] = {}
    for node, number in enumerate(components(successors)):
        members.setdefault(number, set()).add(node)
    assert {frozenset(m) for m in members.values()} == {frozenset(m) for m in nx.strongly_connected_components(like(successors))}


@given(graphs())
def test_a_component_has_a_greater_number_than_those_that_it_leads_to(successors):
    number = components(successors)
    assert all(number[a] >= number[b] for a, others in enumerate(successors) for b in others)


@given(graphs(), st.sets(st.integers(0, 13), max_size=3))
def test_what_can_be_reached_is_what_networkx_says(successors, sources):
    sources = {node for node in sources if node < len(successors)}
    seen = reachable(successors, sources)
    expected = sources.union(*(nx.descendants(like(successors), node) for node in sources))
    assert {node for node in range(len(successors)) if seen[node]} == expected


@given(graphs(), st.integers(0, 13), st.integers(0, 13))
def test_a_way_is_one_of_the_shortest(successors, start, goal):
    if start == goal or max(start, goal) >= len(successors):
        return
    graph, found = like(successors), way(successors, start, goal, everything)
    assert (found is not None) == nx.has_path(graph, start, goal)
    if found:
        assert (found[0], found[-1]) == (start, goal)
        assert all(graph.has_edge(a, b) for a, b in pairwise(found))
        assert len(found) - 1 == nx.shortest_path_length(graph, start, goal)


@given(graphs())
def test_a_shortest_cycle_is_as_short_as_the_girth(successors):
    found = shortest_cycle(successors, range(len(successors)), everything)
    lengths = [len(cycle) for cycle in nx.simple_cycles(like(successors))]
    assert (len(found) - 1 if found else None) == min(lengths, default=None)
    if found:
        assert found[0] == found[-1]
        assert all(b in successors[a] for a, b in pairwise(found))


def test_a_way_keeps_to_the_allowed_nodes():
    successors = [[1, 2], [3], [3], []]
    assert way(successors, 0, 3, lambda node: node != 1) == [0, 2, 3]
    assert way(successors, 0, 3, lambda node: node == 3) is None


def test_a_chain_of_a_hundred_thousand_needs_no_recursion():
    count = 100_000
    successors = [[node + 1] for node in range(count - 1)] + [[0]]
    assert set(components(successors)) == {0}
    assert sum(reachable(successors, [0])) == count
    assert len(shortest_cycle(successors, [0], everything)) == count + 1
