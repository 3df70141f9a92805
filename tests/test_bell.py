"""The bell that wakes loops, and how they end."""

from __future__ import annotations

import asyncio

from farandole.bell import end_all


async def test_a_task_that_takes_its_end_for_something_else_is_ended_all_the_same() -> None:
    heard = 0

    async def deaf() -> None:
        nonlocal heard
        while True:
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                heard += 1
                if heard == 3:
                    raise

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.sleep(0))]
    await asyncio.sleep(0)
    await end_all(tasks)
    assert heard == 3 and all(task.done() for task in tasks)
    await end_all([])
