"""The janitor: what was settled is forgotten when the window is over, a little at a time, and nothing else is."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from tests.runtime.faults import Heard, refusing
from tests.runtime.kit import dead_letters
from tests.runtime.scene import Counting, placed, scene

from farandole.model.policy import Policy, Retry
from farandole.runtime.assembly import Options
from farandole.runtime.janitor import Janitor
from farandole.stores import open_store
from farandole.testing.virtual import VirtualWorld


async def test_what_is_done_is_forgotten_after_the_window_and_dead_letters_are_not(world: VirtualWorld) -> None:
    counting = Counting(policy=Policy(retry=Retry(attempts=1)))
    counting.fails = {"bad-1"}
    async with scene(world, counting, options=Options(window=120.0)) as here:
        await here.publish("bad-1")
        await here.app.idle()
        await here.publish("a-1")
        await here.app.idle()
        marks = ["/elsewhere#a-1", "/elsewhere#bad-1"]
        await world.sleep(100)
        assert len(await here.store.fates(marks)) == 2
        await world.sleep(120)
        assert [row.state for row in await here.store.fates(marks)] == ["dead"]
        assert len(await dead_letters(here.app, "payments")) == 1
        await here.broker.publish([placed("a-1")])
        await here.app.idle()
        assert counting.seen == ["a-1", "a-1"]  # beyond the window it is a new event: so long is the promise


async def test_it_looks_about_once_a_minute_not_in_step_and_goes_on_while_there_is_much(world: VirtualWorld) -> None:
    store, asked = open_store("sqlite://", world), []
    await store.open()
    async with store.begin() as transaction:
        await transaction.claim([("r", f"e-{n}") for n in range(407)])
    purge = store.purge

    async def watched(older_than: float, limit: int) -> int:
        deleted = await purge(older_than, limit)
        asked.append((world.monotonic(), older_than, limit, deleted))
        return deleted

    store.purge = watched  # type: ignore[method-assign]
    task = asyncio.create_task(Janitor("orders", store, world, Heard(), 1800.0).run())
    await world.sleep(5400)
    task.cancel()
    assert {(older_than, limit) for _, older_than, limit, _ in asked} == {(1800.0, 200)}
    first = next(number for number, (*_, deleted) in enumerate(asked) if deleted)
    assert [deleted for *_, deleted in asked[first : first + 3]] == [200, 200, 7]
    times = [at for at, *_ in asked]
    assert times[first + 2] - times[first] == pytest.approx(0.02)
    waits = [later - sooner for sooner, later in pairwise(times[first + 2 :])]
    assert all(30 <= wait <= 90 for wait in waits) and max(waits) > 70 and min(waits) < 50
    await store.close()


async def test_it_rests_three_times_as_long_as_a_step_took(world: VirtualWorld) -> None:
    """So that a slow disk, or a lock that it waited for, makes it rarer."""
    store, began = open_store("sqlite://", world), list[float]()
    await store.open()
    async with store.begin() as transaction:
        await transaction.claim([("r", f"e-{n}") for n in range(407)])
    await world.sleep(100)
    purge = store.purge

    async def slow(older_than: float, limit: int) -> int:
        began.append(world.monotonic())
        await world.sleep(2.0)
        return await purge(older_than, limit)

    store.purge = slow  # type: ignore[method-assign]
    await Janitor("orders", store, world, Heard(), 50.0).clean()
    assert [later - sooner for sooner, later in pairwise(began)] == pytest.approx([8.0, 8.0])
    await store.close()


async def test_a_database_that_is_away_is_no_end(world: VirtualWorld) -> None:
    counting = Counting()
    async with scene(world, counting, options=Options(window=120.0)) as here:
        await here.publish("a-1")
        await here.app.idle()
        with refusing(here.store, "purge"):
            await world.sleep(300)
        assert set(here.heard.of("trouble")) == {("payments janitor", "purge: the database is away")}
        await world.sleep(100)
        fates: list[Any] = await here.store.fates(["/elsewhere#a-1"])
        assert fates == []
