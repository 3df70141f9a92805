"""The picture: well-formed, by itself, and told to those who do not see it."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from tests.rehearse.story.cases import ALL, crash_before_ack, runs

from farandole.drawing.ink import wide
from farandole.rehearse.beats import Beat
from farandole.rehearse.story import sentences, svg

NAMESPACE = "{http://www.w3.org/2000/svg}"


def parse(run: list[Beat]) -> ET.Element:
    return ET.fromstring(svg(run))


def texts(root: ET.Element) -> list[str]:
    return [text.text or "" for text in root.iter(f"{NAMESPACE}text") if text.get("aria-hidden") is None]


def test_the_picture_shows_the_crash_the_repeat_and_the_violation() -> None:
    shown = texts(parse(crash_before_ack()))
    for words in ("How everything_paid_ships was violated", "payments", "crashed after commit, before ack", "OrderPlaced again"):
        assert words in shown
    assert shown.index("✗ everything_paid_ships") > shown.index("restarted")


def test_whoever_does_not_see_it_reads_its_story() -> None:
    root = parse(crash_before_ack())
    assert root.get("role") == "img"
    assert root[0].tag == f"{NAMESPACE}title"
    assert root[1].text == "\n".join(sentences(crash_before_ack()))


def test_it_needs_no_other_file_and_follows_the_readers_light() -> None:
    text = svg(crash_before_ack())
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|url\(|@import|@font-face|<script|http(?!://www\.w3\.org/2000/svg)", text)


def test_every_class_that_is_used_has_a_colour_on_both_kinds_of_pages() -> None:
    for make in ALL.values():
        light, dark = svg(make()).split("@media")[0], svg(make()).split("@media")[1].split("</style>")[0]
        used = {name for element in parse(make()).iter() for name in (element.get("class") or "").split()} - {"farandole-picture"}
        for name in used:
            assert f".{name}{{" in light, name
            assert f".{name}{{" in dark, name


@pytest.mark.parametrize("name", ALL)
def test_everything_stands_inside_the_picture(name: str) -> None:
    root = parse(ALL[name]())
    _, _, width, height = (float(number) for number in (root.get("viewBox") or "").split())
    for element in root.iter():
        for attribute, most in (("x", width), ("x1", width), ("x2", width), ("y", height), ("y1", height), ("y2", height)):
            assert 0 <= float(element.get(attribute, "0")) <= most
        if element.tag == f"{NAMESPACE}rect":
            assert float(element.get("x", "0")) + float(element.get("width", "0")) <= width
        if element.tag == f"{NAMESPACE}text":
            before = {"start": 0.0, "middle": 0.5, "end": 1.0}[element.get("text-anchor", "start")]
            size = wide(element.text or "", float(element.get("font-size", "0")))
            start = float(element.get("x", "0")) - size * before
            assert 0 <= start <= start + size <= width, element.text


@given(runs)
def test_any_run_is_well_formed(run: list[Beat]) -> None:
    parse(run)


def test_a_service_that_answers_itself_is_drawn() -> None:
    run = [
        Beat(0.0, "command", "sales", "Place", "one", to="sales"),
        Beat(0.1, "refused", "sales", "Place", "one", to="sales", note="no"),
    ]
    assert "refused: no" in texts(parse(run))
