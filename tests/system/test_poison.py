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


@pytest.mark.real_time
@pytest.mark.slow
async def test_an_event_that_kills_its_process_behind_others_of_its_key_is_blamed_as_soon(tmp_path: Path) -> None:
    """What goes before it in one transaction is not counted for it, and does not let it kill once more for each."""
    async with folder(tmp_path) as here:
        notes = here.module_of_notes()
        async with host.open(notes.notes, services=(), broker=here.broker, database=here.database) as app:
            await app.send(notes.Say(key="k", first=0, last=9))
            await app.send(notes.Say(key="k", first=10, last=10, how="kills local"))
            await app.send(notes.Say(key="k", first=11, last=12))
        async with supervised(here) as keeper:
            await until_settled(notes.notes, here.broker, here.database)
    assert [n for _, n, _ in here.written("local")] == [*range(10), 11, 12]
    [(id, attempts, error)] = here.rows("local", "SELECT key, attempts, error FROM farandole_inbox WHERE state = 'dead'")
    assert (id, attempts, error) == ("k", 3, "ProcessDied")
    assert {n for (n,) in here.rows("local", "SELECT attempts FROM farandole_inbox WHERE state = 'done'")} <= {1, 2}
    assert 3 <= keeper.deaths <= 5, "at most once in a batch, once behind others, and three times alone"
