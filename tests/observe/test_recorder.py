"""The recorder is at nobody's expense: it writes seldom, and a full disk under its record stops no service."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.observe.test_record import checkout
from tests.runtime.faults import Heard
from tests.runtime.kit import Paid, Place, opened

from farandole.stores.sqlite.record import SqliteRecord
from farandole.testing.virtual import VirtualWorld


async def test_services_never_notice_that_the_disk_of_the_record_is_full(tmp_path: Path, world: VirtualWorld) -> None:
    heard = Heard()
    async with opened(checkout(), world, record=f"sqlite:///{tmp_path}/record.db", signals=heard) as app:
        first = await app.send(Place(order_id="o-0"))
        await app.outcome(first.correlation_id)
        cursor = app.record.access.database.cursor
        ((pages,),) = cursor.execute("PRAGMA page_count").fetchall()
        cursor.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        receipts = [await app.send(Place(order_id=f"o-{number}")) for number in range(1, 60)]
        before = world.monotonic()
        await app.idle()
        assert world.monotonic() - before < 2
        assert app.counters["handled"] == 60
        assert any(where == "record" and "disk is full" in what for where, what in heard.of("trouble")), heard.of("trouble")
        assert (await app.status(first.correlation_id)).state == "succeeded", "what is recorded can be read"
        assert len(await app.record.since(0, 1000)) < 120
        await world.sleep(60)
        cursor.execute("PRAGMA max_page_count = 1000000").fetchall()
        assert [await app.outcome(one.correlation_id, timeout=30) for one in receipts] == [
            Paid(order_id=f"o-{number}") for number in range(1, 60)
        ]
        await app.idle()
        assert len(await app.record.since(0, 1000)) == 120


@pytest.mark.parametrize("somebody", [False, True], ids=["nobody waits", "somebody waits"])
async def test_events_that_come_one_by_one_are_recorded_together_where_nobody_waits_for_them(
    somebody: bool, tmp_path: Path, world: VirtualWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    appended: list[int] = []
    append = SqliteRecord.append

    async def counted(self: SqliteRecord, entries: Any) -> int:
        appended.append(len(entries))
        return await append(self, entries)

    monkeypatch.setattr(SqliteRecord, "append", counted)
    async with opened(checkout(), world, record=f"sqlite:///{tmp_path}/record.db") as app:
        waiting = [asyncio.create_task(app.outcome("of nobody"))] if somebody else []
        for number in range(20):
            await app.send(Place(order_id=f"o-{number}"))
            await world.sleep(0.01)
        await app.idle()
        assert sum(appended) == 40
        assert len(appended) >= 15 if somebody else len(appended) <= 8, appended
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)


async def test_what_was_published_when_a_process_stops_is_recorded_with_what_became_of_it(
    tmp_path: Path, world: VirtualWorld
) -> None:
    record = f"sqlite:///{tmp_path}/record.db"
    async with opened(checkout(), world, record=record, observe=["fates"]) as app:
        receipt = await app.send(Place(order_id="o-1"))
        while app.counters["published"] < 2:
            await world.sleep(0.001)
    async with opened(checkout(), world, record=record, services=()) as app:
        assert len(await app.record.events_of(receipt.correlation_id)) == 2
        assert {fate.state for fate in await app.record.fates_of(receipt.correlation_id)} == {"done"}


async def test_a_process_that_stops_does_not_wait_for_a_record_that_is_away(tmp_path: Path, world: VirtualWorld) -> None:
    heard = Heard()
    async with opened(checkout(), world, record=f"sqlite:///{tmp_path}/record.db", signals=heard) as app:
        cursor = app.record.access.database.cursor
        ((pages,),) = cursor.execute("PRAGMA page_count").fetchall()
        cursor.execute(f"PRAGMA max_page_count = {pages}").fetchall()
        for number in range(60):
            await app.send(Place(order_id=f"o-{number}"))
        await app.idle()
        before = world.monotonic()
    assert world.monotonic() - before < 3
    assert any("disk is full" in what for _, what in heard.of("trouble"))
