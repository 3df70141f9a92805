"""Instances of joins and deadlines: where each stands, and the events that it has so far."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import msgspec

from farandole.stores.base import Instance
from farandole.stores.rows import HAS_PARTS
from farandole.stores.sqlite.database import Access
from farandole.stores.sqlite.inbox import array, millis
from farandole.stores.statements import Statements

__all__ = ["add_part", "drop", "forget", "hasten", "instance", "keep", "parts", "standing", "state_of", "wake"]

SQL = Statements(Path(__file__).with_name("sagas.sql"))


def instance(access: Access, reaction: str, key: str) -> Instance:
    """This instance; one that is not there is made."""
    access.run(SQL.make, (reaction, key, millis(access.world.time())))
    return _instance(reaction, key, access.run(SQL.look, (reaction, key)).fetchone())


def standing(access: Access, instances: Collection[tuple[str, str]]) -> list[Instance]:
    """Those of these that are there."""
    found = [(place, access.run(SQL.look, place).fetchone()) for place in instances]
    return [_instance(*place, values) for place, values in found if values is not None]


def _instance(reaction: str, key: str, values: Sequence[Any]) -> Instance:
    state, timer, runner, have, expected, since, data, revision, number = values
    return Instance(
        reaction=reaction, key=key, state=state, timer=timer, runner=runner, have=msgspec.json.decode(have),
        expected=expected, since=since / 1000, data=data, revision=revision, number=number,
    )  # fmt: skip


def keep(access: Access, kept: Instance, *, happened: bool) -> None:
    """Write what changed in an instance."""
    access.run(SQL.keep, (
        kept.state, kept.timer, kept.runner, msgspec.json.encode(kept.have).decode(), kept.expected,
        millis(access.world.time()), kept.data, kept.revision, kept.reaction, kept.key,
    ))  # fmt: skip
    if kept.state not in HAS_PARTS and kept.have:
        access.run(SQL.forget, (kept.reaction, kept.key))
    if happened:
        access.run(SQL.number, (kept.reaction, kept.key))


def add_part(access: Access, of: Instance, id: str, body: bytes) -> bool:
    """Keep an event as a part."""
    return access.run(SQL.add, (of.reaction, of.key, id, body)).rowcount > 0


def parts(access: Access, of: Instance) -> list[bytes]:
    """The parts, in the order of arrival."""
    return [body for (body,) in access.run(SQL.parts, (of.reaction, of.key)).fetchall()]


def state_of(access: Access, reaction: str, id: str) -> str | None:
    """The state of an inbox row; None: there is none."""
    found = access.run(SQL.state, (reaction, id)).fetchone()
    return None if found is None else str(found[0])


def drop(access: Access, reaction: str, id: str, reason: str) -> None:
    """A waiting row becomes a skipped one."""
    access.run(SQL.drop, (millis(access.world.time()), reason, reaction, id))


def wake(access: Access, reaction: str, id: str) -> None:
    """A row that waits, and not for one ahead of it, may run."""
    access.run(SQL.wake, (millis(access.world.time()), reaction, id))


def hasten(access: Access, reactions: Collection[str], id: str) -> None:
    """Rows of an event that were put off are due now."""
    access.run(SQL.hasten, (millis(access.world.time()), id, array(list(reactions))))


def forget(access: Access, before: float, limit: int) -> None:
    """Delete some tombstones that are older than this moment, with the parts of those that expired."""
    gone = access.run(SQL.over, (millis(before), limit)).fetchall()
    access.run_many(SQL.forget, gone)
