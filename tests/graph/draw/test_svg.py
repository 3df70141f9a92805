"""The picture: well-formed, by itself, nothing over anything, and told to those who do not see it."""

from __future__ import annotations

import re
from itertools import combinations
from xml.etree import ElementTree as ET

import pytest
from tests.graph.kit import PLACE, checkout, graph, large, reaction, tp

from examples.shop import shop
from farandole.drawing.ink import wide
from farandole.graph import Graph, Message
from farandole.graph.draw import picture_of, svg
from farandole.graph.filter import of_workflow
from farandole.graph.of_code import graph_of

SVG = "{http://www.w3.org/2000/svg}"
LONG = "AnExtraordinarilyLongNameThatSomebodyGaveToAnEventWhichOughtToHaveHadAShorterOne"


def wordy() -> Graph:
    """Names that are longer than any box."""
    return graph(
        reaction(f"a_service_with_a_name_that_goes_on_and_on.{LONG.lower()}", LONG, f"{LONG}2 W{'W' * 60}", exhausted=f"{LONG}3"),
        reaction(
            "b.wait_for_all_of_them_to_come_in_whatever_order",
            f"{LONG}2 {LONG}3",
            kind="count",
            expected="number_of_parts",
            within=5.0,
        ),
    )


PICTURES = {
    "shop": lambda: graph_of(shop),
    "checkout of the shop": lambda: of_workflow(graph_of(shop), "checkout"),
    "everything": checkout,
    "long names": wordy,
    "narrow columns with long names": lambda: graph(
        *(reaction(f"{name}_notification_preferences.do", "A", "B") for name in ("customer", "supplier", "warehouseandlogistics"))
    ),
    "nothing": graph,
    "a lonely event": lambda: graph(messages=[Message(tp("Lonely"), "shop.orders", PLACE)]),
    "large": large,
}


@pytest.fixture(params=PICTURES)
def drawn(request: pytest.FixtureRequest) -> ET.Element:
    return ET.fromstring(svg(picture_of(PICTURES[request.param]())))


def boxes(root: ET.Element) -> list[tuple[float, float, float, float]]:
    """The boxes of nodes: left, top, right, bottom."""
    found = []
    for group in (*root.iter(f"{SVG}g"), *root.iter(f"{SVG}a")):
        outline = group[1]
        if outline.tag == f"{SVG}rect":
            x, y, width, height = (float(outline.get(name, "0")) for name in ("x", "y", "width", "height"))
        else:
            points = [tuple(map(float, pair.split(","))) for pair in outline.get("points", "").split()]
            x, y = min(p[0] for p in points), min(p[1] for p in points)
            width, height = max(p[0] for p in points) - x, max(p[1] for p in points) - y
        found.append((x, y, x + width, y + height))
    return found


def span_of(text: ET.Element) -> tuple[float, float]:
    size = wide(text.text or "", float(text.get("font-size", "0")))
    start = float(text.get("x", "0")) - size * {"start": 0.0, "middle": 0.5, "end": 1.0}[text.get("text-anchor", "start")]
    return start, start + size


def test_no_box_lies_on_another(drawn: ET.Element) -> None:
    for one, other in combinations(boxes(drawn), 2):
        assert one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]


def test_no_text_is_wider_than_its_box(drawn: ET.Element) -> None:
    for group in (*drawn.iter(f"{SVG}g"), *drawn.iter(f"{SVG}a")):
        left, top, right, bottom = boxes(
            ET.fromstring(f"<svg xmlns='{SVG[1:-1]}'>{ET.tostring(group, encoding='unicode')}</svg>")
        )[0]
        lines = list(group.iter(f"{SVG}text"))
        assert lines
        for text in lines:
            start, end = span_of(text)
            assert left <= start <= end <= right, text.text
            assert top < float(text.get("y", "0")) - 8 and float(text.get("y", "0")) + 3 < bottom, text.text


def test_all_texts_are_inside_the_picture(drawn: ET.Element) -> None:
    _, _, width, height = map(float, (drawn.get("viewBox") or "").split())
    for text in drawn.iter(f"{SVG}text"):
        start, end = span_of(text)
        assert 0 <= start <= end <= width, text.text
        assert 0 < float(text.get("y", "0")) < height


def test_long_names_are_shown_whole_in_several_lines() -> None:
    shown = [text.text for text in ET.fromstring(svg(picture_of(graph_of(shop)))).iter(f"{SVG}text")]
    assert shown[shown.index("Inventory") + 1] == "ReservationFailed"


def test_column_names_do_not_touch(drawn: ET.Element) -> None:
    heads = [text for text in drawn.findall(f"{SVG}text") if text.get("class") == "f-frame"]
    for one, other in combinations(heads, 2):
        if one.get("y") == other.get("y"):
            assert span_of(one)[1] < span_of(other)[0] or span_of(other)[1] < span_of(one)[0]


def test_every_colour_exists_on_light_and_on_dark_pages(drawn: ET.Element) -> None:
    style = drawn.find(f"{SVG}style")
    assert style is not None
    assert style.text is not None
    light, dark = style.text.split("@media")
    used = {name for element in drawn.iter() for name in (element.get("class") or "").split()} - {"farandole-picture"}
    assert {name for name in used if f".{name}{{" not in light or f".{name}{{" not in dark} == set()


def test_looks_differ_in_strokes_and_not_in_colour_alone() -> None:
    root = ET.fromstring(svg(picture_of(checkout())))
    strokes = {
        (path.get("class"), path.get("stroke-dasharray"), path.get("stroke-width"))
        for path in root.findall(f"{SVG}path")
        if path.get("class") in ("s-blue", "s-red", "s-plum", "s-faint")
    }
    assert len(strokes) == 4
    assert len({stroke[1:] for stroke in strokes}) == 4


def test_the_legend_has_what_is_in_the_picture_and_nothing_else() -> None:
    def legend(whole: Graph) -> set[str]:
        texts = [
            text.text or ""
            for text in ET.fromstring(svg(picture_of(whole))).findall(f"{SVG}text")
            if text.get("font-size") == "12"
        ]
        return set(texts)

    assert {"happy path", "failure", "compensation", "keeps a deadline from firing", "deadline", "calls the outside"} <= legend(
        checkout()
    )
    assert legend(graph(reaction("a.b", "C", "D"))) == {"happy path", "event", "reaction"}


def test_whoever_does_not_see_it_reads_it() -> None:
    root = ET.fromstring(svg(picture_of(checkout())))
    assert root.get("role") == "img"
    description = root.find(f"{SVG}desc")
    assert description is not None
    assert "OrderPlaced → charge; charge → PaymentDone" in (description.text or "")


def test_it_needs_no_other_file() -> None:
    assert not re.search(r"href|url\(|@import|@font-face|<script|http(?!://www\.w3\.org/2000/svg)", svg(picture_of(checkout())))


def test_boxes_lead_where_they_are_told_to() -> None:
    root = ET.fromstring(svg(picture_of(checkout()), lambda node: f"x?a=1&b={node.label}" if node.kind == "event" else None))
    assert "x?a=1&b=OrderPlaced" in [link.get("href") for link in root.iter(f"{SVG}a")]


def test_what_strangers_wrote_is_text() -> None:
    nasty = Message("shop.<b>&\"'.v1", "shop.<script>", PLACE, doc="</title><script>alert(1)</script>")
    root = ET.fromstring(svg(picture_of(graph(messages=[nasty], name="<i>"))))
    assert not list(root.iter(f"{SVG}script"))


def test_a_thousand_services_take_a_page_and_not_a_poster() -> None:
    _, _, width, height = map(float, (ET.fromstring(svg(picture_of(large()))).get("viewBox") or "").split())
    assert width < 2400
    assert height < 3000
