"""Instances of joins and deadlines in PostgreSQL: where each stands, and the events that it has so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from farandole.stores.base import Instance
from farandole.stores.postgres import inbox
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import clean, escape, unescape
from farandole.stores.rows import HAS_PARTS
from farandole.stores.statements import Statements

__all__ = ["add_part", "drop", "instance", "keep", "parts"]

SQL = Statements(Path(__file__).with_name("sagas.sql"), inbox.NOW)


async def instance(database: Database, connection: Any, reaction: str, key: str) -> Instance:
    """This instance, locked; one that is not there is made."""
    ((state, timer, runner, have, expected, since),) = await database.run(
        connection, SQL.instance, database.now, escape(reaction), escape(key)
    )
    return Instance(
        reaction=reaction,
        key=key,
        state=state,
        timer=None if timer is None else unescape(timer),
        runner=None if runner is None else unescape(runner),
        have=msgspec.json.decode(have),
        expected=expected,
        since=since / 1000,
    )


async def keep(database: Database, connection: Any, kept: Instance) -> None:
    """Write what changed in an instance."""
    timer, runner = (None if id is None else escape(id) for id in (kept.timer, kept.runner))
    have = msgspec.json.encode(kept.have).decode()
    place = (escape(kept.reaction), escape(kept.key))
    await database.run(connection, SQL.keep, database.now, kept.state, timer, runner, have, kept.expected, *place)
    if kept.state not in HAS_PARTS and kept.have:
        await database.run(connection, SQL.forget, *place)


async def add_part(database: Database, connection: Any, of: Instance, id: str, body: bytes) -> bool:
    """Keep an event as a part."""
    return bool(await database.run(connection, SQL.add, escape(of.reaction), escape(of.key), escape(id), body))


async def parts(database: Database, connection: Any, of: Instance) -> list[bytes]:
    """The parts, in the order of arrival."""
    return [body for (body,) in await database.run(connection, SQL.parts, escape(of.reaction), escape(of.key))]


async def drop(database: Database, connection: Any, reaction: str, id: str, reason: str) -> None:
    """A waiting row becomes a skipped one."""
    await database.run(connection, SQL.drop, database.now, clean(reason), escape(reaction), escape(id))
