"""One, two and four processes of one service share its load on every broker; who joins and leaves meanwhile costs nothing."""

from __future__ import annotations

import asyncio
import importlib.util
import secrets
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.servers import postgres_url, server
from tests.system.kit import RUNNING, Folder, Worker

from farandole import World, host
from farandole.stores import with_option

APP = """
import os
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection
from farandole import Choreography, Command, Event, Service

TABLES = "CREATE TABLE IF NOT EXISTS counted (seq bigint GENERATED ALWAYS AS IDENTITY, key text, n integer, pid integer)"
ADD = text("INSERT INTO counted (key, n, pid) VALUES (:key, :n, :pid)")

class Counted(Event, key="key"):
    key: str
    n: int

class Count(Command):
    first: int
    last: int
    keys: int

front, back = Service("front"), Service("back", tables=TABLES)

@front.command
async def count(command: Count) -> list[Counted]:
    return [Counted(key=f"k{key}", n=n) for n in range(command.first, command.last) for key in range(command.keys)]

@back.on(Counted)
async def note(event: Counted, db: AsyncConnection) -> None:
    await db.execute(ADD, {"key": event.key, "n": event.n, "pid": os.getpid()})

counting = Choreography("counting", front, back)
"""
KEYS, ROUND, BACKLOG = 40, 10, 4000
OPTIONS = {"nats": ("prefix", "{run}"), "redis": ("prefix", "{run}"), "postgres": ("schema", "broker_{run}")}


@dataclass
class Counting(Folder):
    """A folder whose services run on PostgreSQL."""

    place: str = ""
    counting: Any = None

    @property
    def database(self) -> str:
        return self.place


@asynccontextmanager
async def counting(path: Path, broker: str) -> AsyncIterator[tuple[Counting, host.App]]:
    run = f"t{secrets.token_hex(4)}"
    topic = f"counting_{run}"
    (path / f"{topic}.py").write_text(APP.replace('Choreography("counting"', f'Choreography("{topic}"'))
    url = server(broker) if broker != "postgres" else postgres_url()
    if broker in OPTIONS:
        option, value = OPTIONS[broker]
        url = with_option(url, option, value.replace("{run}", run))
    here = Counting(path, app=f"{topic}:counting", broker=url, place=with_option(postgres_url(), "schema", f"{run}_{{service}}"))
    spec = importlib.util.spec_from_file_location(topic, path / f"{topic}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[topic] = module
    spec.loader.exec_module(module)
    here.counting = module
    try:
        async with host.open(module.counting, services=("front",), broker=here.broker, database=here.database) as app:
            yield here, app
    finally:
        for worker in here.workers:
            await worker.kill()
        connection = await asyncpg.connect(postgres_url())
        for schema in (f"{run}_front", f"{run}_back", f"broker_{run}"):
            await connection.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        await connection.close()


@asynccontextmanager
async def connected(schema: str) -> AsyncIterator[Any]:
    """A connection that looks into this schema."""
    connection = await asyncpg.connect(postgres_url(), server_settings={"search_path": schema})
    try:
        yield connection
    finally:
        await connection.close()


@pytest.mark.servers
@pytest.mark.real_time
@pytest.mark.slow
@pytest.mark.parametrize("broker", ["kafka", "nats", "rabbitmq", "redis", "postgres"])
async def test_processes_that_join_and_leave_share_the_load_and_keep_order(broker: str, tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        here, app = await stack.enter_async_context(counting(tmp_path, broker))
        module = here.counting
        path = here.database.rpartition("schema=")[2].replace("{service}", "back")
        rows = await stack.enter_async_context(connected(path))
        sent, world = 0, World()

        async def say() -> None:
            nonlocal sent
            await app.send(module.Count(first=sent, last=sent + ROUND, keys=KEYS))
            sent += ROUND

        async def until(condition: str) -> None:
            """Keep counting, as fast as it is counted, until what is counted from now on fulfils this."""
            before = await rows.fetchval("SELECT coalesce(max(seq), 0) FROM counted")
            async with asyncio.timeout(90):
                while not await rows.fetchval(f"SELECT {condition} FROM counted WHERE seq > {before}"):
                    if sent * KEYS - await rows.fetchval("SELECT count(*) FROM counted") < BACKLOG:
                        await say()
                    await world.sleep(0.3)

        workers: list[Worker] = []

        async def start() -> None:
            workers.append(await here.run("back"))
            await workers[-1].says(RUNNING)

        await start()
        await until("count(*) > 0")
        await start()
        await until("count(DISTINCT pid) = 2")
        await start()
        await start()
        await until("count(DISTINCT pid) = 4")
        await workers[0].stop()
        await workers[1].kill()
        gone = (workers[0].pid, workers[1].pid)
        await until(f"count(DISTINCT key) FILTER (WHERE pid NOT IN {gone}) = {KEYS}")
        async with asyncio.timeout(240):
            while await rows.fetchval("SELECT count(*) FROM counted") < sent * KEYS:
                await world.sleep(0.1)
        found = await rows.fetch("SELECT key, n, pid FROM counted ORDER BY seq")
        by_key: dict[str, list[int]] = defaultdict(list)
        for key, n, _ in found:
            by_key[key].append(n)
        assert Counter((key, n) for key, n, _ in found) == Counter((f"k{key}", n) for key in range(KEYS) for n in range(sent))
        assert all(numbers == sorted(numbers) for numbers in by_key.values())
        assert {pid for _, _, pid in found} == {worker.pid for worker in workers}
        await workers[2].stop()
        await workers[3].stop()
