"""The catalog in a real browser, from the disk: it is searched, read and followed, and nothing leaves the folder."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.browser import browser
from tests.counts import often
from tests.graph.kit import large
from tests.web.catalog.test_site import nasty

from examples.shop import shop
from farandole.graph.of_code import graph_of
from farandole.web.catalog import site, write

pytestmark = pytest.mark.real_time


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as started:
        yield started


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("catalog")
    write(made, site(graph_of(shop)))
    return made


class Reader:
    """Somebody who reads the catalog in a folder; whatever goes wrong on the way is kept."""

    def __init__(self, chromium: Any, folder: Path, **more: Any) -> None:
        self.page = chromium.new_context(**more).new_page()
        self.folder = folder
        self.troubles: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.troubles.append(message.text))
        self.page.on("pageerror", lambda error: self.troubles.append(str(error)))
        self.page.on("requestfailed", lambda request: self.troubles.append(request.url))
        self.page.on("dialog", lambda dialog: (self.troubles.append(dialog.message), dialog.dismiss()))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, path: str) -> None:
        self.page.goto((self.folder / path).as_uri())

    def search(self, text: str) -> list[str]:
        self.page.keyboard.press("/")
        self.page.keyboard.type(text)
        self.page.wait_for_selector("#found:not([hidden]) li")
        return list(self.page.locator("#found [role=option] strong").all_inner_texts())

    def fine(self) -> None:
        assert self.troubles == []
        assert self.asked
        assert [url for url in self.asked if not url.startswith(self.folder.as_uri())] == []


def test_the_search_finds_an_event_and_the_keyboard_leads_there(chromium: Any, folder: Path) -> None:
    reader = Reader(chromium, folder)
    reader.open("index.html")
    found = reader.search("orderpl")
    assert found[0] == "OrderPlaced"
    reader.page.keyboard.press("Enter")
    reader.page.wait_for_url("**/event/shop.OrderPlaced.html")
    assert reader.page.locator("h1").inner_text() == "OrderPlaced"
    assert reader.search("total_pence order")[0].startswith("Order"), "fields are searched, all words must be there"
    reader.page.keyboard.press("Escape")
    assert not reader.page.locator("#found").is_visible()
    reader.search("nothing like this")
    assert reader.page.locator("#found").inner_text() == "Nothing found"
    reader.fine()


def test_arrows_choose_among_what_was_found(chromium: Any, folder: Path) -> None:
    reader = Reader(chromium, folder)
    reader.open("workflow/checkout.html")
    found = reader.search("order")
    reader.page.keyboard.press("ArrowDown")
    assert reader.page.locator("#found [aria-selected=true] strong").inner_text() == found[1]
    active = reader.page.locator(".search input").get_attribute("aria-activedescendant")
    assert reader.page.locator(f"#{active} strong").inner_text() == found[1]
    reader.page.keyboard.press("ArrowUp")
    reader.page.keyboard.press("ArrowUp")
    assert reader.page.locator("#found [aria-selected=true] strong").inner_text() == found[-1]
    reader.fine()


def test_links_in_text_and_picture_lead_to_places(chromium: Any, folder: Path) -> None:
    reader = Reader(chromium, folder)
    reader.open("index.html")
    reader.page.click("main >> text=checkout")
    reader.page.locator(".picture a", has=reader.page.locator("text='charge'")).click()
    reader.page.wait_for_url("**/service/shop.payments.html#charge")
    assert reader.page.locator("#charge").is_visible()
    reader.page.click("header >> text=Events")
    reader.page.click("main >> text=PaymentFailed")
    assert reader.page.locator("h1").inner_text() == "PaymentFailed"
    reader.fine()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_without_a_complaint(chromium: Any, folder: Path, scheme: str) -> None:
    reader = Reader(chromium, folder, color_scheme=scheme)
    every = often(5, 1) if scheme == "dark" else 1  # only colours differ
    for path in sorted(folder.rglob("*.html"))[::every]:
        reader.open(str(path.relative_to(folder)))
        assert reader.page.locator("h1").count() == 1
    ground = reader.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert ground == {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 23, 30)"}[scheme]
    reader.fine()


def test_a_narrow_screen_scrolls_tables_and_pictures_and_not_the_page(chromium: Any, folder: Path) -> None:
    reader = Reader(chromium, folder, viewport={"width": 360, "height": 700})
    for path in (
        "index.html",
        "events.html",
        "event/shop.OrderPlaced.html",
        "workflow/checkout.html",
        "service/shop.payments.html",
    ):
        reader.open(path)
        assert reader.page.evaluate("document.documentElement.scrollWidth") <= 360, path
    reader.fine()


def test_no_letter_of_a_picture_leaves_its_box(chromium: Any, folder: Path) -> None:
    """The browser measures what the drawing only estimates."""
    reader = Reader(chromium, folder)
    for path in ("index.html", "workflow/checkout.html"):
        reader.open(path)
        over = reader.page.evaluate(
            """[...document.querySelectorAll(".picture svg a, .picture svg g")].flatMap(node => {
                const box = node.querySelector("rect, polygon").getBBox();
                return [...node.querySelectorAll("text")].filter(text => {
                    const own = text.getBBox();
                    return own.x < box.x || own.x + own.width > box.x + box.width;
                }).map(text => text.textContent);
            })"""
        )
        assert over == []
        assert reader.page.locator(".picture svg text").count() > 30


def test_what_strangers_wrote_does_nothing(chromium: Any, tmp_path: Path) -> None:
    write(tmp_path, site(nasty()))
    reader = Reader(chromium, tmp_path)
    for path in sorted(tmp_path.rglob("*.html")):
        reader.open(str(path.relative_to(tmp_path)))
    assert "<script>alert(1)</script>" in reader.search("alert")
    reader.fine()


@pytest.mark.slow
def test_ten_thousand_events_are_searched_and_listed(
    chromium: Any, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    whole = large()
    wanted = ("index.html", "events.html", "search-index.js", "catalog.js", "catalog.css", "event/area07.Thing01777Happened.html")
    write(tmp_path, ((path, text) for path, text in site(whole, only=frozenset(wanted))))
    reader = Reader(chromium, tmp_path)
    reader.open("events.html")
    assert reader.page.locator("tbody tr").count() == 10_000
    assert reader.search("thing01777")[0] == "Thing01777Happened"
    took = reader.page.evaluate("() => { const begin = performance.now(); find('thing 17'); return performance.now() - begin }")
    record_property("search among ten thousand events", f"{took:.0f} ms in the browser")
    reader.page.keyboard.press("Enter")
    reader.page.wait_for_url("**/event/area07.Thing01777Happened.html")
    reader.fine()
