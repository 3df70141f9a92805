"""The shop on the web: asked over real sockets, and in a real browser."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from tests.browser import browser
from tests.ports import free_port
from tests.servers import server

from examples.shop.gateway import Gateway, Weather
from examples.web import api, create
from farandole import World

pytestmark = pytest.mark.real_time

TEAPOT = {"stock_code": "teapot", "quantity": 2, "unit_price": "12.50"}
UNICORN = {"stock_code": "unicorn", "quantity": 1, "unit_price": "999"}


GATE = threading.Event()
"""The payment provider answers while it is set."""


class HeldGateway(Gateway):
    async def charge(self, reference: str, pence: int, *, idempotency_key: str) -> str:
        await asyncio.to_thread(GATE.wait)
        return await super().charge(reference, pence, idempotency_key=idempotency_key)


@contextmanager
def served(folder: Path, declines: float = 0.0, **where: Any) -> Iterator[httpx.Client]:
    """Runs the API in a thread, and gives a client of it."""
    GATE.set()

    async def gateway() -> AsyncIterator[Gateway]:
        opened = HeldGateway(folder / "ledger.db", Weather(declines=declines), World())
        yield opened
        opened.close()

    where = {
        "broker": f"sqlite:///{folder}/broker.db?synchronous=normal",
        "database": f"sqlite:///{folder}/{{service}}.db?synchronous=off",
        "record": f"sqlite:///{folder}/record.db?synchronous=off",
    } | where
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create(provide={Gateway: gateway}, **where), log_level="warning", timeout_graceful_shutdown=1)
    running = uvicorn.Server(config)
    ready = threading.Event()
    startup = running.startup

    async def started(sockets: Any = None) -> None:
        await startup(sockets)
        ready.set()

    running.startup = started  # type: ignore[method-assign]
    thread = threading.Thread(target=running.run, args=([listening],))
    thread.start()
    try:
        assert ready.wait(60)
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
            yield client
    finally:
        GATE.set()
        running.should_exit = True
        thread.join(60)
        listening.close()


@dataclass
class Restarted:
    """A shop that was run by its one command, ended by a signal, and started again: what it said before."""

    web: httpx.Client
    page: httpx.Response
    answer: httpx.Response
    looked: Any
    code: int


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Restarted]:
    folder, root = tmp_path_factory.mktemp("quick"), Path(__file__).parents[2]
    port = free_port()
    command = [sys.executable, "-m", "examples.web", "--port", str(port), "--declines", "0", "--delay", "0"]
    environment = {**os.environ, "PYTHONPATH": f"{root}:{root / 'src'}"}
    running = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None
        assert running.stdout.readline() == f"the shop is open: http://127.0.0.1:{port}\n"
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False) as web:
            page = web.get("/")
            answer = place(web, order(TEAPOT, order_id="first"))
            *_, (_, looked), _ = told(web, "/orders/first")
        running.send_signal(signal.SIGINT)
        code = running.wait(60)
    finally:
        running.kill()
        running.communicate()
    with patience(60), served(folder / ".farandole") as web:
        yield Restarted(web, page, answer, looked, code)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A shop whose payment provider waits for the gate, and declines every card."""
    with served(tmp_path_factory.mktemp("slow"), declines=1.0) as web:
        yield web


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """How long customers wait for the outcome."""
    before, api.PATIENCE = api.PATIENCE, seconds
    try:
        yield
    finally:
        api.PATIENCE = before


def order(*lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"lines": list(lines), **more}


def place(web: httpx.Client, body: Any, key: str = "key-1", **headers: str) -> httpx.Response:
    return web.post("/orders", json=body, headers={"Idempotency-Key": key, **headers})


def told(web: httpx.Client, place: str) -> list[tuple[str, Any]]:
    """The server-sent events of an order, until the server ends them."""
    found = []
    with web.stream("GET", f"{place}/events") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        event = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                event = line.removeprefix("event: ")
            elif line.startswith("data: "):
                found.append((event, json.loads(line.removeprefix("data: "))))
    return found


def test_one_command_runs_it_and_a_signal_ends_it(quick: Restarted) -> None:
    assert "<h1>The shop</h1>" in quick.page.text
    assert quick.answer.status_code in (201, 202)  # this machine may be busy for more than a second
    assert quick.answer.headers["location"] == "/orders/first"
    assert quick.code == 0


def test_an_order_is_known_after_a_restart(quick: Restarted) -> None:
    looked = quick.looked
    assert (looked["order_id"], looked["state"], looked["expected"]) == ("first", "confirmed", [])
    assert [event["what"] for event in looked["events"]] == [
        "OrderPlaced", "InventoryReserved", "OrderCleared", "PaymentProcessed", "OrderConfirmed",
    ]  # fmt: skip
    assert {event["who"] for event in looked["events"]} == {"orders", "inventory", "fraud", "payments"}
    assert quick.web.get("/orders/first").json() == looked


def test_an_order_is_confirmed_at_once_and_the_same_key_gives_the_same_answer(quick: Restarted) -> None:
    before = place(quick.web, order(TEAPOT, order_id="first"))
    assert (before.status_code, before.json()) == (201, {"order_id": "first", "state": "confirmed", "total_pence": 2500})
    answers = [place(quick.web, order(TEAPOT), "key-2") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["order_id"].startswith("W")


def test_bad_input_is_refused_and_nothing_is_ordered(quick: Restarted) -> None:
    assert quick.web.post("/orders", json=order(TEAPOT)).status_code == 422  # no key
    for wrong in (order(), order(TEAPOT | {"quantity": 0}), order(TEAPOT | {"unit_price": "x"}), order(TEAPOT, order_id="a/b")):
        assert place(quick.web, wrong, "wrong").status_code == 422
    for _ in range(2):
        free = place(quick.web, order(TEAPOT | {"unit_price": "0"}), "free")
        assert (free.status_code, free.json()["detail"]) == (422, "nothing to pay")
    assert quick.web.get("/orders/nobody").status_code == 404
    assert quick.web.get("/orders/nobody/events").status_code == 404


def test_a_key_belongs_to_one_order_and_a_number_to_one_key(quick: Restarted) -> None:
    assert place(quick.web, order(TEAPOT, order_id="1"), "a").status_code == 201
    other = place(quick.web, order(TEAPOT | {"quantity": 1}, order_id="1"), "a")
    assert (other.status_code, other.json()["detail"]) == (422, "this Idempotency-Key was used for another order")
    taken = place(quick.web, order(TEAPOT, order_id="1"), "b")
    assert (taken.status_code, taken.json()["detail"]) == (409, "order 1 exists already; an order id is used once")


def test_what_is_out_of_stock_fails_and_says_why(quick: Restarted) -> None:
    answer = place(quick.web, order(UNICORN), "no unicorns")
    assert (answer.status_code, answer.json()["state"], answer.json()["reason"]) == (201, "failed", "out of stock")


def test_what_takes_longer_is_accepted_and_followed_to_its_end(slow: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "STILL_HERE", 0.05)
    GATE.clear()
    with patience(1):
        answer = place(slow, order(TEAPOT, order_id="4711"))
    assert (answer.status_code, answer.headers["location"]) == (202, "/orders/4711")
    assert answer.json()["state"] == "under way"
    looked = slow.get("/orders/4711").json()
    assert looked["expected"][0]["who"] in ("inventory", "payments")
    assert looked["expected"][0]["since"] <= looked["expected"][0]["due"]
    threading.Timer(0.2, GATE.set).start()  # in between the server says that it is still there
    *statuses, end = told(slow, "/orders/4711")
    assert end == ("end", {})
    assert [name for name, _ in statuses] == ["status"] * len(statuses)
    last = statuses[-1][1]
    assert (last["state"], last["expected"]) == ("failed", [])
    assert {"PaymentFailed", "StockReleased", "OrderCancelled"} <= {event["what"] for event in last["events"]}
    assert told(slow, "/orders/4711") == [statuses[-1], end]
    with patience(60):
        failed = place(slow, order(TEAPOT, order_id="4711"))
    assert (failed.status_code, failed.json()["reason"]) == (201, "card declined")


def test_who_prefers_not_to_wait_is_answered_as_soon_as_the_order_is_known(slow: httpx.Client) -> None:
    GATE.clear()
    with patience(60):
        answer = place(slow, order(TEAPOT), "async", Prefer="respond-async")
    GATE.set()
    assert (answer.status_code, answer.json()["state"]) == (202, "under way")
    assert answer.json()["events"][0]["what"] == "OrderPlaced"


def test_the_page_places_an_order_and_follows_it(slow: httpx.Client) -> None:
    with browser() as chromium, patience(60):
        troubles: list[str] = []
        page = chromium.new_page()
        page.on("console", lambda message: troubles.append(message.text))
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.goto(str(slow.base_url))
        GATE.clear()
        page.click("button")
        page.wait_for_selector("#state.under-way")
        page.wait_for_selector("#events tr.waits >> text=PaymentProcessed or PaymentFailed")
        GATE.set()
        page.wait_for_selector("#state.failed")
        page.wait_for_selector("#events tr:not(.waits) >> text=StockReleased")
        rows = page.locator("#events tr td:first-child").all_inner_texts()
        assert rows[0] == "OrderPlaced"
        assert {"PaymentFailed", "OrderCancelled", "StockReleased"} <= set(rows)
        page.select_option("select", "unicorn")
        page.click("button")
        page.wait_for_function("document.querySelector('#events').innerText.includes('InventoryReservationFailed')")
        page.fill("input[name=quantity]", "")
        page.click("button")
        page.wait_for_function("document.querySelector('#refusal').innerText === 'Input should be greater than 0'")
        assert [text for text in troubles if "422" not in text] == []


@pytest.mark.servers
def test_the_shop_on_servers_answers_the_same(tmp_path: Path) -> None:
    run = f"web_{secrets.token_hex(4)}"
    base = server("postgres")
    glue = "&" if "?" in base else "?"
    where = {
        "database": f"{base}{glue}schema={run}_{{service}}",
        "record": f"{base}{glue}schema={run}_record",
        "broker": f"{server('nats')}?prefix={run}",
    }
    with served(tmp_path, **where) as web:
        answer = place(web, order(TEAPOT))
        final = told(web, answer.headers["location"])[-2][1]
        assert (final["state"], len(final["events"])) == ("confirmed", 5)
    with served(tmp_path, **where) as web:
        assert web.get(answer.headers["location"]).json() == final
