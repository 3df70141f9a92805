"""`farandole` as processes of their own: started, read, killed, started again; and a small project for them to run."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import farandole
from farandole import Choreography, World
from farandole.brokers import open_broker
from farandole.model.wire import Wire
from farandole.runtime.lanes import lanes_of
from farandole.stores import open_store

PATIENCE = 120  # seconds until a process that hangs is a failure
RUNNING = "running; Ctrl-C stops"
ROOT = Path(__file__).parents[2]

NOTES = """
import asyncio, os, signal, sqlite3, sys
from sqlalchemy.ext.asyncio import AsyncConnection
from farandole import Choreography, Command, Context, Event, Policy, Retry, Service

TABLES = "CREATE TABLE IF NOT EXISTS notes (seq INTEGER PRIMARY KEY, key TEXT, n INTEGER, pid INTEGER)"
INSERT = "INSERT INTO notes (key, n, pid) VALUES (?, ?, ?)"
QUICK = Policy(retry=Retry(attempts=3, delay=0.05, jitter=0.0))

class Pen: ...

class Said(Event, key="key"):
    key: str
    n: int
    how: str

class Noted(Event, key="key"):
    key: str
    n: int

class Say(Command):
    key: str
    first: int
    last: int
    how: str = ""

front = Service("front")

@front.command
async def say(command: Say) -> list[Said]:
    return [Said(key=command.key, n=n, how=command.how) for n in range(command.first, command.last + 1)]

def maybe_die(event, service):
    if event.how == f"kills {service}":
        os.kill(os.getpid(), signal.SIGKILL)

local = Service("local", tables=TABLES)

@local.on(Said, policy=QUICK)
async def note(event: Said, db: sqlite3.Connection) -> Noted:
    db.execute(INSERT, (event.key, event.n, os.getpid()))
    maybe_die(event, "local")
    if event.how == "holds local":
        print("began", flush=True)
        sys.stdin.readline()
    return Noted(key=event.key, n=event.n)

outside = Service("outside", tables=TABLES)
outside.provide(Pen, Pen())

@outside.on(Said, policy=QUICK)
async def note(event: Said, pen: Pen, db: AsyncConnection) -> None:
    if event.how == "holds outside":
        print("began", flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    await db.exec_driver_sql(INSERT, (event.key, event.n, os.getpid()))
    maybe_die(event, "outside")

listener = Service("listener", tables=TABLES)

@listener.on(Noted, policy=QUICK)
async def note(event: Noted, db: sqlite3.Connection) -> None:
    db.execute(INSERT, (event.key, event.n, os.getpid()))

notes = Choreography("notes", front, local, outside, listener)
"""


class Worker:
    """A command in a process of its own, and all that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.pid = process.pid
        self.printed: list[str] = []

    async def says(self, text: str) -> str:
        """Wait for a line that holds `text`, and give it."""
        assert self.process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := (await self.process.stdout.readline()).decode():
                self.printed.append(line)
                if text in line:
                    return line
        raise AssertionError(f"{text!r} never came:\n{''.join(self.printed)}")

    def tell(self, line: str) -> None:
        """Write a line to its standard input."""
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")

    async def ended(self, limit: float | None = PATIENCE) -> int:
        """Wait for its end; gives the exit code."""
        async with asyncio.timeout(limit):
            rest, _ = await self.process.communicate()
            self.printed.append(rest.decode())
        assert self.process.returncode is not None
        return self.process.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended. Not by the process object: that would look whether it has ended, and take the exit code away
        from who waits for it.
        """
        if self.process.returncode is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, number)

    async def kill(self) -> None:
        """kill -9."""
        if self.process.returncode is None:
            self.send_signal(signal.SIGKILL)
            await self.ended()

    async def stop(self) -> None:
        """SIGTERM; it must end well."""
        self.send_signal(signal.SIGTERM)
        code = await self.ended()
        assert code == 0, "".join(self.printed)


@dataclass
class Folder:
    """A folder with a choreography in it and the files that it runs on; processes started here do not outlive the test."""

    path: Path
    app: str = "notes:notes"
    module: str = "farandole.cli"
    broker: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    workers: list[Worker] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.path / "notes.py").write_text(NOTES, encoding="utf-8")
        self.broker = self.broker or f"sqlite:///{self.path}/broker.db?synchronous=normal"

    @property
    def database(self) -> str:
        return f"sqlite:///{self.path}/{{service}}.db?synchronous=normal"

    async def run(self, *services: str, **environment: str) -> Worker:
        """Start `farandole run` with these services; all, if none is named."""
        flags = [token for service in services for token in ("--service", service)]
        return await self.start("run", self.app, *flags, "--broker", self.broker, "--database", self.database, **environment)

    async def start(self, *tokens: str, **environment: str) -> Worker:
        """Start a command."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self.module, *tokens),
            cwd=self.path,
            env={**os.environ, "PYTHONPATH": f"{Path(farandole.__file__).parents[1]}:{ROOT}", **self.environment, **environment},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        worker = Worker(process)
        self.workers.append(worker)
        return worker

    def module_of_notes(self) -> Any:
        """The small project's module, as the processes have it."""
        import importlib.util

        spec = importlib.util.spec_from_file_location("notes", self.path / "notes.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["notes"] = module
        spec.loader.exec_module(module)
        return module

    def written(self, service: str) -> list[tuple[str, int, int]]:
        """What a service of the small project noted, in order: key, number, process."""
        return self.rows(service, "SELECT key, n, pid FROM notes ORDER BY seq")

    def pids(self, service: str) -> set[int]:
        """The processes that noted something for a service."""
        return {pid for _, _, pid in self.written(service)}

    def rows(self, service: str, sql: str) -> list[Any]:
        """What a query gives."""
        db = sqlite3.connect(self.path / f"{service}.db")
        try:
            return db.execute(sql).fetchall()
        finally:
            db.close()


@asynccontextmanager
async def folder(path: Path, **what: Any) -> AsyncIterator[Folder]:
    """A folder to run in."""
    path.mkdir(parents=True, exist_ok=True)
    made = Folder(path, **what)
    try:
        yield made
    finally:
        for worker in made.workers:
            await worker.kill()


@dataclass
class Supervised:
    """What keeps one `farandole run` alive, as an init system does, and counts its deaths by SIGKILL."""

    here: Folder
    services: tuple[str, ...] = ()
    may_fail: bool = False
    deaths: int = 0
    worker: Worker | None = None

    async def keep_alive(self) -> None:
        """Until cancelled."""
        while True:
            self.worker = await self.here.run(*self.services)
            code = await self.worker.ended(limit=None)
            if code == -signal.SIGKILL:
                self.deaths += 1
            else:  # what it needs to start may be away; an init system tries again
                assert self.may_fail, f"exit code {code}:\n{''.join(self.worker.printed)}"
                assert code == 2, f"exit code {code}:\n{''.join(self.worker.printed)}"


@asynccontextmanager
async def supervised(here: Folder, *services: str, may_fail: bool = False) -> AsyncIterator[Supervised]:
    """Keep a process alive for as long as the `with` lasts, then stop it; `may_fail`: also when it could not start.

    Where it cannot be kept alive, the block is cancelled and says why.
    """
    keeper, block = Supervised(here, services, may_fail), asyncio.current_task()
    assert block is not None
    over = told = False

    def failed(_: object) -> None:
        nonlocal told
        if not over:
            told = block.cancel()

    task = asyncio.create_task(keeper.keep_alive())
    task.add_done_callback(failed)
    try:
        yield keeper
    finally:
        over = True
        if told:
            block.uncancel()
        if task.done():
            await task
        task.cancel()
        await asyncio.wait([task])


async def until_settled(choreography: Choreography, broker: str, database: str) -> None:
    """Wait until nothing is under way in any service, looking only at the files; fails when it takes too long."""
    world, wire, calm = World(), Wire(choreography), 0
    log = open_broker(broker, world)
    await log.open()
    stores = [open_store(database.replace("{service}", name), world) for name in choreography.services]
    lanes = [lane.subscription for service in choreography.services.values() for lane in lanes_of(choreography, service, wire)]
    try:
        for store in stores:
            await store.open()
        async with asyncio.timeout(PATIENCE):
            while calm < 2:
                figures = [await store.status() for store in stores]
                waiting = sum(s.outbox + s.parked + s.claimed for s in figures) + sum([await log.lag(lane) for lane in lanes])
                calm = calm + 1 if not waiting else 0
                await world.sleep(0.02)
    finally:
        for store in stores:
            await store.close()
        await log.close()
