"""Instances of joins and deadlines: where each stands, and the events that it has so far."""

from __future__ import annotations

from pathlib import Path

import msgspec

from farandole.stores.base import Instance
from farandole.stores.rows import HAS_PARTS
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import millis
from farandole.stores.statements import Statements

__all__ = ["add_part", "drop", "forget", "instance", "keep", "parts"]

SQL = Statements(Path(__file__).with_name("sagas.sql"))


def instance(access: Access, reaction: str, key: str) -> Instance:
    """This instance; one that is not there is made."""
    access.run(SQL.make, (reaction, key, millis(access.world.time())))
    state, timer, runner, have, expected, since = access.run(SQL.look, (reaction, key)).fetchone()
    return Instance(
        reaction=reaction, key=key, state=state, timer=timer, runner=runner, have=msgspec.json.decode(have),
        expected=expected, since=since / 1000,
    )  # fmt: skip


def keep(access: Access, kept: Instance) -> None:
    """Write what changed in an instance."""
    access.run(SQL.keep, (
        kept.state, kept.timer, kept.runner, msgspec.json.encode(kept.have).decode(), kept.expected,
        millis(access.world.time()), kept.reaction, kept.key,
    ))  # fmt: skip
    if kept.state not in HAS_PARTS and kept.have:
        access.run(SQL.forget, (kept.reaction, kept.key))


def add_part(access: Access, of: Instance, id: str, body: bytes) -> bool:
    """Keep an event as a part."""
    return access.run(SQL.add, (of.reaction, of.key, id, body)).rowcount > 0


def parts(access: Access, of: Instance) -> list[bytes]:
    """The parts, in the order of arrival."""
    return [body for (body,) in access.run(SQL.parts, (of.reaction, of.key)).fetchall()]


def drop(access: Access, reaction: str, id: str, reason: str) -> None:
    """A waiting row becomes a skipped one."""
    access.run(SQL.drop, (millis(access.world.time()), reason, reaction, id))


def forget(access: Access, before: float, limit: int) -> None:
    """Delete some tombstones that are older than this moment, with the parts of those that expired."""
    gone = access.run(SQL.over, (millis(before), limit)).fetchall()
    access.run_many(SQL.forget, gone)
