"""Mermaid, DOT and JSON: their own tools read what we write, whatever names strangers give."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from tests.browser import browser, mermaid_script, needed
from tests.graph.kit import PLACE, checkout, graph, large, reaction, tp, workflow

from examples.shop import shop
from farandole.graph import Graph, Message
from farandole.graph.draw import data, dot, mermaid, picture_of
from farandole.graph.of_code import graph_of

NASTY = [
    'a"b',
    "a;b",
    "a#b",
    "a]b",
    "a)b}c",
    "<script>",
    "%%{init}%%",
    "end",
    "a\\nb",
    "\\N",
    "a`b`",
    "é漢字",
    "graph",
    "click",
    "a|b",
    "-->",
    "style x",
    "{{",
    "@{ shape: x }",
]


def nasty() -> Graph:
    """Names that mean something in the languages of drawings."""
    reactions = [
        reaction(
            f"shop.{name.replace('.', '')}s.{name}r",
            f"shop.{name}.v1",
            f"shop.{name}2.v1",
            exhausted=(f"shop.{name}3.v1",),
            outside=True,
        )
        for name in NASTY
    ]
    messages = [Message(f"shop.{name}.v1", "shop.x", PLACE, doc=name) for name in NASTY]
    flow = workflow('w"%%;\n', (f"shop.{NASTY[0]}.v1",), (f"shop.{NASTY[0]}2.v1",))  # type: ignore[arg-type]
    return graph(*reactions, messages=messages, workflows=[flow], name='n"%%{init}%%;')


GRAPHS = {"shop": lambda: graph_of(shop), "everything": checkout, "nasty names": nasty, "large": large, "nothing": graph}


@pytest.mark.real_time
def test_mermaid_itself_draws_what_we_write_in_its_language() -> None:
    script = mermaid_script()
    with browser() as chromium:
        page = chromium.new_page()
        page.set_content("<div id=place></div>")
        page.add_script_tag(path=str(script))
        page.evaluate("mermaid.initialize({startOnLoad: false})")
        for name, make in GRAPHS.items():
            picture = picture_of(make())
            drawn = page.evaluate("async (text) => (await mermaid.render('drawn', text)).svg", mermaid(picture))
            page.evaluate("svg => { document.getElementById('place').innerHTML = svg }", drawn)
            found = page.evaluate(
                "[document.querySelectorAll('g.node').length, document.querySelectorAll('path.flowchart-link').length]"
            )
            assert found == [len(picture.nodes), len(picture.arrows)], name
            shown = page.evaluate("document.getElementById('place').innerText")
            assert all(
                part in "".join(shown.split())
                for node in picture.nodes
                for part in node.label.split("…")[0].split()[:1]
                if len(part) < 12
            )
            assert not page.evaluate("document.querySelectorAll('#place script').length")


@pytest.mark.real_time
@pytest.mark.parametrize("name", GRAPHS)
def test_graphviz_itself_reads_what_we_write_in_its_language(name: str) -> None:
    program = shutil.which("dot")
    if program is None:
        needed("no Graphviz here: apt-get install graphviz")
    picture = picture_of(GRAPHS[name]())
    done = subprocess.run([str(program), "-Tjson0"], input=dot(picture), capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    read: dict[str, Any] = json.loads(done.stdout)
    nodes = [one for one in read.get("objects", ()) if "nodes" not in one and not one["name"].startswith("cluster")]
    assert len(nodes) == len(picture.nodes)
    assert len(read.get("edges", ())) == len(picture.arrows)


@pytest.mark.real_time
def test_graphviz_shows_names_as_they_are() -> None:
    program = shutil.which("dot")
    if program is None:
        needed("no Graphviz here: apt-get install graphviz")
    command = [str(program), "-Tsvg"]
    drawn = subprocess.run(command, input=dot(picture_of(nasty())).encode(), capture_output=True, check=True, timeout=120).stdout
    shown = [text.text for text in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}text")]
    assert {'a"b', "a\\nb", "\\N", "<script>", "é漢字"} <= set(shown)


def test_a_statement_is_never_ended_by_a_name() -> None:
    for line in mermaid(picture_of(nasty())).splitlines():
        inner = line.strip()
        if inner.startswith("%%"):
            assert "{" not in inner, line  # it would be an instruction
        else:
            assert inner.count('"') in (0, 2), line


def test_mermaid_is_not_given_more_than_it_draws() -> None:
    many = graph(*(reaction(f"a.r{n}", f"E{n}", f"F{n}") for n in range(300)))
    text = mermaid(picture_of(many, "reaction"))
    assert text.count(" --> ") == 450
    assert "%% 150 arrows left out: Mermaid draws 450." in text


def test_the_json_names_nodes_arrows_and_what_is_left_out() -> None:
    told = json.loads(json.dumps(data(picture_of(checkout()))))
    assert set(told) == {"name", "about", "by", "groups", "nodes", "arrows", "left_out"}
    charge = next(node for node in told["nodes"] if node["id"] == "shop.payments.charge")
    assert charge == {
        "id": "shop.payments.charge",
        "kind": "reaction",
        "label": "charge",
        "group": "shop.payments",
        "look": "usual",
        "end": None,
        "outside": True,
        "notes": [],
        "title": "shop.payments.charge Calls the outside.",
    }
    assert {"from": "shop.payments.charge", "to": tp("PaymentFailed"), "look": "fails", "label": None} in told["arrows"]
    ids = {node["id"] for node in told["nodes"]}
    assert all({arrow["from"], arrow["to"]} <= ids for arrow in told["arrows"])
