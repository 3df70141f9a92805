"""An event that kills the process that handles it: it is counted across restarts and dies, and nothing else suffers."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.system.kit import folder, supervised, until_settled

from farandole import host


@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize("service", ["local", "outside"])
async def test_an_event_that_kills_its_process_becomes_a_dead_letter_and_the_rest_goes_on(tmp_path: Path, service: str) -> None:
    async with folder(tmp_path) as here:
        notes = here.module_of_notes()
        async with host.open(notes.notes, services=(), broker=here.broker, database=here.database) as app:
            for n in range(20):
                await app.send(notes.Say(key=f"k{n}", first=0, last=1))
            await app.send(notes.Say(key="poison", first=0, last=0, how=f"kills {service}"))
            await app.send(notes.Say(key="poison", first=1, last=3))
            for n in range(20):
                await app.send(notes.Say(key=f"k{n}", first=2, last=3))
        async with supervised(here) as keeper:
            await until_settled(notes.notes, here.broker, here.database)
    good = {(f"k{n}", i) for n in range(20) for i in range(4)} | {("poison", i) for i in range(1, 4)}
    for name in ("local", "outside"):
        written = [(key, n) for key, n, _ in here.written(name)]
        assert len(written) == len(set(written)), name
        assert set(written) == good | ({("poison", 0)} if name != service else set()), name
    [(attempts, reason, place, error)] = here.rows(
        service, "SELECT attempts, reason, place, error FROM farandole_inbox WHERE state = 'dead'"
    )
    assert error == "ProcessDied"
    assert "it kills or stops its process" in reason
    assert place is not None
    assert "notes.py:" in place
    assert 3 <= keeper.deaths <= 5, "at most once in a batch, once with others, and three times alone"
    assert attempts == 3
