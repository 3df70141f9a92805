"""A graph that is written as manifests and read again is the same graph."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from tests.manifest.graphs import graphs, in_order

from examples.shop import shop
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
