"""No statement of the framework reads a whole table, however many handled events the inbox remembers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from farandole.model.envelope import Message
from farandole.stores import open_store
from farandole.stores.postgres import inbox, outbox, sagas, tasks
from farandole.stores.statements import Statement
from farandole.testing.virtual import VirtualWorld

NOW, R, TEXTS, NUMBERS = None, "shop.react", ["a", "b"], [1, 2]
WAITING = (NOW, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, [b"", b""], NUMBERS, NUMBERS, [True, True], TEXTS, TEXTS, TEXTS)
VALUES = {
    "look": (), "claim": (NOW, TEXTS, TEXTS), "blocked": (TEXTS,), "queues": (TEXTS, TEXTS), "known": (TEXTS, TEXTS), "park": WAITING,
    "ingest": WAITING, "close": (NOW, 1, "done", 1, "", "", "", R, "1", "t"),
    "reopen": (NOW, 1, "parked", 1, "", "", "", R, "1", "t", 1, True), "promote": (NOW, R, "k"), "due": (NOW, TEXTS, 10),
    "next_due": (NOW, TEXTS), "take": (NOW, "t", 1000, TEXTS, TEXTS), "take_next": (NOW, "t", 1000, TEXTS, TEXTS), "claimers": (), "abandon": (NOW, "t"),
    "extend": (NOW, 1000, TEXTS, TEXTS, TEXTS), "give_back": (NOW, TEXTS, TEXTS, TEXTS), "waiting": (NOW, TEXTS, 100),
    "keep_receipt": (b"", R, "1"), "receipt": (R, "1"), "purge": (NOW, 1000, 100, 0), "retry": (NOW, R, "1", False),
    "discard": (NOW, 1, "", R, "1"), "bury": (NOW, "1", "k", "t", b"", ""), "unbury": ("1",), "fates": (TEXTS,),
    "dead": (None, None, None, None, None, None, None, None, False, 100), "edit": (NOW, b"", R, "1", b"", "ada", ""),
    "edits_of": ("1",), "forget_edits": (NOW, 1000, 100),
}  # fmt: skip
OUTBOX = {
    "emit": (NOW, [1, 2], TEXTS, TEXTS, TEXTS, TEXTS, [b"", b""]), "oldest": (100,), "oldest_of": (100, [1, 2]),
    "published": (NUMBERS,), "withdraw": (1,),
}  # fmt: skip
SAGAS = {
    "instance": (NOW, R, "k"), "keep": (NOW, "open", None, None, "{}", 1, b"{}", 1, R, "k", False), "add": (R, "k", "1", b""), "parts": (R, "k"),
    "forget": (R, "k"), "state": (R, "1"), "drop": (NOW, "", R, "1"), "wake": (NOW, R, "1"), "over": (NOW, 1000, 100),
    "standing": (TEXTS, TEXTS), "hasten": (NOW, "1", TEXTS),
}  # fmt: skip
TASKS = {
    "open": (NOW, R, "1", "k", "c", "dead", "", ""), "close": (NOW, "ada", "", R, "1"), "finish": (NOW, "ada", "", 1),
    "forget": (NOW, 1000, 100),
}  # fmt: skip
AT_A_TIME = {
    name: rf"Index Cond: .*{column} <"
    for name, column in (
        ("purge", "handled_at"),
        ("due", "due"),
        ("forget_edits", "at"),
        ("over", "since"),
        ("forget", "done_at"),
    )
}
SMALL = {"lock", "edits"}, {"only_me", "expire", "relays", "lease", "release", "status"}, {"listed"}


def test_every_statement_is_looked_at():
    assert set(inbox.SQL.all) == set(VALUES) | SMALL[0]
    assert set(outbox.SQL.all) == set(OUTBOX) | SMALL[1]
    assert set(sagas.SQL.all) == set(SAGAS)
    assert set(tasks.SQL.all) == set(TASKS) | SMALL[2]


async def test_statements_go_by_index_among_a_hundred_thousand_marks(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    async with store.database.connection() as connection:
        await fill(connection)
        for (table,) in await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()"):
            await connection.execute(f'ANALYZE "{table}"')  # our own: those of other tests may be locked
        await look_at(connection, inbox.SQL.all, VALUES)
        await look_at(connection, outbox.SQL.all, OUTBOX)
        await look_at(connection, sagas.SQL.all, SAGAS, {"over": AT_A_TIME["over"]})
        await look_at(connection, tasks.SQL.all, TASKS)
    await store.close()


async def test_what_runs_for_every_batch_goes_by_index_before_the_server_has_looked_at_the_tables(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    async with store.database.connection() as connection:
        await fill(connection)
        await look_at(connection, inbox.SQL.all, {name: VALUES[name] for name in ("look", "claim", "due", "next_due")}, {})
        await look_at(connection, outbox.SQL.all, OUTBOX)
    await store.close()


async def fill(connection: Any) -> None:
    await connection.execute(
        "INSERT INTO farandole_inbox (reaction, id, state, handled_at) "
        "SELECT 'shop.r' || n % 5, gen_random_uuid()::text, 'done', n FROM generate_series(1, 100000) AS n"
    )
    await connection.execute(
        "INSERT INTO farandole_outbox (bucket, aggregatetype, aggregateid, id, type, payload, created_at) "
        "SELECT n % 64, 't', 'k', n::text, 'T', '', n FROM generate_series(1, 20000) AS n"
    )
    await connection.execute(
        "INSERT INTO farandole_edits (reaction, id, at, who, why, body) "
        "SELECT 'shop.r1', n::text, n, 'ada', '', '' FROM generate_series(1, 5000) AS n"
    )
    await connection.execute(
        "INSERT INTO farandole_instances (reaction, key, state, have, since) "
        "SELECT 'shop.r1', n::text, CASE WHEN n % 9 = 0 THEN 'over' ELSE 'open' END, '{}', n FROM generate_series(1, 20000) AS n"
    )
    await connection.execute(
        "INSERT INTO farandole_tasks (opened_at, reaction, event, key, correlation, kind, text, reason, done_at) "
        "SELECT n, 'shop.r1', n::text, '', '', 'dead', '', '', CASE WHEN n % 9 = 0 THEN NULL ELSE n END FROM generate_series(1, 9000) AS n"
    )
    await connection.execute(
        "INSERT INTO farandole_parts (reaction, key, id, body) SELECT 'shop.r1', n::text, n::text, '' FROM generate_series(1, 20000) AS n"
    )


async def look_at(
    connection: Any,
    statements: Mapping[str, Statement],
    values: Mapping[str, Sequence[Any]],
    at_a_time: Mapping[str, str] = AT_A_TIME,
) -> None:
    for name, given in values.items():
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statements[name].sql}", *given))
        assert not re.search(r"Seq Scan on farandole", plan), f"{name}:\n{plan}"
        assert re.search(at_a_time.get(name, ""), plan), f"{name} compares times row by row:\n{plan}"


async def test_deleting_what_was_published_is_one_round_trip_that_waits_for_no_disk(schema):
    world = Points()
    store = open_store(schema, world)
    await store.open()
    async with store.begin() as transaction:
        await transaction.emit([Message("shop.orders", "k", "id", "T", b"{}"), Message("shop.orders", "k", "other", "T", b"{}")])
    first, second = await store.outbox(range(64), 10)
    world.seen.clear()
    await store.published([first.seq])
    assert world.seen == ["store.published:before", "store.published:after"]
    assert [row.seq for row in await store.outbox(range(64), 10)] == [second.seq]
    async with store.database.connection() as connection:
        for statement, value, level in ((outbox.SQL.withdraw, second.seq, "on"), (outbox.SQL.published, [second.seq], "off")):
            part = connection.transaction()
            await part.start()
            await connection.fetch(statement.sql, value)
            assert await connection.fetchval("SHOW synchronous_commit") == level
            await part.rollback()
        assert await connection.fetchval("SHOW synchronous_commit") == "on"
    await store.close()


class Points(VirtualWorld):
    """Keeps the crash points that were passed."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def point(self, name: str) -> None:
        self.seen.append(name)
        super().point(name)
