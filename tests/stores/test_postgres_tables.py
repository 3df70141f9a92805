"""The framework's tables as metadata: what Alembic compares is what migrations make."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import create_async_engine
from tests.servers import postgres_url

from farandole.stores import metadata, open_store
from farandole.testing.virtual import VirtualWorld


@pytest.mark.real_time
async def test_alembic_finds_no_difference_between_the_metadata_and_the_migrations(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    await store.close()

    def differences(connection: Connection) -> list[Any]:
        return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata())

    path = {"server_settings": {"search_path": schema.rpartition("schema=")[2]}}
    place = postgres_url().replace("postgresql:", "postgresql+asyncpg:")
    engine = create_async_engine(place, connect_args=path)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    await engine.dispose()
    await asyncio.sleep(0)
