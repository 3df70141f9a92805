"""The ground on which the examples stand: a tiny one of its own, and that it notices what is wrong."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from tests.examples.ground import holds_after_every_stop, holds_on_files

from examples.running import Books, Example, main, running, until
from examples.sight import Sight
from farandole import Choreography, Command, Context, Event, Service, World
from farandole.rehearse import CALM, Course, play
from farandole.testing.virtual import VirtualWorld


class Asked(Event, key="name", public=True):
    name: str


class Granted(Event, key="name", public=True):
    name: str


class Ask(Command):
    name: str


class Purse:
    """Somebody outside: gives a coin for each key."""

    def __init__(self, path: Path, world: World) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("CREATE TABLE IF NOT EXISTS coins (key TEXT PRIMARY KEY, name TEXT)")

    async def give(self, key: str, name: str) -> None:
        self._db.execute("INSERT INTO coins VALUES (?, ?) ON CONFLICT DO NOTHING", (key, name))

    def rows(self, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        return self._db.execute(sql, values).fetchall()

    def close(self) -> None:
        self._db.close()


def alms() -> Choreography:
    asking = Service("asking")
    giving = Service("giving", tables="CREATE TABLE IF NOT EXISTS given (name TEXT PRIMARY KEY)")
    giving.provide(Purse, Purse)

    @asking.command
    async def ask(command: Ask) -> Asked:
        return Asked(name=command.name)

    @giving.on(Asked)
    async def give(asked: Asked, purse: Purse, db: AsyncConnection, context: Context) -> Granted:
        await purse.give(context.idempotency_key, asked.name)
        await db.execute(text("INSERT INTO given VALUES (:name)"), {"name": asked.name})
        return Granted(name=asked.name)

    return Choreography("alms", asking, giving)


async def beggars(stage: Any) -> None:
    for name in stage.some(("anna", "bert")):
        await stage.send(Ask(name=name))
        await until(stage, "giving", "SELECT name FROM given WHERE name = :name", name=name)


def each_got_one_coin(sight: Sight) -> Iterable[str]:
    """The purse's books agree with what the service says that it gave."""
    gave, took = (
        sight.rows("giving", "SELECT name FROM given ORDER BY name"),
        sight.rows("purse", "SELECT name FROM coins ORDER BY name"),
    )
    return [] if gave == took else [f"the service gave {gave}, the purse says {took}"]


def nobody_is_rich(sight: Sight) -> Iterable[str]:
    """A sentence that is false in the end."""
    return ["somebody has a coin"] if sight.one("purse", "SELECT count(*) FROM coins") else []


def example(*more: Any) -> Example:
    return Example(alms(), beggars, invariants=(each_got_one_coin, *more), outside=(Books("purse", Purse, Purse),))


@pytest.mark.parametrize("twice", [False, True])
async def test_an_example_holds_on_files_also_when_everything_comes_twice(tmp_path: Path, twice: bool) -> None:
    await holds_on_files(example(), tmp_path, twice=twice)


async def test_an_invariant_that_does_not_hold_is_noticed(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="somebody has a coin"):
        await holds_on_files(example(nobody_is_rich), tmp_path)


def test_an_example_holds_after_a_stop_at_every_point() -> None:
    assert holds_after_every_stop(example(), step=9) > 5


def test_the_same_scenario_and_invariants_are_rehearsed() -> None:
    assert play(example().rehearsal(), Course(1, faults=CALM)).findings == []
    found = [str(finding) for finding in play(example(nobody_is_rich).rehearsal(), Course(1, faults=CALM)).findings]
    assert any("nobody_is_rich" in finding and "somebody has a coin" in finding for finding in found), found


async def test_waiting_ends_when_patience_does(tmp_path: Path) -> None:
    async with running(example(), tmp_path, world=VirtualWorld()) as stage:
        assert await until(stage, "giving", "SELECT name FROM given", patience=5.0) is None


def test_the_command_tells_the_story_ticks_what_holds_and_ends_with_1_where_something_does_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def tell(stage: Any) -> list[str]:
        return await stage.chain("command 1")

    assert main(example(), tell, []) == 0
    assert capsys.readouterr().out == "Ask\n  Asked  (asking)\n    Granted  (giving)\n\nWhat must hold:\n  ✓ each got one coin\n"
    assert main(example(nobody_is_rich), tell, []) == 1
    assert "  ✗ nobody is rich\n      somebody has a coin\n" in capsys.readouterr().out


def test_a_wrong_url_is_one_line_and_ends_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    async def tell(stage: Any) -> list[str]:
        return []

    assert main(example(), tell, ["--broker", "teapot://"]) == 2
    assert capsys.readouterr().err.count("\n") == 1
