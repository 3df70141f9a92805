"""What the tests of the shop share: a real database for one service, and small orders."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest

from farandole import Service, World
from farandole.stores import open_store

Open = Callable[[Service], AbstractAsyncContextManager[Callable[[str], AbstractAsyncContextManager[Any]]]]


@pytest.fixture
def database(world: World) -> Open:
    """`async with database(service) as db:` then, once per transaction, `async with db("session") as session:`."""

    @asynccontextmanager
    async def opened(service: Service) -> AsyncIterator[Callable[[str], AbstractAsyncContextManager[Any]]]:
        store = open_store("sqlite://", world, tables=service.tables)
        await store.open()

        @asynccontextmanager
        async def resource(kind: str) -> AsyncIterator[Any]:
            async with store.begin() as transaction:
                yield transaction.resource(kind)
                await transaction.flush()

        try:
            yield resource
        finally:
            await store.close()

    return opened
