"""The catalog's pages: what they tell, that every link leads somewhere, and that all that strangers wrote is text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import PurePosixPath

import pytest
from tests.graph.kit import PLACE, checkout, graph, reaction, tp

from examples.shop import shop
from farandole.graph import Graph, Message, Service
from farandole.graph.of_code import graph_of
from farandole.web.catalog import site


class Page(HTMLParser):
    """What is in a page: tags, links, ids, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[str] = []
        self.headings: list[int] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        found = dict(attrs)
        self.links += [value for key in ("href", "src") if (value := found.get(key)) is not None and tag != "base"]
        self.ids += [found["id"] or ""] if "id" in found else []
        self.attributes += list(found)
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))

    def handle_data(self, data: str) -> None:
        self.text += data


def files(whole: Graph) -> dict[str, str]:
    made = list(site(whole))
    found = dict(made)
    assert len(found) == len(made), "two pages in one file"
    return found


def pages(found: dict[str, str]) -> dict[str, Page]:
    return {path: Page(text) for path, text in found.items() if path.endswith(".html")}


@pytest.fixture(scope="module")
def of_shop() -> dict[str, str]:
    return files(graph_of(shop))


NASTY = [
    "<script>alert(1)</script>",
    "../../outside",
    "a/b",
    "A",
    "a",
    "",
    ".hidden",
    "é漢",
    "x" * 300,
    "con:\\",
    'q"u',
    "#",
    "?x=1&y",
    "%41",
    "a b",
]


def nasty() -> Graph:
    """Names and texts that mean something to browsers, disks and scripts."""
    schema = {
        "type": "object",
        "properties": {name: {"type": "string", "description": name, "default": name, "pattern": name} for name in NASTY},
        "$defs": {name: {"type": "object", "properties": {name: {"enum": [name]}}, "description": name} for name in NASTY},
    }
    messages = [
        Message(f"shop.{n}.v1", f"shop.{n}", PLACE, doc=n, schema=schema, examples=({n: n},), key=n, topic=n, former=(tp("A"),))
        for n in NASTY
    ]
    reactions = [reaction(f"shop.{n.replace('.', '')}.r{n}", (f"shop.{n}.v1",), ("shop.A.v1",), doc=n) for n in NASTY]  # type: ignore[arg-type]
    whole = graph(*reactions, messages=messages, name="</title><script>alert(2)</script>")
    return Graph(whole.name, tuple(Service(f"shop.{n}", PLACE, team=n, doc=n) for n in NASTY), whole.messages, whole.reactions)


def test_there_is_a_page_for_every_service_event_command_and_workflow(of_shop: dict[str, str]) -> None:
    whole = graph_of(shop)
    assert {f"service/{service.id}.html" for service in whole.services} <= set(of_shop)
    assert {"event/shop.OrderPlaced.html", "command/shop.PlaceOrder.html", "workflow/checkout.html"} <= set(of_shop)
    assert sum(path.startswith(("event/", "command/")) for path in of_shop) == len(whole.types)


@pytest.mark.parametrize("make", [lambda: graph_of(shop), checkout, nasty, graph], ids=["shop", "everything", "nasty", "nothing"])
def test_every_link_leads_to_a_page_and_a_place_in_it(make: object) -> None:
    found = files(make())  # type: ignore[operator]
    read = pages(found)
    for path, page in read.items():
        for link in page.links:
            place, _, anchor = link.partition("#")
            assert place in found, f"{path}: {link}"
            assert not anchor or anchor in read[place].ids, f"{path}: {link}"


def test_an_event_tells_its_fields_owner_and_who_reads_what(of_shop: dict[str, str]) -> None:
    text = Page(of_shop["event/shop.OrderPlaced.html"]).text
    for words in (
        "A customer placed an order that can be carried out.",
        "customer_id",
        "sensitive",
        "list of Line",
        "orders.place",
        "returns.remember",
    ):
        assert words in text
    assert "checkout" in text


def test_a_reader_with_a_class_of_its_own_is_told_with_the_fields_that_it_reads() -> None:
    schema = {"type": "object", "properties": {"order_id": {"type": "string"}, "total": {"type": "integer"}}}
    part = {"type": "object", "properties": {"order_id": {"type": "string"}}}
    whole = graph(
        reaction("orders.place", "Begun", "Placed"),
        reaction("mail.thank", "Placed"),
        reaction("bank.book", "Placed"),
        messages=[
            Message(tp("Placed"), "shop.orders", PLACE, schema=schema),
            Message(tp("Placed"), "shop.mail", PLACE, role="reader", schema=part),
        ],
    )
    text = files(whole)["event/shop.Placed.html"]
    rows = [re.sub(r"<[^>]+>", " ", row).split() for row in re.findall("<tr>.*?</tr>", text)]
    assert ["mail.thank", "order_id"] in rows
    assert ["bank.book", "all", "of", "it"] in rows


def test_sensitive_values_do_not_occur_in_examples_and_defaults() -> None:
    schema = {
        "type": "object",
        "properties": {
            "email": {"type": "string", "default": "hidden-1", "x-farandole-sensitive": True},
            "total": {"type": "integer", "default": 7},
        },
    }
    examples = {"email": "hidden-2", "lines": [{"name": "hidden-3", "n": 1}], "notes": {"a": "hidden-4"}, "total": 12345}
    paths = ("email", "lines[].name", "notes.*", "absent.too", "lines[].n.deeper")
    message = Message(tp("Placed"), "shop.orders", PLACE, schema=schema, sensitive=paths, examples=(examples,))
    whole = files(graph(reaction("orders.place", "Begun", "Placed"), messages=[message]))
    assert "12345" in whole["event/shop.Placed.html"]
    assert not [path for path, text in whole.items() if "hidden-" in text]
    everything = Message(tp("Placed"), "shop.orders", PLACE, sensitive=("*",), examples=(examples,))
    assert (
        "12345" not in files(graph(reaction("orders.place", "Begun", "Placed"), messages=[everything]))["event/shop.Placed.html"]
    )


def test_all_versions_of_a_fact_are_on_one_page_the_newest_first() -> None:
    whole = graph(
        reaction("orders.place", "Begun", "shop.Placed.v1 shop.Placed.v2 shop.Placed.v10"),
    )
    page = Page(files(whole)["event/shop.Placed.html"])
    assert [id for id in page.ids if id.startswith("shop.")] == ["shop.Placed.v10", "shop.Placed.v2", "shop.Placed.v1"]


def test_a_workflow_tells_how_it_ends_what_is_undone_and_what_can_go_wrong() -> None:
    text = " ".join(Page(files(checkout())["workflow/checkout.html"]).text.split())
    assert "Takes at most1 h" in text
    for words in ("OrderShippedwellshipping.ship", "stock.releasestock.reservePaymentFailed, OrderExpiredStockReleased"):
        assert words in text
    assert "payments.chargewhat it calls outside fails for 30 sit says PaymentFailed" in text
    assert "orders.expirenone of PaymentDone, PaymentFailed comes within 15 min of OrderPlacedit says OrderExpired" in text
    assert "shipping.shipnot all of PaymentDone, StockReserved come within 1 dayit says ShippedTooLate" in text


def test_what_strangers_wrote_is_text_and_stays_in_the_folder() -> None:
    found = files(nasty())
    for path, page in pages(found).items():
        assert page.tags.count("script") == 1, path
        assert not [name for name in page.attributes if name.startswith("on")], path
    for path in found:
        assert ".." not in PurePosixPath(path).parts and not path.startswith("/")
        assert all(len(part) < 200 and not part.startswith(".") for part in PurePosixPath(path).parts)
        assert re.fullmatch(r"[\w./~-]+", path, re.ASCII), path
    assert len({path.lower() for path in found}) == len(found), "some disks do not tell A from a"
    assert "<script" not in found["search-index.js"]


def test_pages_are_in_order_for_those_who_hear_them(of_shop: dict[str, str]) -> None:
    for path, page in pages(of_shop).items():
        assert page.headings[0] == 1 and page.headings.count(1) == 1, path
        steps = [after - before for before, after in zip(page.headings, page.headings[1:])]
        assert all(step <= 1 for step in steps) or path.startswith(("event/", "command/")), path
        assert {"main", "header", "nav", "footer", "title"} <= set(page.tags)


def test_the_index_is_a_script_with_a_line_for_each_page(of_shop: dict[str, str]) -> None:
    rows = json.loads(of_shop["search-index.js"].removeprefix("window.CATALOG = ").removesuffix(";\n"))
    assert ["event", "OrderPlaced", "shop.OrderPlaced"] in [row[:3] for row in rows]
    assert {row[3] for row in rows} == {path for path in of_shop if path.count("/") == 1}
    placed = next(row for row in rows if row[1] == "OrderPlaced")
    assert "total_pence" in placed[4], "fields are found too"


def test_the_same_graph_gives_the_same_bytes(of_shop: dict[str, str]) -> None:
    assert files(graph_of(shop)) == of_shop


def _colours(css: str) -> Iterator[dict[str, str]]:
    for part in (css.partition("@media")[0], css.partition("@media")[2].partition("\n}\n")[0]):
        yield dict(re.findall(r"--(\w+): (#[0-9a-f]{6})", part))


def test_texts_can_be_read_on_light_and_on_dark(of_shop: dict[str, str]) -> None:
    """Contrast of at least 4.5 to 1 (WCAG 2.2, level AA)."""

    def light(colour: str) -> float:
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    for colours in _colours(of_shop["catalog.css"]):
        pairs = [(text, ground) for text in ("ink", "faint", "blue", "red") for ground in ("paper", "head", "panel")]
        pairs += [("amber", "ambertint"), ("green", "greentint"), ("red", "redtint"), ("faint", "bluetint"), ("ink", "bluetint")]
        for text, ground in pairs:
            one, other = sorted((light(colours[text]), light(colours[ground])))
            assert (other + 0.05) / (one + 0.05) >= 4.5, (text, ground)
