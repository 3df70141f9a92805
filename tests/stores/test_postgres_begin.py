"""How a transaction begins on PostgreSQL: in one round trip, with a question that was prepared before."""

from __future__ import annotations

from farandole.stores import open_store
from farandole.stores.base import InboxRow
from farandole.testing.virtual import VirtualWorld


async def test_the_question_whether_any_key_waits_is_prepared_once_per_connection_and_asked_each_time(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    for _ in range(3):
        async with store.begin() as transaction:
            assert await transaction.blocked({"shop.react"}) == {}
    async with store.begin() as transaction:
        await transaction.claim([("shop.react", "1")])
        await transaction.park([InboxRow(reaction="shop.react", id="1", key="k", topic="t", body=b"{}")])
    async with store.begin() as transaction:
        assert await transaction.blocked({"shop.react"}) == {("shop.react", "k"): 1}
    assert await prepared(store) == ["farandole_look_1"]
    await store.close()


async def test_behind_a_pooler_nothing_is_prepared(schema):
    store = open_store(f"{schema}&statement_cache_size=0", VirtualWorld())
    await store.open()
    async with store.begin() as transaction:
        assert await transaction.blocked({"shop.react"}) == {}
    assert await prepared(store) == []
    await store.close()


async def test_a_transaction_whose_beginning_was_cancelled_does_not_spoil_its_connection(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    async with store.database.connection() as connection:
        connection._con.looked, connection._con.look = (
            3,
            None,
        )  # of three that were cancelled, nobody knows whether they prepared it
        await connection.execute("DEALLOCATE ALL; PREPARE farandole_look_3 AS SELECT 1")
    async with store.begin() as transaction:
        assert await transaction.blocked({"shop.react"}) == {}
    assert await prepared(store) == ["farandole_look_3", "farandole_look_4"]
    await store.close()


async def prepared(store):
    """The statements that were prepared by name on the store's only connection."""
    async with store.database.connection() as connection:
        names = await connection.fetch("SELECT name FROM pg_prepared_statements WHERE name LIKE 'farandole%' ORDER BY name")
    return [name for (name,) in names]
