"""`farandole workflows` and `farandole observe`."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.cli.kit import Project
from tests.counts import often
from tests.web.test_health import free_port
from tests.web.test_observe import ask

import farandole
from farandole.stores import open_record
from farandole.stores.record import Entry, Standing
from farandole.world import World


@pytest.fixture
def told(cafe: Project) -> Project:
    """A café with a record: one order went well, one is a dead letter."""
    with (cafe.folder / "farandole.toml").open("a") as file:
        file.write('record = "sqlite:///record.db"\n')
    module = cafe.module()

    async def scenario() -> None:
        async with asyncio.timeout(60), farandole.open(module.shop) as app:
            for order_id in ("o-1", "bad-2"):
                await app.send(module.PlaceOrder(order_id=order_id, email="me@home.example"))
                await app.idle()

    asyncio.run(scenario())
    return cafe


def test_workflows_are_counted_and_the_latest_say_what_they_wait_for_and_why(told: Project) -> None:
    code, out, err = told.run("workflows")
    assert (code, err) == (0, "")
    first, _, head, bad, good, last = out.splitlines()
    assert first.split() == ["checkout", "1", "running", "1", "succeeded"]
    assert head.split() == ["instance", "key", "workflow", "state", "for", "waits", "for", "from", "why"]
    assert " bad-2 " in bad
    assert " running " in bad
    assert bad.rstrip().endswith("PaymentCompleted  payments  a dead letter of payments: RuntimeError: no luck with bad-2")
    assert " o-1 " in good
    assert " succeeded " in good
    assert last == "all of one: farandole trace INSTANCE"
    assert "home.example" not in out


def test_workflows_are_chosen_by_flags_and_printed_as_json(told: Project) -> None:
    def keys(*flags: str) -> list[str]:
        return [one["key"] for one in told.json("workflows", *flags)["workflows"]]

    assert keys() == ["bad-2", "o-1"]
    assert keys("--running") == ["bad-2"]
    assert keys("--stalled", "--running") == ["bad-2"]
    assert keys("--failed") == []
    assert keys("--workflow", "checkout", "--since", "1h", "--limit", "1") == ["bad-2"]
    found = told.json("workflows", "--running")
    assert found["counts"] == [
        {"workflow": "checkout", "state": "running", "count": 1},
        {"workflow": "checkout", "state": "succeeded", "count": 1},
    ]
    assert found["workflows"][0]["began"].endswith("+00:00")
    assert told.run("workflows", "--fail-on-stalled")[0] == 0
    code, out, _ = told.run("workflows", "--stalled")
    assert (code, out.splitlines()[-1]) == (0, "none of these is in what was asked for")
    assert "… the latest 1 of 2; more: --limit" in told.run("workflows", "--limit", "1")[1]


@pytest.mark.parametrize(
    ("tokens", "said"),
    [
        (("--workflow", "chekout"), "--workflow: shop has no workflow 'chekout'. Did you mean checkout?"),
        (("--since", "soon"), "--since: expected a duration such as"),
        (("--limit", "0"), "--limit: expected at least 1, got: 0"),
    ],
)
def test_wrong_flags_are_one_line_that_says_what_to_write(told: Project, tokens: tuple[str, ...], said: str) -> None:
    code, out, err = told.run("workflows", *tokens)
    assert (code, out) == (2, "")
    assert err.startswith(f"farandole: {said}")


def test_without_a_record_both_commands_say_how_to_have_one(cafe: Project) -> None:
    for command in ("workflows", "observe"):
        code, _, err = cafe.run(command)
        assert code == 2
        assert "sqlite:///.farandole/record.db" in err
    assert "there is no record to fill" in cafe.run("observe", "--record", "none")[2]
    assert "alerts: expected a list such as" in cafe.run("observe", "--alert", "mail")[2]
    assert "T0K3N" not in cafe.run("observe", "--alert", "mail", "--alert", "https://x.example/T0K3N")[2]


def test_what_the_broker_has_and_the_record_has_not_is_said(told: Project) -> None:
    (told.folder / ".farandole" / "broker.db").rename(told.folder / "away.db")
    code, out, err = told.run("workflows")
    assert code == 0
    assert "1 succeeded" in out
    assert err == "the broker does not answer: what is not recorded yet is not known\n"


@pytest.mark.real_time
def test_many_open_workflows_are_summed_up(cafe: Project, record_property: Any) -> None:
    count = often(10_000, 100_000)
    with (cafe.folder / "farandole.toml").open("a") as file:
        file.write('record = "sqlite:///record.db"\n')

    async def fill() -> None:
        record = open_record("sqlite:///record.db", World())
        await record.open()
        now = time.time()
        for start in range(0, count, 10_000):
            numbers = range(start, start + 10_000)
            await record.append(
                [
                    Entry(id=f"e{n}", type="shop.OrderPlaced.v1", source="/shop/orders", correlation_id=f"i{n}", time=now)
                    for n in numbers
                ]
            )
            standings = [
                Standing(correlation_id=f"i{n}", workflow="checkout", state="stalled" if n % 1000 == 0 else "running", began=now - n,
                         since=now - n, waits_for="Paid", service="payments", number=n + 1, changes_at=now + 1000)
                for n in numbers
            ]  # fmt: skip
            await record.stand(standings, start + 10_000)
        await record.close()

    asyncio.run(fill())
    began = time.process_time()
    code, out, _ = cafe.run("workflows", "--stalled")
    took = time.process_time() - began
    assert code == 0
    assert out.split()[:3] == ["checkout", f"{count // 1000}", "stalled"]
    record_property("farandole workflows", f"{took:.2f} s of this process for {count} open workflows")


@contextmanager
def observing(project: Project, *flags: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """`farandole observe`, and the port that it answers at."""
    port = free_port()
    command = [sys.executable, "-m", "farandole.cli", "observe", "--at", str(port), "--record", "sqlite:///record.db", *flags]
    paths = os.pathsep.join([str(project.folder), str(Path(farandole.__file__).parents[1])])
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, cwd=project.folder, env={**os.environ, "PYTHONPATH": paths}, stdout=pipe, stderr=pipe, text=True
    ) as process:
        try:
            yield process, port
        finally:
            process.kill()


@pytest.mark.real_time
def test_observe_records_watches_and_answers_until_it_is_told_to_stop(cafe: Project) -> None:
    cafe.place("o-1", "bad-2")
    with observing(cafe) as (process, port):
        assert process.stderr is not None
        said = process.stderr.readline() + process.stderr.readline()
        assert f"recorded in sqlite:///record.db; http://127.0.0.1:{port}/overview" in " ".join(said.split())

        async def both_are_seen() -> list[Any]:
            counts: list[Any] = []
            async with asyncio.timeout(30):
                while sum(one["count"] for one in counts) < 2:
                    counts = (await ask(port, "/overview"))[1]["counts"]
            return counts

        assert {one["state"] for one in asyncio.run(both_are_seen())} >= {"succeeded"}
        assert asyncio.run(ask(port, "/readyz"))[0] == 200
        process.send_signal(signal.SIGTERM)
        rest = process.stderr.read()
        assert (process.wait(30), "stopped" in rest) == (0, True)


@pytest.mark.real_time
def test_observe_writes_its_alerts_where_a_log_is_asked_for(cafe: Project) -> None:
    module = cafe.folder / f"{cafe.name}.py"
    module.write_text(module.read_text().replace("succeeds=OrderConfirmed)", "succeeds=OrderConfirmed, within=1)"))
    cafe.place("bad-2")
    with observing(cafe, "--log", "json") as (process, _):
        assert process.stdout is not None
        alert = next(line for line in map(json.loads, process.stdout) if line["log.logger"] == "farandole.alerts")
        assert alert["log.level"] == "warning"
        first, *chain = alert["message"].splitlines()
        assert first.startswith("checkout ")
        assert "(order_id=bad-2) stalled since " in first
        assert any("OrderPlaced from /shop/orders" in line for line in chain)
        assert "home.example" not in alert["message"]
