"""Two processes of one service on the same files: they share the keys, and each key stays in order while one joins and leaves."""

from __future__ import annotations

import asyncio
import signal
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from tests.system.kit import PATIENCE, RUNNING, folder, until_settled

from farandole import App, host

KEYS = [f"k{n}" for n in range(16)]
SERVICES = ("local", "outside", "listener")


async def say(app: App, notes: Any, first: int, count: int) -> int:
    """So many more for every key; gives the next number."""
    for n in range(first, first + count, 2):
        for key in KEYS:
            await app.send(notes.Say(key=key, first=n, last=n + 1))
    return first + count


@pytest.mark.real_time
@pytest.mark.slow
async def test_keys_are_shared_and_stay_in_order_while_a_process_joins_and_leaves(tmp_path: Path) -> None:
    async with folder(tmp_path) as here:
        notes = here.module_of_notes()
        async with host.open(notes.notes, services=(), broker=here.broker, database=here.database) as app:
            stayer = await here.run()
            await stayer.says(RUNNING)
            upto = await say(app, notes, 0, 6)
            joiner = await here.run()
            async with asyncio.timeout(PATIENCE):
                while not all(joiner.pid in here.pids(name) for name in SERVICES):
                    upto = await say(app, notes, upto, 4)  # it joins while the work goes on
            upto = await say(app, notes, upto, 10)
            joiner.send_signal(signal.SIGTERM)
            upto = await say(app, notes, upto, 10)
            assert await joiner.ended() == 0, joiner.printed
            upto = await say(app, notes, upto, 6)
            await until_settled(notes.notes, here.broker, here.database)
            await stayer.stop()
    for name in SERVICES:
        seen: dict[str, list[int]] = defaultdict(list)
        for key, n, _ in here.written(name):
            seen[key].append(n)
        assert dict(seen) == {key: list(range(upto)) for key in KEYS}, f"{name}: lost, doubled or out of order"
        assert here.pids(name) == {stayer.pid, joiner.pid}
