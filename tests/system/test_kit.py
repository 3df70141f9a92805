"""What the system tests rely on: who is killed twice has died once, and where a process cannot be kept alive, the test ends."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest
from tests.system.kit import folder, supervised


@pytest.mark.real_time
async def test_a_process_that_is_killed_again_while_it_dies_was_killed(tmp_path: Path) -> None:
    async with folder(tmp_path) as here:
        worker = await here.run("front")
        end = asyncio.create_task(worker.ended())
        while not end.done():
            worker.send_signal(signal.SIGKILL)
            await asyncio.sleep(0)
        assert await end == -signal.SIGKILL


@pytest.mark.real_time
async def test_a_process_that_cannot_be_kept_alive_ends_the_block_and_says_why(tmp_path: Path) -> None:
    async with folder(tmp_path, app="notes:nowhere") as here:
        with pytest.raises(AssertionError, match=r"exit code 2:\n.*nowhere"):
            async with supervised(here, "front"):
                await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0
