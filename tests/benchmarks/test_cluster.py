"""What is compared on servers is the same: every side leaves the same rows and marks behind."""

from __future__ import annotations

import asyncio
import secrets
from importlib.util import find_spec

import asyncpg
import pytest
from benchmarks.cluster import SIDES, forget
from benchmarks.shop import CHAIN, starts
from tests.servers import postgres_url, server

pytestmark = [pytest.mark.real_time, pytest.mark.servers, pytest.mark.slow]

COUNT = 200
"""A multiple of FastStream's batch, which waits seconds for the rest."""


@pytest.mark.parametrize("side", SIDES)
def test_every_side_carries_each_order_through_all_services_once(side):
    if side.startswith("faststream") and find_spec("faststream") is None:
        pytest.skip("FastStream is not installed")
    broker, database, name = server("nats"), postgres_url(), f"test_{secrets.token_hex(4)}"

    async def run() -> dict[str, tuple[list[tuple[str, int]], int]]:
        try:
            async with SIDES[side][0](broker, database, name) as chain:
                await chain.publish(starts(0, COUNT))
                await chain.until(COUNT)
            return await left_behind(database, name)
        finally:
            await forget(broker, database, name)

    expected = sorted((f"o-{number}", number) for number in range(COUNT)), COUNT
    assert asyncio.run(run()) == {step.service: expected for step in CHAIN}


async def left_behind(database: str, name: str) -> dict[str, tuple[list[tuple[str, int]], int]]:
    """By service: the rows, and how many events are marked."""
    connection = await asyncpg.connect(database)
    found = {}
    for step in CHAIN:
        schema = f"{name}_{step.service}"
        inbox = await connection.fetchval(
            "SELECT tablename FROM pg_tables WHERE schemaname = $1 AND tablename LIKE '%inbox'", schema
        )
        rows = await connection.fetch(f'SELECT order_id, cents FROM "{schema}".work')
        marks = await connection.fetchval(f'SELECT count(*) FROM "{schema}".{inbox}')
        found[step.service] = sorted((row["order_id"], row["cents"]) for row in rows), marks
    await connection.close()
    return found
