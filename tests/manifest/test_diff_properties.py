"""A graph and itself have no differences, and every edit of a graph is named."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from tests.manifest.choreographies import AT, editable, graphs
from tests.manifest.graphs import graphs as contradictory

from farandole.graph import Branch, Effects, Expectation, Graph, Message, Move, Place, Reaction, Service, Trigger, Workflow
from farandole.graph.nodes import AllowedCycle
from farandole.manifest.diff import diff

KINDS: dict[str, type] = {
    "services": Service,
    "messages": Message,
    "reactions": Reaction,
    "workflows": Workflow,
    "cycles": AllowedCycle,
}


def other(node: Any, field: str) -> Any:
    """Another value for this field of a node."""
    value = getattr(node, field)
    special: dict[str, Any] = {
        "schema": {"type": "object", "properties": {"quite_new": {"type": "string"}}},
        "version": "9.9.9" if isinstance(node, Service) else (1, 9),
        "trigger": Trigger("count", value.receives if field == "trigger" else (), expected="expected_field"),
        "expects": (Expectation("quite_new", "quite_new", ("newer",), 5.0),),
        "effects": Effects("idempotent", reads=("quite_new",)),
        "moves": (Move("parcel", ("here",), "there"),),
        "exhausted": None if value else Branch(("shop.Another.v1",), AT),
        "late": None if value else Branch(("shop.Another.v1",), AT),
        "examples": ({"order_id": "o-9"},),
        "kind": "command",
        "answers": ((),) if value != ((),) else (),
        "many": () if value else ("shop.Another.v1",),
        "window": 5.0,
    }
    if field in special:
        return special[field]
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, tuple):
        return (*value, "shop.Another.v1")
    return f"{value or ''}another"


def subject_of(node: Any) -> str:
    if isinstance(node, AllowedCycle):
        return min(node.types)
    return str(getattr(node, "type", None) or getattr(node, "id", None) or node.name)


def can_be_edited(node: Any, field: str) -> bool:
    """Whether another value for this field alone makes sense, and is another thing."""
    if field == "answers" and not node.emits:
        return False  # nothing, or nothing
    return not (field in ("compensates", "undoes") and node.compensates is None)  # these two go together


def edited(node: Any, field: str) -> Any:
    return replace(node, **{field: other(node, field)})


def swap(graph: Graph, kind: str, index: int, node: Any) -> Graph:
    nodes = list(getattr(graph, kind))
    nodes[index : index + 1] = [] if node is None else [node]
    return replace(graph, **{kind: tuple(nodes)})


def named(graph: Graph, new: Graph, subject: str) -> bool:
    """Whether some change is about this subject, or says its name in passing."""
    word = subject.rpartition(".")[2] if ".Event" not in subject else subject.split(".")[1]
    return any(subject in (change.subject, *change.affected) or word in change.what for change in diff(graph, new))


@settings(max_examples=30)
@given(st.one_of(graphs(), contradictory()))
def test_a_graph_and_itself_have_no_differences(graph: Graph) -> None:
    assert diff(graph, deepcopy(graph)) == []


@settings(max_examples=30)
@given(graphs())
def test_where_something_is_declared_is_no_difference(graph: Graph) -> None:
    moved = graph
    for kind in KINDS:
        for index, node in enumerate(getattr(graph, kind)):
            moved = swap(moved, kind, index, replace(node, place=Place("elsewhere.py", 99)))
    assert diff(graph, moved) == []


@settings(max_examples=30)
@given(graphs(), st.randoms(use_true_random=False))
def test_the_order_of_declarations_is_no_difference(graph: Graph, random: Any) -> None:
    shuffled = graph
    for kind in KINDS:
        nodes = list(getattr(graph, kind))
        random.shuffle(nodes)
        shuffled = replace(shuffled, **{kind: tuple(nodes)})
    assert diff(graph, shuffled) == []


CASES = [(kind, field) for kind, cls in KINDS.items() for field in editable(cls)]


@pytest.mark.parametrize(("kind", "field"), CASES)
@settings(max_examples=5, suppress_health_check=[HealthCheck.filter_too_much])  # not every graph has something to edit so
@given(graph=graphs(), data=st.data())
def test_every_edit_of_every_field_is_named(kind: str, field: str, graph: Graph, data: st.DataObject) -> None:
    nodes = getattr(graph, kind)
    assume(nodes)
    index = data.draw(st.integers(0, len(nodes) - 1))
    assume(can_be_edited(nodes[index], field))
    new = swap(graph, kind, index, edited(nodes[index], field))
    assert named(graph, new, subject_of(nodes[index])), diff(graph, new)


@settings(max_examples=40)
@given(graph=graphs(), data=st.data())
def test_each_of_several_edits_is_named(graph: Graph, data: st.DataObject) -> None:
    cases = [(kind, index) for kind in KINDS for index in range(len(getattr(graph, kind)))]
    new = graph
    for kind, index in data.draw(st.lists(st.sampled_from(cases), unique=True, min_size=1, max_size=5)):
        node = getattr(graph, kind)[index]
        field = data.draw(st.sampled_from(editable(node)))
        if can_be_edited(node, field):
            new = swap(new, kind, index, edited(node, field))
            assert named(graph, swap(graph, kind, index, edited(node, field)), subject_of(node))
    before = [node for kind in KINDS for node in getattr(graph, kind)]
    now = [node for kind in KINDS for node in getattr(new, kind)]
    assert [subject_of(a) for a, b in zip(before, now, strict=True) if a != b and not named(graph, new, subject_of(a))] == []


@settings(max_examples=50)
@given(graph=graphs(), data=st.data())
def test_everything_that_went_or_came_is_named(graph: Graph, data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from([kind for kind in KINDS if getattr(graph, kind)]))
    nodes = getattr(graph, kind)
    index = data.draw(st.integers(0, len(nodes) - 1))
    if kind == "services":
        graph = replace(graph, reactions=tuple(r for r in graph.reactions if r.service != nodes[index].id))
    less = swap(graph, kind, index, None)
    twins = [node for node in getattr(less, kind) if subject_of(node) == subject_of(nodes[index])]
    if kind == "cycles" and twins:
        return
    assert named(graph, less, subject_of(nodes[index]))
    assert named(less, graph, subject_of(nodes[index]))


@settings(max_examples=30)
@given(st.one_of(graphs(), contradictory()), st.one_of(graphs(), contradictory()))
def test_any_two_graphs_can_be_compared(old: Graph, new: Graph) -> None:
    changes = diff(old, new)
    assert all(change.what for change in changes)
    assert (changes == []) == (diff(new, old) == [])
