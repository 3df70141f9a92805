"""The chain of four services on NATS and PostgreSQL, all in one process, beside the same by hand and beside FastStream with an inbox and outbox
written by hand. Each side publishes the start events and carries them to their ends; both are in the time. Needs FARANDOLE_NATS and FARANDOLE_POSTGRES.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any

import asyncpg
import nats
from benchmarks.clock import Pace, Stopwatch, compared
from benchmarks.cluster_by_hand import by_hand
from benchmarks.cluster_faststream import faststream
from benchmarks.hosted import Hosted, hosted_at
from benchmarks.report import has_rival, left_out, report
from benchmarks.shop import ON_POSTGRES, starts

ROUNDS, WARM = 3, 100
Open = Callable[[str, str, str], AbstractAsyncContextManager[Any]]


@asynccontextmanager
async def farandole(broker: str, database: str, name: str, *, kind: str) -> AsyncIterator[Hosted]:
    """The chain under the host."""
    places = f"{broker}?prefix={name}", f"{database}?schema={name}_{{service}}"
    async with hosted_at(ON_POSTGRES[kind](), *places) as host:
        yield host


SIDES: dict[str, tuple[Open, int]] = {
    "farandole": (partial(farandole, kind="asyncpg"), 1000),
    "farandole_session": (partial(farandole, kind="orm"), 1000),
    "by_hand": (by_hand, 1000),
    "by_hand_one_statement": (partial(by_hand, together=True), 1000),
    "faststream_batch": (partial(faststream, driver="asyncpg", batch=True), 500),
    "faststream_batch_session": (partial(faststream, driver="session", batch=True), 500),
    "faststream": (partial(faststream, driver="asyncpg", batch=False), 200),
    "faststream_session": (partial(faststream, driver="session", batch=False), 200),
}
"""How to run a side, and how many workflows through it: of slow ones fewer."""
COMPARED = (
    ("handlers on asyncpg", ("farandole", "by_hand", "by_hand_one_statement", "faststream_batch", "faststream")),
    ("handlers on SQLAlchemy's session", ("farandole_session", "faststream_batch_session", "faststream_session")),
)
TARGETS = {"by_hand": ">= 0.7", "faststream_batch": ">= 2", "faststream": ">= 7"}


def pace(side: str) -> Pace:
    """The pace of one side, from the first start event to the last end."""
    opened, count = SIDES[side]
    broker, database = os.environ["FARANDOLE_NATS"], os.environ["FARANDOLE_POSTGRES"]
    name = f"bench_{secrets.token_hex(4)}"

    async def run() -> Pace:
        try:
            async with opened(broker, database, name) as chain:
                await chain.publish(starts(0, WARM))
                await chain.until(WARM)
                watch = Stopwatch()
                await chain.publish(starts(WARM, count))
                await chain.until(count)
                return watch.pace(count)
        finally:
            await forget(broker, database, name)

    return asyncio.run(run())


async def forget(broker: str, database: str | None, name: str) -> None:
    """Delete what a run left behind."""
    if database is not None:
        connection = await asyncpg.connect(database)
        for (schema,) in await connection.fetch("SELECT nspname FROM pg_namespace WHERE starts_with(nspname, $1)", name):
            await connection.execute(f'DROP SCHEMA "{schema}" CASCADE')
        await connection.close()
    client = await nats.connect(broker)
    jetstream = client.jetstream()
    for stream in await jetstream.streams_info():
        if name in (stream.config.name or ""):
            await jetstream.delete_stream(stream.config.name)
    await client.close()


def measure(what: str, sides: Sequence[str]) -> None:
    """Rounds of all sides in turn."""
    rounds = [[pace(side) for side in sides] for _ in range(ROUNDS)]
    targets = ", ".join(f"{TARGETS[side]} of {side}" for side in sides if side in TARGETS)
    report(f"chain of 4 on NATS and PostgreSQL, {what}", **compared(rounds, sides), target=targets or None)


def main() -> None:
    """Both kinds of handlers."""
    if {"FARANDOLE_NATS", "FARANDOLE_POSTGRES"} - os.environ.keys():
        left_out("chain of 4 on NATS and PostgreSQL", "nats", "postgres")
        return
    rival = has_rival()
    for what, sides in COMPARED:
        measure(what, [side for side in sides if rival or not side.startswith("faststream")])


if __name__ == "__main__":
    main()
