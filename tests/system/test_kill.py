"""SIGKILL at any step of fetching, committing and publishing leaves effects once; SIGTERM during a handler lets it end."""

from __future__ import annotations

import random
import signal
from collections import Counter
from pathlib import Path

import pytest
from tests.system.kit import RUNNING, folder, until_settled

from farandole import host

DEATHS = 20


@pytest.mark.real_time
@pytest.mark.slow
async def test_twenty_kills_at_random_steps_leave_effects_once(tmp_path: Path) -> None:
    chance = random.Random(11)
    steps = " ".join(str(chance.randint(20, 400)) for _ in range(DEATHS))
    places: Counter[str] = Counter()
    async with folder(tmp_path, module="tests.system.dying") as here:
        notes = here.module_of_notes()
        async with host.open(notes.notes, services=(), broker=here.broker, database=here.database) as app:
            worker = await here.run(DIE_AT=steps)
            for life in range(DEATHS):
                for number in range(8):
                    await app.send(notes.Say(key=f"k{number}", first=4 * life, last=4 * life + 3))
                places[(await worker.says("dies at")).split()[-1].partition(".")[0]] += 1
            await worker.says(RUNNING)
            await until_settled(notes.notes, here.broker, here.database)
            await worker.stop()
    assert {"store", "broker"} <= set(places)
    for name in ("local", "outside", "listener"):
        seen: dict[str, list[int]] = {}
        for key, n, _ in here.written(name):
            seen.setdefault(key, []).append(n)
        assert seen == {f"k{number}": list(range(4 * DEATHS)) for number in range(8)}, name


@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize("service", ["local", "outside"])
async def test_a_handler_that_runs_when_sigterm_comes_ends_and_commits(tmp_path: Path, service: str) -> None:
    async with folder(tmp_path) as here:
        notes = here.module_of_notes()
        async with host.open(notes.notes, services=(), broker=here.broker, database=here.database) as app:
            await app.send(notes.Say(key="k", first=0, last=0, how=f"holds {service}"))
        worker = await here.run(service)
        await worker.says(RUNNING)
        await worker.says("began")
        worker.send_signal(signal.SIGTERM)
        if service == "outside":
            await worker.says("stopping (SIGTERM)")  # a local handler holds the loop until it returns
        assert here.written(service) == []
        worker.tell("go on")
        assert await worker.ended() == 0, worker.printed
        assert [(key, n) for key, n, _ in here.written(service)] == [("k", 0)]
        assert here.rows(service, "SELECT state FROM farandole_inbox") == [("done",)]
        assert here.rows(service, "SELECT count(*) FROM farandole_outbox") == [(0,)]
