"""What is compared is the same: the lean loop and the host leave the same rows and the same events behind."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from benchmarks.hosted import hosted
from benchmarks.latency import Load
from benchmarks.lean import Lean
from benchmarks.shop import KINDS, starts

from farandole.model.envelope import decode

pytestmark = pytest.mark.real_time

COUNT = 150  # more than one batch


def left_behind(folder: Path) -> dict[str, Any]:
    """All that a run wrote, without times."""
    found: dict[str, Any] = {}
    for name in ("orders", "payments", "stock", "shipping"):
        db = sqlite3.connect(folder / f"{name}.db")
        found[name] = db.execute("SELECT order_id, cents FROM work ORDER BY order_id").fetchall()
        found[f"{name} inbox"] = sorted(db.execute("SELECT reaction, id, state FROM farandole_inbox"))
        db.close()
    log = sqlite3.connect(folder / "broker.db")
    rows = log.execute("SELECT topic, partition, key, id, type, body FROM broker_log").fetchall()
    log.close()
    found["log"] = sorted(row[:-1] for row in rows)
    envelopes = [decode(row[-1]) for row in rows]
    found["bodies"] = sorted((e.id, e.source, e.correlationid, e.causationid, e.depth, bytes(e.data)) for e in envelopes)
    return found


def test_the_lean_loop_and_every_kind_of_handlers_do_the_same_work(tmp_path):
    lean = Lean(tmp_path / "lean", full=False)
    lean.start(starts(0, COUNT))
    lean.run(COUNT)
    lean.close()
    expected = left_behind(tmp_path / "lean")
    assert [len(expected[name]) for name in ("orders", "orders inbox", "log")] == [COUNT, COUNT, 4 * COUNT]

    async def run(kind: str) -> None:
        async with hosted(KINDS[kind](), tmp_path / kind, full=False) as host:
            await host.run(starts(0, COUNT), COUNT)

    for kind in KINDS:
        asyncio.run(run(kind))
        assert left_behind(tmp_path / kind) == expected, kind


def test_a_share_of_payments_is_declined_once_and_all_workflows_end(tmp_path):
    async def run() -> int:
        async with hosted(KINDS["raw"](), tmp_path, full=False) as host:
            await host.run(starts(0, COUNT, failing=0.1), COUNT)
            return host["retries"]

    assert asyncio.run(run()) == COUNT // 10
    assert len(left_behind(tmp_path)["orders"]) == COUNT


def test_a_load_offers_each_number_once_and_counts_from_when_it_was_due():
    load, sent = Load(rate=100_000), []
    load.ticks, load.total = 3, 3 * load.each
    while load.wait() is not None:
        sent += load.due()
        load.ended(len(sent) - len(load.taken))
    assert sent == list(range(load.total))
    assert len(load.taken) == load.total
    assert min(load.taken) >= 0
