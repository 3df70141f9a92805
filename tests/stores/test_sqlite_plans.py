"""Query plans: whatever grows is never looked at as a whole."""

from __future__ import annotations

from farandole.stores.base import DeadFilter
from farandole.stores.sqlite import inbox, outbox, sagas, tasks

SMALL = {"json_each", "wanted", "r", "reactions", "CONSTANT", "farandole_outbox_leases", "value", "min", "(subquery-2)"}
FIRST_ROWS = {"oldest", "page", "edits", "listed"}  # in the order of the table, with a LIMIT, but for what people read
FOR_PEOPLE = {"status"}  # counts, over indexes


def scanned(connection, sql):
    """What a statement reads from end to end."""
    count = sql.count("?")
    plan = [detail for *_, detail in connection.execute(f"EXPLAIN QUERY PLAN {sql}", [None] * count)]
    return plan, [line for line in plan if line.startswith("SCAN") and not SMALL & set(line.split())]


async def test_no_statement_reads_a_table_from_end_to_end(opened):
    async with opened() as store:
        connection = store.access.database.cursor
        statements = [*inbox.SQL.all.values(), *outbox.SQL.all.values(), *sagas.SQL.all.values(), *tasks.SQL.all.values()]
        assert len(statements) > 30
        for statement in statements:
            plan, scans = scanned(connection, statement.sql)
            if statement.name in FIRST_ROWS:
                assert not any("B-TREE" in line for line in plan), (statement.name, plan)
            elif statement.name in FOR_PEOPLE:
                assert all(
                    "INDEX" in line or line.startswith("SCAN (subquery") or "farandole_outbox" in line for line in scans
                ), plan
            else:
                assert all("INDEX farandole_inbox_blocks" in line for line in scans), (statement.name, plan)


async def test_the_hot_statements_use_their_indexes(opened):
    async with opened() as store:
        connection = store.access.database.cursor
        expected = {
            "any_blocked": "farandole_inbox_blocks", "blocked": "farandole_inbox_blocks (reaction=?)",
            "blocked_key": "farandole_inbox_blocks (reaction=? AND key=?)", "due": "farandole_inbox_due (reaction=? AND due",
            "promote": "farandole_inbox_blocks (reaction=? AND key=?)", "take_next": "farandole_inbox_blocks (reaction=? AND key=?)", "next_due": "farandole_inbox_due (reaction=?",
            "dead": "farandole_inbox_open (state=?)", "receipt": "(reaction=? AND id=?)", "close": "INTEGER PRIMARY KEY (rowid=?)",
            "page": "INTEGER PRIMARY KEY (rowid>?)", "fates": "(reaction=? AND id=?)", "waiting": "farandole_inbox_open (state=? AND reaction=?)",
        }  # fmt: skip
        for name, index in expected.items():
            plan, _ = scanned(connection, getattr(inbox.SQL, name).sql)
            assert any(index in line for line in plan), (name, plan)
        for name in ("due", "promote", "take_next", "page", "oldest", "oldest_of"):
            plan, _ = scanned(connection, (inbox.SQL.all | outbox.SQL.all)[name].sql)
            assert not any("B-TREE" in line for line in plan), (name, plan)


FILL = """
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)
INSERT INTO farandole_inbox (reaction, id, state, handled_at) SELECT 'r', 'id' || i, 'done', ? FROM n
"""


async def test_a_purge_of_a_big_table_looks_at_one_page_only(opened, world):
    """Counted in steps of SQLite's machine, which do not depend on the clock."""
    async with opened("?synchronous=off", world=world) as store:
        database = store.access.database
        database.cursor.execute(FILL, (world.time() * 1000,))
        steps = 0

        def step():
            nonlocal steps
            steps += 1000

        for connection in (database.writer, database.reader):
            connection.set_progress_handler(step, 1000)
        assert await store.purge(60.0, 1000) == 0
        await store.dead(DeadFilter())
        await store.fates(["id7"])
        assert await store.take(["r"], 100, 30.0) == []
        async with store.begin() as transaction:
            assert not await transaction.claim([("r", "id7")])
            assert await transaction.blocked(["r"]) == {}
        assert steps < 50_000
        await world.sleep(61)
        assert await store.purge(60.0, 1000) == 1000
        assert steps < 150_000
