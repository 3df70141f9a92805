"""A graph that is written as manifests and read again is the same graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.manifest.graphs import graphs, in_order

from examples.shop import shop
from farandole import Choreography, Event, Guard, Move, Service
from farandole.graph import Graph
from farandole.graph.of_code import graph_of
from farandole.manifest import as_json, as_yaml, document_of, read_folder


def written(graph: Graph, folder: Path, ending: str = "yaml") -> Path:
    for index, service in enumerate(graph.services):
        text = (as_json if ending == "json" else as_yaml)(document_of(graph, service))
        (folder / f"{index}.{ending}").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_the_shop_is_the_same_after_it_was_written_and_read(ending: str, tmp_path: Path) -> None:
    graph = graph_of(shop)
    read, findings = read_folder(written(graph, tmp_path, ending))
    assert findings == []
    assert in_order(read) == in_order(graph)


@pytest.mark.parametrize("team", ["\x85", "a\x85b", "a\u2028b", "\u2029", "a\nb\x85"])
def test_what_else_may_end_a_line_is_the_same_after_it_was_written_and_read(tmp_path: Path, team: str) -> None:
    graph = graph_of(Choreography("shop", Service("orders", team=team)))
    read, findings = read_folder(written(graph, tmp_path))
    assert findings == []
    assert [service.team for service in read.services] == [team]


def test_the_states_of_a_guard_are_the_same_after_they_were_written_and_read(tmp_path: Path) -> None:
    class Paid(Event, key="order", of="shop.payments"):
        order: str

    orders = Service("orders")

    async def order_state(event: Event) -> str | None:
        return None

    @orders.on(Paid, guard=Guard(order_state, "placed", "reserved"))
    async def confirm(event: Paid) -> None: ...

    read, findings = read_folder(written(graph_of(Choreography("shop", orders)), tmp_path))
    assert findings == []
    assert [node.moves for node in read.reactions] == [(Move("order", ("placed", "reserved")),)]


def test_the_same_graph_gives_the_same_bytes() -> None:
    texts = {as_yaml(document_of(graph, graph.service["shop.orders"])) for graph in (graph_of(shop), graph_of(shop))}
    assert len(texts) == 1


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["yaml", "json"])
def test_any_graph_is_the_same_after_it_was_written_and_read(ending: str) -> None:
    @given(graphs())
    @settings(max_examples=40)
    def holds(graph: Graph) -> None:
        with tempfile.TemporaryDirectory() as folder:
            read, findings = read_folder(written(graph, Path(folder), ending))
        assert findings == []
        assert in_order(read) == in_order(graph)

    holds()
