"""No statement of the framework reads a whole table, however many handled events the inbox remembers."""

from __future__ import annotations

import re

from farandole.stores import open_store
from farandole.stores.postgres import inbox, outbox
from farandole.testing.virtual import VirtualWorld

NOW, R, TEXTS, NUMBERS = None, "shop.react", ["a", "b"], [1, 2]
WAITING = (NOW, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, [b"", b""], NUMBERS, NUMBERS, [True, True], TEXTS, TEXTS, TEXTS)
VALUES = {
    "claim": (NOW, TEXTS, TEXTS), "blocked": (TEXTS,), "queues": (TEXTS, TEXTS), "known": (TEXTS, TEXTS), "park": WAITING,
    "ingest": WAITING, "close": (NOW, 1, "done", 1, "", "", "", R, "1", "t"),
    "reopen": (NOW, 1, "parked", 1, "", "", "", R, "1", "t", 1, True), "promote": (NOW, R, "k"), "due": (NOW, TEXTS, 10),
    "next_due": (NOW, TEXTS), "take": (NOW, "t", 1000, TEXTS, TEXTS), "claimers": (), "abandon": (NOW, "t"),
    "extend": (NOW, 1000, TEXTS, TEXTS, TEXTS), "give_back": (NOW, TEXTS, TEXTS, TEXTS), "waiting": (NOW, TEXTS),
    "keep_receipt": (b"", R, "1"), "receipt": (R, "1"), "purge": (NOW, 1000, 100, 0), "retry": (NOW, R, "1", False),
    "discard": (NOW, 1, "", R, "1"), "bury": (NOW, "1", "k", "t", b"", ""), "unbury": ("1",), "fates": (TEXTS,),
    "dead": (None, None, None, None, None, None, None, None, False, 100), "edit": (NOW, b"", R, "1", b"", "ada", ""),
    "edits_of": ("1",), "forget_edits": (NOW, 1000, 100),
}  # fmt: skip
OUTBOX = {
    "emit": (NOW, [1, 2], TEXTS, TEXTS, TEXTS, TEXTS, [b"", b""]), "oldest": (100,), "oldest_of": (100, [1, 2]),
    "published": (NUMBERS,),
}  # fmt: skip
AT_A_TIME = {
    name: rf"Index Cond: .*{column} <" for name, column in (("purge", "handled_at"), ("due", "due"), ("forget_edits", "at"))
}
SMALL = {"lock", "edits"}, {"only_me", "expire", "relays", "lease", "release", "status"}


def test_every_statement_is_looked_at():
    assert set(inbox.SQL.all) == set(VALUES) | SMALL[0]
    assert set(outbox.SQL.all) == set(OUTBOX) | SMALL[1]


async def test_statements_go_by_index_among_a_hundred_thousand_marks(schema):
    store = open_store(schema, VirtualWorld())
    await store.open()
    async with store.database.connection() as connection:
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
        await connection.execute("ANALYZE")
        for statements, values in ((inbox.SQL.all, VALUES), (outbox.SQL.all, OUTBOX)):
            for name, given in values.items():
                plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {statements[name].sql}", *given))
                assert not re.search(r"Seq Scan on farandole", plan), f"{name}:\n{plan}"
                assert re.search(AT_A_TIME.get(name, ""), plan), f"{name} compares times row by row:\n{plan}"
    await store.close()
