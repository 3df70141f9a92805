"""A file that another process keeps locked: whoever writes waits half a minute, is told, and goes on when it is free again."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.runtime.kit import Place, dead_letters
from tests.runtime.scene import Counting, Scene, scene

from farandole.errors import StoreBusy
from farandole.model.policy import Policy, Retry
from farandole.stores import open_store
from farandole.testing.virtual import VirtualWorld

PATIENCE = 30.0
A_LITTLE = 1.0


@asynccontextmanager
async def on_files(world: VirtualWorld, counting: Counting, folder: Path) -> AsyncIterator[Scene]:
    async with scene(world, counting, database=f"sqlite:///{folder}/{{service}}.db") as here:
        yield here


def lock(folder: Path, service: str = "payments") -> sqlite3.Connection:
    """Another process begins to write, and does not end."""
    other = sqlite3.connect(folder / f"{service}.db", isolation_level=None, timeout=0)
    other.execute("BEGIN IMMEDIATE")
    return other


def free(other: sqlite3.Connection) -> None:
    other.execute("ROLLBACK")
    other.close()


async def test_a_batch_that_the_lock_kept_out_is_given_back_after_half_a_minute(world: VirtualWorld, tmp_path: Path) -> None:
    counting = Counting()
    async with on_files(world, counting, tmp_path) as here:
        other = lock(tmp_path)
        await here.publish("a-1")
        began = world.monotonic()
        while not here.broker.released:
            await world.sleep(0.1)
        assert PATIENCE <= world.monotonic() - began < PATIENCE + A_LITTLE
        assert here.broker.released == [["a-1"]]
        assert any(who == "shop.payments" and "another process" in str(said) for who, said in here.heard.of("trouble"))
        free(other)
        await here.app.idle()
        assert counting.runs == ["a-1"], "it ran once the lock was free, and not before"


async def test_a_command_that_the_lock_kept_out_is_answered_after_half_a_minute(world: VirtualWorld, tmp_path: Path) -> None:
    async with on_files(world, Counting(), tmp_path) as here:
        other = lock(tmp_path, "orders")
        began = world.monotonic()
        sent = [here.app.send(Place(order_id=f"o-{n}"), idempotency_key=f"k-{n}") for n in range(3)]
        found = await asyncio.gather(*sent, return_exceptions=True)
        assert [type(one) for one in found] == [StoreBusy] * 3
        assert PATIENCE <= world.monotonic() - began < PATIENCE + A_LITTLE
        free(other)
        receipt = await here.app.send(Place(order_id="o-1"), idempotency_key="k-1")
        assert not receipt.repeated


async def test_a_reaction_is_not_blamed_for_a_lock_that_it_met(world: VirtualWorld, tmp_path: Path) -> None:
    """Its only retry meets the lock between its claim and its transaction."""
    counting = Counting(policy=Policy(retry=Retry(attempts=2, delay=5.0, jitter=0.0)))
    counting.fails = {"a-1"}
    async with on_files(world, counting, tmp_path) as here:
        await here.publish("a-1")
        await world.sleep(1)
        counting.fails.clear()
        take, others = here.store.take, list[sqlite3.Connection]()

        async def then_locked(*arguments: object) -> object:
            taken = await take(*arguments)  # type: ignore[arg-type]
            if taken and not others:
                others.append(lock(tmp_path))
            return taken

        here.store.take = then_locked  # type: ignore[method-assign, assignment]
        while not others:
            await world.sleep(1)
        await world.sleep(PATIENCE + A_LITTLE)
        free(others[0])
        await world.sleep(120)
        assert await dead_letters(here.app, "payments") == []
        assert counting.seen == ["a-1"]


async def test_all_who_wait_for_the_lock_are_told_at_the_same_time(world: VirtualWorld, tmp_path: Path) -> None:
    """They stand in a line, and each has waited as long as the first by then."""
    store = open_store(f"sqlite:///{tmp_path}/payments.db", world)
    await store.open()
    other = lock(tmp_path)

    async def write(after: float) -> float:
        await world.sleep(after)
        began = world.monotonic()
        with pytest.raises(StoreBusy):
            async with store.begin():
                pass
        return world.monotonic() - began

    waited = await asyncio.gather(*(write(n) for n in range(5)))
    assert all(PATIENCE <= one < PATIENCE + A_LITTLE for one in waited), waited
    free(other)
    await store.close()
