"""AsyncAPI's own parser accepts every document that we write. It needs node; CI must have it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from tests.manifest.graphs import graphs

from examples.shop import shop
from farandole.graph import Graph, Service
from farandole.graph.of_code import graph_of
from farandole.manifest import as_json, as_yaml, document_of

HERE = Path(__file__).parents[1] / "node"


def parsed(files: list[Path]) -> dict[str, Any]:
    """What the parser says of each file."""
    done = subprocess.run(
        ["node", HERE / "validate.mjs", *files], capture_output=True, text=True, check=True, env={"PATH": os.environ["PATH"]}
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def parser() -> None:
    why = None
    if shutil.which("node") is None:
        why = "node is absent: the official parser of AsyncAPI cannot run"
    elif not (HERE / "node_modules").is_dir():
        why = "the official parser of AsyncAPI is absent: npm ci --ignore-scripts --prefix tests/node"
    if why and os.environ.get("FARANDOLE_REQUIRE_TOOLS"):
        pytest.fail(why)
    if why:
        pytest.skip(why)


@pytest.mark.slow
@pytest.mark.real_time
def test_the_official_parser_accepts_the_shop_without_a_remark(parser: None, tmp_path: Path) -> None:
    graph = graph_of(shop)
    files = []
    for service in graph.services:
        files += [tmp_path / f"{service.id}.yaml", tmp_path / f"{service.id}.json"]
        files[-2].write_text(as_yaml(document_of(graph, service)), encoding="utf-8")
        files[-1].write_text(as_json(document_of(graph, service)), encoding="utf-8")
    found = parsed(files)
    assert {file: each["diagnostics"] for file, each in found.items() if each["diagnostics"]} == {}
    assert {each["version"] for each in found.values()} == {"3.1.0"}
    assert ["charge", "receive"] in found[str(tmp_path / "shop.payments.yaml")]["operations"]


def is_ours(diagnostic: dict[str, Any]) -> bool:
    """Whether an error is about the document: some schemas that refer to each other in a circle are too much for the parser itself."""
    return bool(diagnostic["severity"] == 0) and "Maximum call stack size exceeded" not in diagnostic["message"]


@pytest.mark.slow
@pytest.mark.real_time
def test_the_official_parser_accepts_whatever_we_write(parser: None, tmp_path: Path) -> None:
    files: list[Path] = []

    @given(graphs())
    @settings(max_examples=3, database=None)
    def write(graph: Graph) -> None:
        for service in graph.services:
            files.append(tmp_path / f"{len(files)}.yaml")
            files[-1].write_text(as_yaml(document_of(graph, service)), encoding="utf-8")

    write()
    errors = {file: [each for each in found["diagnostics"] if is_ours(each)] for file, found in parsed(files).items()}
    assert {Path(file).read_text(): each for file, each in errors.items() if each} == {}


@pytest.mark.slow
@pytest.mark.real_time
def test_the_official_parser_would_say_what_is_wrong(parser: None, tmp_path: Path) -> None:
    graph = graph_of(shop)
    document = document_of(graph, graph.service["shop.payments"])
    document["operations"]["charge"]["action"] = "shout"
    (tmp_path / "wrong.yaml").write_text(as_yaml(document), encoding="utf-8")
    (found,) = parsed([tmp_path / "wrong.yaml"]).values()
    assert found["version"] is None
    assert [each["path"] for each in found["diagnostics"]] == ["operations/charge/action"]


def test_a_service_that_does_nothing_is_a_document_too() -> None:
    from farandole.graph import Place

    service = Service("shop.idle", Place("a.py", 1))
    assert document_of(Graph("shop", (service,)), service)["operations"] == {}
