"""What every example is held to: its invariants on files and on servers, with everything delivered twice, and after a stop at every await."""

from __future__ import annotations

import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from tests.servers import server

from examples.running import Example, running
from examples.shop.duplicates import Duplicating
from examples.sight import looking
from farandole.brokers import open_broker
from farandole.cli import main as command
from farandole.testing.crash import CountingWorld, every_death, run_to_death
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

ROOT = Path(__file__).parents[2]

__all__ = [
    "finds_nothing_to_complain_of",
    "holds_after_every_stop",
    "holds_on_files",
    "holds_on_servers",
    "notices_damage",
    "says_what_it_said",
    "shows_its_picture",
]


async def holds_on_files(example: Example, folder: Path, *, twice: bool = False, share: float = 1.0) -> None:
    """Its scenario, in one process, on files; `twice`: everything is published again under the same id."""
    world = VirtualWorld()
    broker = open_broker(f"sqlite:///{folder}/broker.db?synchronous=normal", world)
    await broker.open()
    try:
        carrier = Duplicating(broker, 1.0, seed=0) if twice else broker
        async with running(example, folder, broker=carrier, world=world, share=share) as play:
            await example.scenario(play)
            await play.app.idle()
            found = example.violations(play.databases)
            assert not any(found.values()), found
    finally:
        await broker.close()


async def holds_on_servers(example: Example, folder: Path, broker: str = "nats", *, share: float = 1.0) -> None:
    """Its scenario on PostgreSQL and a server's broker. The test is marked `servers` and `real_time`."""
    run = f"t{secrets.token_hex(4)}"
    where = server(broker) + ("" if broker == "rabbitmq" else f"?prefix={run}")
    database = f"{server('postgres')}?schema={run}_{{service}}"
    async with running(example, folder, broker=where, database=database, world=World(), share=share) as play:
        await example.scenario(play)
        await play.app.idle()
        found = example.violations(play.databases)
        assert not any(found.values()), found


def holds_after_every_stop(example: Example, *, step: int, share: float = 0.0) -> int:
    """Stop it at every await and statement (every `step`th, but for FULL=1), start it again on what is left, and look.

    Gives the number of stops.
    """

    async def program(world: VirtualWorld, folder: Path) -> None:
        if isinstance(world, CountingWorld):
            world.counting = False  # while it opens its files
        files = f"sqlite:///{folder}/broker.db?synchronous=normal", f"sqlite:///{folder}/{{service}}.db?synchronous=off"
        async with running(example, folder, broker=files[0], database=files[1], world=world, share=share) as play:
            if isinstance(world, CountingWorld):
                world.counting = True
            await example.scenario(play)
            await play.app.idle()
            found = example.violations(play.databases)
        assert not any(found.values()), found

    stops = 0
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as base:
        fresh: Callable[[], Path] = lambda: Path(tempfile.mkdtemp(dir=base))
        for death in every_death(program, fresh, step=1 if os.environ.get("FULL") else step):
            assert run_to_death(program, death.folder, None).died_at is None
            stops += 1
    assert stops > 5
    return stops


async def notices_damage(example: Example, folder: Path, damages: Sequence[tuple[str, str, str]]) -> None:
    """Each damage (a service or whoever keeps books, the SQL that does it, an invariant's name) is found by that invariant.

    So no invariant is one that cannot fail: each must be named.
    """
    await holds_on_files(example, folder)
    for number, (name, sql, invariant) in enumerate(damages):
        copy = folder / f"damaged {number}"
        copy.mkdir()
        for file in filter(Path.is_file, folder.glob("*.db*")):
            shutil.copy(file, copy)
        books = {one.name: copy / f"{one.name}.books.db" for one in example.outside}
        with closing(sqlite3.connect(books.get(name, copy / f"{name}.db"))) as db:
            db.executescript(sql)
        with looking(f"sqlite:///{copy}/{{service}}.db", books) as databases:
            found = example.violations(databases)
        assert found[invariant], f"{sql} at {name}: {found}"
    assert {invariant for _, _, invariant in damages} == {check.__name__ for check in (*example.invariants, *example.always)}


def says_what_it_said(name: str) -> None:
    """`python -m examples.NAME` prints what stands in expected.txt."""
    done = subprocess.run(
        [sys.executable, "-m", f"examples.{name}"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"},
    )  # fmt: skip
    kept = ROOT / "examples" / name / "expected.txt"
    assert done.returncode == 0, done.stderr
    assert done.stdout == kept.read_text(encoding="utf-8"), f"run: python -m examples.{name} > {kept.relative_to(ROOT)}"


def shows_its_picture(name: str, folder: Path) -> None:
    """`picture.svg` is what the command draws."""
    now, kept = folder / "now.svg", f"examples/{name}/picture.svg"
    assert command(("graph", f"examples.{name}:{name}", "--output", str(now))) == 0
    assert now.read_text(encoding="utf-8") == (ROOT / kept).read_text(encoding="utf-8"), (
        f"run: farandole graph examples.{name}:{name} --output {kept}"
    )


def finds_nothing_to_complain_of(name: str) -> None:
    """`farandole check --strict` is silent."""
    assert command(("check", "--strict", f"examples.{name}:{name}")) == 0
