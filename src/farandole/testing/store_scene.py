"""What the cases of `conformance_store` share: open stores, a table, a world that dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

from farandole.model.envelope import Message
from farandole.stores.base import InboxRow, Store, Verdict
from farandole.testing.suite import Suite, hook
from farandole.testing.virtual import VirtualWorld
from farandole.world import World

__all__ = [
    "INSERT",
    "OTHER",
    "Death",
    "DyingWorld",
    "Leaked",
    "R",
    "StoreCases",
    "add",
    "at_most",
    "bury",
    "ids",
    "message",
    "put",
    "raises",
    "row",
    "settle",
    "thing",
]

R = "shop.react"
OTHER = "shop.other"
INSERT = "INSERT INTO suite_things (id, name) VALUES ('{0}', 'thing {0}')"


def message(id: str, key: str = "k") -> Message:
    """A message for the outbox."""
    return Message("shop.orders", key, id, "shop.OrderPlaced.v1", b"\x00\xff" + id.encode())


class raises:  # noqa: N801 - read as a word: with raises(StoreError):
    """Something of this kind is raised in here, and its message says this."""

    def __init__(self, *kinds: type[BaseException], saying: str = "") -> None:
        self.kinds = kinds
        self.saying = saying

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, trace: object) -> bool:
        if error is None:
            raise AssertionError(f"{self.kinds} was not raised")
        if isinstance(error, self.kinds) and self.saying not in str(error):
            raise AssertionError(f"expected {self.saying!r} in: {error}") from error
        return isinstance(error, self.kinds)


class Death(BaseException):
    """The process dies here."""


class DyingWorld(VirtualWorld):
    """Dies at the n-th crash point, and at every later one: a dead process does nothing."""

    def __init__(self, at: int) -> None:
        super().__init__()
        self.left = at
        self.passed: list[str] = []

    def point(self, name: str) -> None:
        self.passed.append(name)
        self.left -= 1
        if self.left <= 0:
            raise Death(name)


class StoreCases(Suite):
    """What the cases share."""

    tables = "CREATE TABLE IF NOT EXISTS suite_things (id VARCHAR(40) PRIMARY KEY, name TEXT NOT NULL)"
    """The table that the suite's reactions write; give it to your store as `tables=`."""

    async def make(self, world: World) -> Store:
        """A store, not yet open. Every call within one test gives a handle on the same data."""
        raise NotImplementedError("say how to make your store: async def make(self, world): return MyStore(...)")

    @hook
    async def conflict(self, store: Store, step: Callable[[], Awaitable[None]]) -> None:
        """Run `step`, a transaction on `store`, so that it collides with another one, which wins. Override it where you can."""
        raise NotImplementedError

    @asynccontextmanager
    async def stores(self, count: int, world: World | None = None) -> AsyncIterator[list[Store]]:
        """Open stores on the same data."""
        self.world = world or VirtualWorld()
        opened = []
        try:
            for _ in range(count):
                opened.append(await self.make(self.world))
                await opened[-1].open()
            yield opened
        finally:
            for store in opened:
                await store.close()

    async def things(self, store: Store) -> list[str]:
        """The committed rows of the suite's own table."""
        from sqlalchemy import text

        late = store.begin_late()
        try:
            found = await late.resource("connection").execute(text("SELECT id FROM suite_things ORDER BY id"))
            return [id for (id,) in found]
        finally:
            await late.close()

    async def nothing_remains(self, store: Store) -> None:
        assert await self.things(store) == []
        assert (await store.status()).outbox == 0
        assert await store.fates(["1", "2"]) == []


async def add(transaction: Any, kind: str, id: str) -> None:
    """Insert a thing, through a handle of this kind."""
    handle = transaction.resource(kind)
    if kind == "driver":
        found = handle.execute(INSERT.format(id))
        if asyncio.iscoroutine(found):
            await found
    else:
        from sqlalchemy import text

        await handle.execute(text(INSERT.format(id)))


class Leaked:
    """A handle that outlived its transaction."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle

    def resource(self, kind: str) -> Any:
        return self.handle


def thing(id: str, **what: Any) -> Any:
    """A mapped object of the suite's table."""
    return _mapped()(**{"id": id, "name": f"thing {id}", **what})


@cache
def _mapped() -> Any:
    # SQLAlchemy is imported when a case needs it
    from sqlalchemy import Column, String
    from sqlalchemy.orm import DeclarativeBase

    class Base(DeclarativeBase):
        pass

    class Thing(Base):
        __tablename__ = "suite_things"
        id = Column(String(40), primary_key=True)
        name = Column(String, nullable=False)

    return Thing


def row(id: str, key: str = "k", **what: object) -> InboxRow:
    """A waiting row."""
    return InboxRow(reaction=R, id=id, key=key, topic="shop.orders", body=b'{"id":"%s"}' % id.encode(), **what)  # type: ignore[arg-type]


def at_most(count: int) -> Callable[[str], int]:
    """The bound of every reaction."""
    return lambda _: count


async def put(store: Store, *rows: InboxRow) -> None:
    """Rows that wait, as an outside lane leaves them."""
    assert await store.ingest(rows, at_most(1000)) == (len(rows), len(rows))


async def settle(store: Store, taken: InboxRow, verdict: Verdict) -> None:
    """Settle a row in a transaction of its own."""
    async with store.begin() as transaction:
        await transaction.settle(taken, verdict)


async def bury(store: Store, *rows: InboxRow, hold: bool = False) -> None:
    """Rows that are dead."""
    for dead in rows:
        dead.state, dead.blocks, dead.attempts = "dead", hold, 3
    async with store.begin() as transaction:
        await transaction.claim([(r.reaction, r.id) for r in rows])
        await transaction.park(rows)


def ids(rows: list[InboxRow]) -> list[str]:
    """The events of these rows."""
    return [r.id for r in rows]
