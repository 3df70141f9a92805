"""`farandole trace` on the shop of docs/trace.md: what the page shows is what the command prints and draws."""

from __future__ import annotations

import asyncio
import importlib
import re
import sys
from collections.abc import Iterator

import pytest
from tests.browser import browser, mermaid_script
from tests.cli.kit import Project
from tests.cli.parcels import PAGE, order
from tests.counts import FULL
from tests.rehearse.story.test_mermaid import check

import farandole
from farandole.cli.target import find
from farandole.cli.trace import Look, follow
from farandole.host import record_of
from farandole.model.wire import Wire
from farandole.observe.chain.mermaid import mermaid
from farandole.observe.record import Reading
from farandole.testing import virtual
from farandole.testing.virtual import VirtualWorld

APP = ("parcels:parcels", "--database", "sqlite:///nowhere/{service}.db")


@pytest.fixture
def parcels(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """The café's folder with the page's shop in it, and an order in its record."""
    monkeypatch.setenv("FARANDOLE_RECORD", "sqlite:///record.db")
    monkeypatch.syspath_prepend(str(cafe.folder))
    virtual.run(order(cafe.folder))
    yield cafe
    sys.modules.pop("parcels", None)


def shown(text: str) -> list[str]:
    """Without what differs from place to place: how long ago it was."""
    return [re.sub(r"(waits|compensated) for .*?(?=$|:)", r"\1 for …", line).rstrip() for line in text.splitlines()]


def test_the_page_shows_what_the_command_prints(parcels: Project) -> None:
    page = PAGE.read_text(encoding="utf-8")
    code, out, err = parcels.run("trace", "order_id=4711", *APP)
    assert (code, err) == (0, "")
    tree = re.search(r"\$ farandole trace order_id=4711\n(.*?)```", page, re.DOTALL)
    assert tree is not None
    assert shown(tree[1]) == shown(out), f"write it into docs/trace.md:\n{out}"


def test_the_picture_of_the_page_is_what_the_command_draws(parcels: Project) -> None:
    assert parcels.run("trace", "order_id=4711", *APP, "--svg", "now.svg") == (0, "", "")
    kept = PAGE.with_suffix(".svg").read_text(encoding="utf-8")
    assert (parcels.folder / "now.svg").read_text(encoding="utf-8") == kept, "copy it to docs/trace.svg"


def test_the_table_and_the_diagram_have_every_event(parcels: Project) -> None:
    names = [
        "OrderPlaced",
        "PaymentCompleted",
        "StockReserved",
        "ParcelLost",
        "OrderCancelled",
        "PaymentRefunded",
        "StockReleased",
    ]
    _, table, _ = parcels.run("trace", "order_id=4711", *APP, "--table")
    _, diagram, _ = parcels.run("trace", "order_id=4711", *APP, "--mermaid")
    check(diagram)
    for name in names:
        assert re.search(rf"^\d\d:\d\d:\d\d\.\d\d\d .* {name} ", table, re.MULTILINE)
        assert f": {name}" in diagram


def test_json_tells_all_that_the_tree_tells(parcels: Project) -> None:
    (chain,) = parcels.json("trace", "order_id=4711", *APP)["chains"]
    events = {event["name"]: event for event in chain["events"]}
    (charged,) = events["OrderPlaced"]["handled"]
    assert (charged["attempts"], charged["retried_seconds"], charged["took_seconds"]) == (
        2,
        pytest.approx(1.2),
        pytest.approx(0.2),
    )
    assert charged["reason"] == "OSError: the gateway does not answer"
    assert events["PaymentRefunded"]["undoes"] == [events["PaymentCompleted"]["id"]]
    assert [one["state"] for one in events["OrderCancelled"]["handled"]] == ["done", "done", "dead"]
    assert (chain["status"]["state"], chain["skews"]) == ("compensated", [])


def test_watching_what_is_over_shows_it_and_ends(parcels: Project) -> None:
    code, out, _ = parcels.run("trace", "order_id=4711", *APP, "--watch")
    assert (code, out.count("PlaceOrder")) == (0, 1)


def test_watching_shows_what_comes_when_it_comes_until_it_is_over(parcels: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module("parcels")
    reading = Reading(Wire(module.parcels))

    async def watched(world: VirtualWorld) -> list[int]:
        whole, _ = record_of("sqlite:///record.db", world, reading)
        grows, _ = record_of("sqlite:///grows.db", world, reading)
        await whole.open()
        await grows.open()
        (id,) = await whole.instances_of("order_id", "4711")
        entries = await whole.events_of(id)
        await grows.append(entries[:2])
        monkeypatch.setenv("FARANDOLE_RECORD", "sqlite:///grows.db")
        look = Look(table=True, data=False, ids=False, whole=False)
        watch = asyncio.create_task(follow(find(APP[0], database=APP[2]), id, look, world))
        seen = []
        for some in (entries[2:4], entries[4:]):
            await world.sleep(3)
            seen.append(parcels.capture.readouterr().out.count("OrderPlaced"))
            await grows.append(some)
        assert await watch == 0
        assert "compensated" in parcels.capture.readouterr().out
        await whole.close()
        await grows.close()
        return seen

    world = VirtualWorld()
    assert virtual.run(watched(world)) == [1, 1], "shown once each time that something came"


def test_what_services_told_the_record_is_shown_without_their_databases(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARANDOLE_RECORD", "sqlite:///record.db")
    module = cafe.module()

    async def scenario() -> str:
        async with asyncio.timeout(60), farandole.open(module.shop) as app:
            receipt = await app.send(module.PlaceOrder(order_id="bad1", email="me@home.example"))
            await app.idle()
        async with asyncio.timeout(60), farandole.open(module.shop) as app:  # what was told last is recorded now
            await app.idle()
        return receipt.correlation_id

    _, out, _ = cafe.run("trace", asyncio.run(scenario()), "--database", "sqlite:///nowhere/{service}.db")
    assert re.search(r"✗ payments.charge  dead after 1 try: RuntimeError: no luck with bad1", out)
    assert re.search(r"✓ email.notify  waited .* ms, took .* ms", out)
    assert "home.example" not in out


def test_of_many_instances_the_latest_are_listed_and_the_rest_counted(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = cafe.place(*["4711"] * 5)
    monkeypatch.setattr("farandole.cli.trace.LISTED", 4)
    code, out, _ = cafe.run("trace", "order_id=4711")
    assert code == 0
    assert [line.split()[:3] for line in out.splitlines()[:-1]] == [[id, "checkout", "succeeded"] for id in ids[:0:-1]]
    assert out.splitlines()[-1] == "and 1 instance more before them; give the id of one to see it, or --all for all"
    assert cafe.run("trace", "order_id=4711", "--all")[1].count("PlaceOrder") == 5
    assert cafe.json("trace", "order_id=4711")["left_out"] == 1
    code, _, err = cafe.run("trace", "order_id=4711", "--mermaid")
    assert code == 2
    assert err.startswith("farandole: 5 instances belong to 'order_id=4711', and a picture shows one. Give the id of one: ")
    assert err.endswith(f"the latest is {ids[-1]}\n")


@pytest.mark.parametrize(
    ("tokens", "error"),
    [
        (("--table", "--json"), "choose one of --table, --mermaid, --svg and --json"),
        (("--watch", "--json"), "--watch shows a tree or a table"),
        (("--watch",), "--watch asks the record what is new, and none is configured"),
    ],
)
def test_what_does_not_go_together_is_refused(cafe: Project, tokens: tuple[str, ...], error: str) -> None:
    code, _, err = cafe.run("trace", "x", *tokens)
    assert code == 2
    assert error in err


def test_a_picture_that_cannot_be_written_is_one_line(parcels: Project) -> None:
    code, _, err = parcels.run("trace", "order_id=4711", *APP, "--svg", "no/such/folder.svg")
    assert (code, err) == (2, "farandole: --svg: no/such/folder.svg cannot be written: No such file or directory\n")


@pytest.mark.skipif(not FULL, reason="it takes a browser seconds to start: FULL=1")
@pytest.mark.real_time
def test_mermaid_itself_draws_the_diagram() -> None:
    from tests.observe.test_chain_told import PLACED, chain, fate, says, shown

    strange = says("a;b%%{init}%%", 'end"#<script>', "OrderPlaced", at=-7000)
    script = mermaid_script()
    with browser() as chromium:
        page = chromium.new_page()
        page.set_content("<div id=place></div>")
        page.add_script_tag(path=str(script))
        page.evaluate("mermaid.initialize({startOnLoad: false})")
        for made in (shown(), chain(PLACED, strange, fate("stock.reserve", state="dead", reason="a;b#<i>"))):
            text = mermaid(made)
            drawn = page.evaluate("async (text) => (await mermaid.render('drawn', text)).svg", text)
            assert drawn.count('class="note"') == text.count("Note over")
