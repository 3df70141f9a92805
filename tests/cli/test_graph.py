"""farandole graph: what is drawn, in which language, and where it goes."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from tests.cli.kit import Project


def test_the_choreography_is_drawn_in_mermaid_unless_told_otherwise(cafe: Project) -> None:
    code, out, err = cafe.run("graph")
    assert (code, err) == (0, "")
    assert out.startswith("flowchart TB\n    %% shop\n")
    assert '["OrderPlaced"]' in out


@pytest.mark.parametrize(
    ("name", "begins"),
    [
        ("a.svg", "<svg "),
        ("a.dot", "digraph "),
        ("a.gv", "digraph "),
        ("a.json", "{"),
        ("a.mmd", "flowchart TB"),
        ("a.SVG", "<svg "),
    ],
)
def test_the_ending_of_the_file_says_what_to_write(cafe: Project, name: str, begins: str) -> None:
    assert cafe.run("graph", "--output", name) == (0, "", "")
    assert (cafe.folder / name).read_text(encoding="utf-8").startswith(begins)


def test_a_format_that_is_said_comes_before_the_ending(cafe: Project) -> None:
    cafe.run("graph", "--format", "json", "--output", "a.svg")
    assert json.loads((cafe.folder / "a.svg").read_text())["name"] == "shop"


def test_a_part_is_drawn(cafe: Project) -> None:
    _, out, _ = cafe.run("graph", "--event", "OrderConfirmed", "--format", "json")
    labels = {node["label"] for node in json.loads(out)["nodes"]}
    assert "OrderConfirmed" in labels
    assert "OrderPlaced" not in labels
    _, out, _ = cafe.run("graph", "--service", "payments", "--format", "json")
    assert json.loads(out)["name"] == "shop: payments"
    _, out, _ = cafe.run("graph", "--domain", "--format", "json")
    assert [(node["kind"], node["label"]) for node in json.loads(out)["nodes"]] == [("domain", "shop")]


def test_two_ways_to_choose_a_part_are_one_too_many(cafe: Project) -> None:
    code, _, err = cafe.run("graph", "--event", "OrderPlaced", "--service", "orders")
    assert code == 2
    assert err == "farandole: choose one of --workflow, --service and --event: each says which part of the graph to draw\n"


def test_an_unknown_part_is_an_error_with_the_nearest(cafe: Project) -> None:
    code, _, err = cafe.run("graph", "--service", "paymnts")
    assert (code, err) == (2, "farandole: there is no service 'paymnts'. Did you mean payments?\n")


def test_an_ending_that_says_nothing_is_refused(cafe: Project) -> None:
    code, _, err = cafe.run("graph", "--output", "picture.png")
    assert code == 2
    assert (
        "picture.png is not clear from its ending. Give it one of .svg, .dot, .gv, .json, .mmd, .mermaid, or say --format" in err
    )
    assert not (cafe.folder / "picture.png").exists()


def test_a_file_that_cannot_be_written_is_one_line(cafe: Project) -> None:
    code, _, err = cafe.run("graph", "--output", "no/such/folder/a.svg")
    assert (code, err) == (2, "farandole: --output: no/such/folder/a.svg cannot be written: No such file or directory\n")


def test_what_is_left_out_is_said_beside_the_picture_too(project: object) -> None:
    source = "from farandole import Choreography, Event, Service\n" + "".join(
        f"class E{n}(Event):\n    x: int\ns{n} = Service('s{n}')\n@s{n}.on(E{n - 1 if n else 0})\n"
        f"async def r{n}(event: E{n - 1 if n else 0}) -> E{n}: ...\n"
        for n in range(90)
    )
    made = project(source + f"shop = Choreography('shop', {', '.join(f's{n}' for n in range(90))})\n")  # type: ignore[operator]
    code, out, err = made.run("graph", "--format", "svg")
    assert code == 0
    assert "farandole: 10 services with fewer connections left out: name with --service what you want to see.\n" in err
    assert "10 services with fewer connections left out" in out
    ET.fromstring(out)


def test_the_picture_of_the_shop_in_the_docs_is_what_this_command_draws(cafe: Project, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    assert cafe.run("graph", "examples.shop:shop", "--output", "now.svg")[0] == 0
    now, kept = (tmp_path / "now.svg").read_text(encoding="utf-8"), (root / "docs" / "shop.svg").read_text(encoding="utf-8")
    assert now == kept, "run: farandole graph examples.shop:shop --output docs/shop.svg"
    assert cafe.run("graph", "examples.shop:shop", "--workflow", "checkout", "--output", "flow.svg")[0] == 0
    now, kept = (tmp_path / "flow.svg").read_text(encoding="utf-8"), (root / "docs" / "checkout.svg").read_text(encoding="utf-8")
    assert now == kept, "run: farandole graph examples.shop:shop --workflow checkout --output docs/checkout.svg"
