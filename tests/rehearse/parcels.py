"""A process to rehearse: its handlers and undos reach outside, several at once for one instance; orders with an odd number fail."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Choreography, Command, Context, Event, Later, Policy, Retry, Service, Workflow
from farandole.rehearse import Rehearsal, Stage, View

__all__ = ["parcels", "rehearsal"]

TABLES = """
CREATE TABLE IF NOT EXISTS lines (parcel INTEGER, line INTEGER, ons INTEGER, offs INTEGER, PRIMARY KEY (parcel, line));
CREATE TABLE IF NOT EXISTS ends (parcel INTEGER PRIMARY KEY, what TEXT, lines TEXT);
CREATE TABLE IF NOT EXISTS reminders (parcel INTEGER PRIMARY KEY);
"""
PATIENT = Policy(retry=Retry(attempts=50, delay=0.05, factor=1.5, longest=5.0))


class Begin(Command):
    parcel: int
    lines: int


class Begun(Event, key="parcel"):
    parcel: int
    lines: int


class PutOn(Command, key="parcel"):
    parcel: int
    line: int


class PutOnDone(Event, key="parcel"):
    parcel: int
    line: int


class TakeOff(Command, key="parcel"):
    parcel: int
    line: int


class TakenOff(Event, key="parcel"):
    parcel: int
    line: int


class Seal(Command, key="parcel"):
    parcel: int


class Sealed(Event, key="parcel"):
    parcel: int


class SealBroken(Event, key="parcel"):
    parcel: int


class Sent(Event, key="parcel"):
    parcel: int


class NotSent(Event, key="parcel"):
    parcel: int


class ReminderDue(Event, key="parcel"):
    parcel: int


class Parcel(msgspec.Struct):
    wanted: int = 0
    on: list[int] = []
    off: list[int] = []


def parcels(*, outside: bool = True) -> Rehearsal:
    """The process, with handlers that run outside of the transaction, or inside."""
    front, packing = Service("front", policy=PATIENT), Service("packing", policy=PATIENT, tables=TABLES)
    process = packing.process("parcel", by="parcel", state=Parcel)
    reach = Policy(outside=outside, concurrency=4)

    @front.command
    async def ask(command: Begin) -> Begun:
        return Begun(parcel=command.parcel, lines=command.lines)

    @process.starts(Begun)
    async def begin(event: Begun, state: Parcel) -> tuple[list[PutOn], Later[ReminderDue]]:
        state.wanted = event.lines
        lines = [PutOn(parcel=event.parcel, line=line) for line in range(event.lines)]
        return lines, Later(ReminderDue(parcel=event.parcel), after=timedelta(seconds=3))

    @process.on(PutOnDone, policy=reach)
    async def is_on(event: PutOnDone, state: Parcel, context: Context) -> Seal | None:
        state.on.append(event.line)
        if outside:
            await context.sleep(0.01)
        return Seal(parcel=event.parcel) if len(state.on) == state.wanted else None

    @process.undo(PutOnDone, until=TakenOff, policy=reach)
    async def take_off(event: PutOnDone, state: Parcel) -> TakeOff:
        state.off.append(event.line)
        return TakeOff(parcel=event.parcel, line=event.line)

    @process.completes(Sealed)
    async def sent(event: Sealed, state: Parcel, db: AsyncConnection) -> Sent:
        await _end(db, event.parcel, "sent", state.on)
        return Sent(parcel=event.parcel)

    @process.fails(SealBroken)
    async def not_sent(event: SealBroken, state: Parcel, db: AsyncConnection) -> NotSent:
        await _end(db, event.parcel, "not sent", state.off)
        return NotSent(parcel=event.parcel)

    @packing.command
    async def put_on(command: PutOn, db: AsyncConnection) -> PutOnDone:
        values = {"parcel": command.parcel, "line": command.line}
        await db.execute(text("INSERT INTO lines VALUES (:parcel, :line, 1, 0)"), values)
        return PutOnDone(parcel=command.parcel, line=command.line)

    @packing.command
    async def do_take_off(command: TakeOff, db: AsyncConnection) -> TakenOff:
        values = {"parcel": command.parcel, "line": command.line}
        await db.execute(text("UPDATE lines SET offs = offs + 1 WHERE parcel = :parcel AND line = :line"), values)
        return TakenOff(parcel=command.parcel, line=command.line)

    @packing.command
    async def seal(command: Seal) -> Sealed | SealBroken:
        return SealBroken(parcel=command.parcel) if command.parcel % 2 else Sealed(parcel=command.parcel)

    @packing.on(ReminderDue)
    async def remind(event: ReminderDue, db: AsyncConnection) -> None:
        await db.execute(text("INSERT INTO reminders VALUES (:parcel)"), {"parcel": event.parcel})

    shipping = Workflow("shipping", starts=Begun, succeeds=Sent, fails=NotSent)
    choreography = Choreography("parcels", front, packing, workflows=[shipping])
    rehearsal = Rehearsal(choreography)

    @rehearsal.scenario
    async def ask_for_some(stage: Stage) -> None:
        stage.notes["parcels"] = stage.some(range(4))
        for parcel in stage.notes["parcels"]:
            await stage.send(Begin(parcel=parcel, lines=3), idempotency_key=f"parcel {parcel}")

    @choreography.invariant
    async def every_parcel_ends_with_all_its_lines(world: View) -> list[str]:
        ends = {parcel: (what, lines) for parcel, what, lines in world.rows("packing", "SELECT parcel, what, lines FROM ends")}
        return [
            f"parcel {parcel} ended as {ends.get(parcel)}"
            for parcel in world.notes["parcels"]
            if ends.get(parcel) != (("not sent" if parcel % 2 else "sent"), "0 1 2")
        ]

    @choreography.invariant
    async def a_line_is_taken_off_once_where_its_parcel_fails(world: View) -> list[str]:
        rows = world.rows("packing", "SELECT parcel, line, ons, offs FROM lines")
        return [f"parcel {p}, line {line}: on {ons}, off {offs}" for p, line, ons, offs in rows if (ons, offs) != (1, p % 2)]

    @choreography.invariant
    async def everybody_is_reminded_once(world: View) -> bool:
        reminded = [parcel for (parcel,) in world.rows("packing", "SELECT parcel FROM reminders ORDER BY parcel")]
        return reminded == list(world.notes["parcels"])

    return rehearsal


async def _end(db: AsyncConnection, parcel: int, what: str, lines: list[int]) -> None:
    values = {"parcel": parcel, "what": what, "lines": " ".join(map(str, sorted(lines)))}
    await db.execute(text("INSERT INTO ends VALUES (:parcel, :what, :lines)"), values)


rehearsal = parcels()
local = parcels(outside=False)
