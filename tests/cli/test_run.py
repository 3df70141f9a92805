"""`farandole run` as a process: it starts, says what runs where, and stops as it is told."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.cli.kit import CAFE, Project

import farandole

PATIENCE = 120  # seconds until a process that hangs is a failure
STARTED = "running; Ctrl-C stops"


@contextmanager
def running(project: Project, *tokens: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process of its own; it does not outlive the test."""
    environment = {**os.environ, "PYTHONPATH": str(Path(farandole.__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "farandole.cli", "run", *tokens],
        cwd=project.folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=PATIENCE)


def lines_until(stream: object, wanted: str) -> list[str]:
    """The lines up to one that holds `wanted`; the stream must not end before."""
    lines: list[str] = []
    for line in stream:  # type: ignore[attr-defined]
        lines.append(line.rstrip())
        if wanted in line:
            return lines
    raise AssertionError(f"{wanted!r} never came: {lines}")


@pytest.mark.real_time
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_what_runs_where_and_stops_cleanly_on_a_signal(cafe: Project, number: signal.Signals) -> None:
    with running(cafe, "--service", "orders", "--service", "payments") as process:
        overview = "\n".join(lines_until(process.stderr, STARTED))
        process.send_signal(number)
        rest = lines_until(process.stderr, "stopped")
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        assert process.stdout.read() == ""
    assert "shop on sqlite:///.farandole/broker.db" in overview
    assert "payments in sqlite:///.farandole/payments.db" in overview
    assert "charge: OrderPlaced -> PaymentCompleted  (outside, lane shop.payments.charge)" in overview
    assert "confirm: PaymentCompleted -> OrderConfirmed  (local, lane shop.orders)" in overview
    assert "place: PlaceOrder -> OrderPlaced  (command)" in overview
    assert "email" not in overview
    assert f"stopping ({number.name})" in rest[0]


@pytest.mark.real_time
def test_what_is_sent_to_it_is_carried_out(cafe: Project) -> None:
    module = cafe.module()

    async def order() -> object:
        async with farandole.open(module.shop, services=()) as app:
            receipt = await app.send(module.PlaceOrder(order_id="4711", email="me@home.example"))
            return await app.outcome(receipt.correlation_id, timeout=PATIENCE)

    with running(cafe, "--log", "json") as process:
        lines_until(process.stderr, STARTED)
        assert asyncio.run(order()) == module.OrderConfirmed(order_id="4711")
        process.terminate()
        assert process.wait(PATIENCE) == 0
        assert process.stdout is not None
        log = [json.loads(line) for line in process.stdout]
    assert {line.get("farandole.reaction") for line in log} == {None, "payments.charge", "orders.confirm", "email.notify"}
    assert {line["log.logger"] for line in log} == {"farandole.events"}


async def send(project: Project, order_id: str) -> None:
    module = project.module()
    async with farandole.open(module.shop, services=()) as app:
        await app.send(module.PlaceOrder(order_id=order_id, email="me@home.example"))
        await app.idle()


@pytest.mark.real_time
def test_what_has_begun_is_finished_before_it_stops(cafe: Project) -> None:
    with running(cafe) as process:
        lines_until(process.stderr, STARTED)
        asyncio.run(send(cafe, "slow"))
        lines_until(process.stdout, "began")
        process.terminate()
        lines_until(process.stderr, "stopping")
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
        assert process.wait(PATIENCE) == 0
    chain = cafe.json("trace", "order_id=slow")["chains"][0]
    assert [event["type"] for event in chain["events"] if event["kind"] == "event"] == [
        "shop.OrderPlaced.v1",
        "shop.PaymentCompleted.v1",
    ]


@pytest.mark.real_time
def test_a_second_signal_ends_it_at_once(cafe: Project) -> None:
    with running(cafe) as process:
        lines_until(process.stderr, STARTED)
        asyncio.run(send(cafe, "slow"))
        lines_until(process.stdout, "began")
        process.terminate()
        lines_until(process.stderr, "stopping")
        process.terminate()
        assert process.wait(PATIENCE) == 128 + signal.SIGTERM


@pytest.mark.real_time
def test_a_signal_while_it_opens_stops_it_too(project: Callable[..., Project]) -> None:
    opening = "async def open_cashier():\n    print('opening', flush=True)\n    await asyncio.Event().wait()\n"
    mine = project(
        CAFE.replace('payments = Service("payments")', f'{opening}payments = Service("payments")').replace(
            "Cashier())", "open_cashier)"
        )
    )
    with running(mine) as process:
        lines_until(process.stdout, "opening")
        process.terminate()
        lines_until(process.stderr, "stopped")
        assert process.wait(PATIENCE) == 0


@pytest.mark.real_time
def test_a_start_that_fails_is_one_line_and_exit_code_2(project: Callable[..., Project]) -> None:
    failing = "def open_cashier() -> Cashier:\n    raise OSError('the till is locked')\n"
    mine = project(
        CAFE.replace('payments = Service("payments")', f'{failing}payments = Service("payments")').replace(
            "Cashier())", "open_cashier)"
        )
    )
    with running(mine) as process:
        assert process.wait(PATIENCE) == 2
        assert process.stderr is not None
        assert process.stderr.read() == "farandole: payments: opening its Cashier failed: OSError: the till is locked\n"
