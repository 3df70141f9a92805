"""Instances of joins and deadlines in PostgreSQL: where each stands, and the events that it has so far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from farandole.stores.base import Instance
from farandole.stores.postgres import inbox
from farandole.stores.postgres.database import Database
from farandole.stores.postgres.text import clean, escape, unescape
from farandole.stores.rows import HAS_PARTS
from farandole.stores.statements import Statements

__all__ = ["add_part", "drop", "hasten", "instance", "keep", "parts", "standing", "state_of", "wake"]

SQL = Statements(Path(__file__).with_name("sagas.sql"), inbox.NOW)


async def instance(database: Database, connection: Any, reaction: str, key: str) -> Instance:
    """This instance, locked; one that is not there is made."""
    (values,) = await database.run(connection, SQL.instance, database.now, escape(reaction), escape(key))
    return _instance(reaction, key, values)


async def standing(database: Database, connection: Any, instances: Collection[tuple[str, str]]) -> list[Instance]:
    """Those of these that are there."""
    reactions, keys = ([escape(place[part]) for place in instances] for part in (0, 1))
    found = await database.run(connection, SQL.standing, reactions, keys)
    return [_instance(unescape(reaction), unescape(key), values) for reaction, key, *values in found]


def _instance(reaction: str, key: str, values: Sequence[Any]) -> Instance:
    state, timer, runner, have, expected, since, data, revision, number = values
    return Instance(
        reaction=reaction,
        key=key,
        state=state,
        timer=None if timer is None else unescape(timer),
        runner=None if runner is None else unescape(runner),
        have=msgspec.json.decode(have),
        expected=expected,
        since=since / 1000,
        data=data,
        revision=revision,
        number=number,
    )


async def keep(database: Database, connection: Any, kept: Instance, *, happened: bool) -> None:
    """Write what changed in an instance."""
    timer, runner = (None if id is None else escape(id) for id in (kept.timer, kept.runner))
    have = msgspec.json.encode(kept.have).decode()
    place = (escape(kept.reaction), escape(kept.key))
    kept_now = (kept.state, timer, runner, have, kept.expected, kept.data, kept.revision)
    await database.run(connection, SQL.keep, database.now, *kept_now, *place, happened)
    if kept.state not in HAS_PARTS and kept.have:
        await database.run(connection, SQL.forget, *place)


async def hasten(database: Database, connection: Any, reactions: Collection[str], id: str) -> None:
    """Rows of an event that were put off are due now."""
    await database.run(connection, SQL.hasten, database.now, escape(id), [escape(reaction) for reaction in reactions])


async def add_part(database: Database, connection: Any, of: Instance, id: str, body: bytes) -> bool:
    """Keep an event as a part."""
    return bool(await database.run(connection, SQL.add, escape(of.reaction), escape(of.key), escape(id), body))


async def parts(database: Database, connection: Any, of: Instance) -> list[bytes]:
    """The parts, in the order of arrival."""
    return [body for (body,) in await database.run(connection, SQL.parts, escape(of.reaction), escape(of.key))]


async def state_of(database: Database, connection: Any, reaction: str, id: str) -> str | None:
    """The state of an inbox row; None: there is none."""
    found = await database.run(connection, SQL.state, escape(reaction), escape(id))
    return str(found[0][0]) if found else None


async def drop(database: Database, connection: Any, reaction: str, id: str, reason: str) -> None:
    """A waiting row becomes a skipped one."""
    await database.run(connection, SQL.drop, database.now, clean(reason), escape(reaction), escape(id))


async def wake(database: Database, connection: Any, reaction: str, id: str) -> None:
    """A row that waits, and not for one ahead of it, may run."""
    await database.run(connection, SQL.wake, database.now, escape(reaction), escape(id))
