"""Processes: turns at one state, their ends, undoing in reverse, timeouts, upgrades; local and outside handlers, on both stores."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.sagas.kit import MINUTE, Base, Desk, Paid, Picked, Placed, Refused, Reserved, desk

from farandole import Command, Context, Event, Policy, Process, Retry, Service
from farandole.brokers.memory import connect
from farandole.testing.virtual import VirtualWorld

SOON = Policy(retry=Retry(attempts=3, delay=10, factor=1, jitter=0))
BOTH = pytest.mark.parametrize("outside", [False, True], ids=["local", "outside"])


class Boxed(Base):
    pass


class PutBack(Base):
    pass


class State(msgspec.Struct):
    seen: list[str] = []
    lines: int = 0


class Pick(Command):
    order: str


class Box(Command):
    order: str


class Unpack(Command):
    order: str


class PutAway(Command):
    order: str


class Done(Event, key="order"):
    order: str
    seen: list[str]


class Failed(Event, key="order"):
    order: str
    seen: list[str]


class TooSlow(Event, key="order"):
    order: str


class Ground:
    """What the command handlers did, in order, and what goes wrong."""

    def __init__(self) -> None:
        self.did: list[str] = []
        self.fails: dict[str, int] = {}
        self.pause = 0.0

    def act(self, what: str) -> None:
        if self.fails.get(what, 0):
            self.fails[what] -= 1
            raise ValueError("away")
        self.did.append(what)


def fulfilment(ground: Ground, *, outside: bool = False, until: bool = True) -> Service:
    """Placed, Reserved and Boxed are steps; Paid completes, Refused fails."""
    service = Service("orders", policy=SOON)
    process = service.process("fulfilment", by="order", state=State)
    policy = Policy(outside=outside)

    @process.starts(Placed, policy=policy)
    async def begin(event: Placed, state: State) -> Pick:
        state.seen.append("placed")
        return Pick(order=event.order)

    @process.on(Reserved, policy=policy)
    async def box(event: Reserved, state: State, context: Context) -> Box:
        if ground.pause:
            await context.sleep(ground.pause)
        ground.act("box")
        state.seen.append("reserved")
        return Box(order=event.order)

    @process.on(Boxed, policy=policy)
    async def boxed(event: Boxed, state: State) -> None:
        state.seen.append("boxed")

    @process.on(Picked, policy=policy)
    async def add(event: Picked, state: State, context: Context) -> None:
        if ground.pause:
            await context.sleep(ground.pause)
        state.lines += 1

    @process.undo(Reserved, until=PutBack if until else None, policy=policy)
    async def put_back(event: Reserved, state: State) -> PutAway:
        ground.act("put_back")
        state.seen.append("put back")
        return PutAway(order=event.order)

    @process.undo(Boxed, policy=policy)
    async def unpack(event: Boxed, state: State) -> Unpack:
        ground.act("unpack")
        state.seen.append("unpacked")
        return Unpack(order=event.order)

    @process.fails(Refused, policy=policy)
    async def give_up(event: Refused, state: State) -> Failed:
        return Failed(order=event.order, seen=state.seen)

    @process.completes(Paid, policy=policy)
    async def done(event: Paid, state: State) -> Done:
        return Done(order=event.order, seen=[*state.seen, f"{state.lines} lines"])

    @service.command
    async def pick(command: Pick) -> None:
        ground.did.append(f"Pick {command.order}")

    @service.command
    async def do_box(command: Box) -> None:
        ground.did.append(f"Box {command.order}")

    @service.command
    async def do_unpack(command: Unpack) -> None:
        ground.did.append(f"Unpack {command.order}")

    @service.command
    async def put_away(command: PutAway) -> None:
        ground.did.append(f"PutAway {command.order}")

    return service


async def said(it: Desk) -> list[tuple[str, list[str]]]:
    return [(envelope.type.split(".")[1], msgspec.json.decode(bytes(envelope.data))["seen"]) for envelope in await it.heard()]


@BOTH
async def test_an_instance_goes_from_its_start_to_its_end_with_one_state(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    ground = Ground()
    async with desk(fulfilment(ground, outside=outside), world, database) as it:
        for order in "ab":
            await it.say(Placed(order=order), copies=2)
        await it.app.idle()
        await it.say(Reserved(order="a"), Picked(order="a", lines=1, number=1))
        await it.app.idle()
        await it.say(Paid(order="a"), copies=2)
        await it.app.idle()
        assert await said(it) == [("Done", ["placed", "reserved", "1 lines"])]
        did = sorted(set(ground.did) if outside else ground.did)  # an outside step that met another of its instance runs again
        assert did == ["Box a", "Pick a", "Pick b", "box"]
        assert await it.dead() == []


@BOTH
async def test_what_comes_after_the_end_and_a_second_start_are_skipped_with_the_reason(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    async with desk(fulfilment(Ground(), outside=outside), world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [second] = await it.say(Placed(order="a"))
        await it.app.idle()
        assert await it.fates(second) == [("skipped", "a second start of a: orders.fulfilment runs already")]
        await it.say(Paid(order="a"))
        await it.app.idle()
        late, start = await it.say(Picked(order="a", lines=1, number=1), Placed(order="a"))
        await it.app.idle()
        for id in (late, start):
            [(state, reason)] = await it.fates(id)
            assert (state, (reason or "").startswith("too late: orders.fulfilment completed at ")) == ("skipped", True)


@BOTH
async def test_an_event_before_the_start_is_tried_again_and_a_dead_letter_if_it_never_comes(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    ground = Ground()
    async with desk(fulfilment(ground, outside=outside), world, database) as it:
        await it.say(Picked(order="a", lines=1, number=1), Picked(order="b", lines=1, number=1))
        await it.settle()
        await it.say(Placed(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert reason.startswith(
            "ProcessNotStarted: shop.Picked.v1 came for b, but orders.fulfilment has not begun there: Placed has not"
        )
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert await said(it) == [("Done", ["placed", "1 lines"])]


async def run_to_boxed(it: Desk, order: str = "a") -> None:
    for event in (Placed(order=order), Reserved(order=order), Boxed(order=order)):
        await it.say(event)
        await it.app.idle()


@BOTH
async def test_a_failure_undoes_the_steps_in_reverse_one_after_the_other_then_runs_its_handler(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    ground = Ground()
    async with desk(fulfilment(ground, outside=outside), world, database) as it:
        await run_to_boxed(it)
        await it.say(Refused(order="a"), copies=2)
        await it.app.idle()
        assert await said(it) == []  # it waits until the goods are back
        assert ground.did[-4:] == ["unpack", "Unpack a", "put_back", "PutAway a"] or ground.did[-4:] == [
            "unpack", "put_back", "Unpack a", "PutAway a",
        ]  # fmt: skip
        await it.say(PutBack(order="a"), copies=2)
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "reserved", "boxed", "unpacked", "put back"])]
        assert (ground.did.count("unpack"), ground.did.count("put_back")) == (1, 1)
        assert await it.dead() == []


@BOTH
async def test_a_failure_without_steps_runs_its_handler_at_once(world: VirtualWorld, database: str, outside: bool) -> None:
    async with desk(fulfilment(Ground(), outside=outside), world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed"])]


@BOTH
async def test_a_step_that_completes_while_undoing_or_after_the_failure_is_undone_as_well(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    ground = Ground()
    async with desk(fulfilment(ground, outside=outside), world, database) as it:
        for event in (Placed(order="a"), Reserved(order="a"), Refused(order="a")):
            await it.say(event)
            await it.app.idle()
        await it.say(Boxed(order="a"))
        await it.app.idle()
        assert await said(it) == []
        await it.say(PutBack(order="a"))
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "reserved", "put back", "unpacked"])]
        ground.did.clear()
        await it.say(Boxed(order="a"), copies=2)
        await it.app.idle()
        assert sorted(ground.did) == ["Unpack a", "unpack"]
        assert len(await said(it)) == 1
        assert await it.dead() == []


@BOTH
async def test_an_undo_is_retried_and_when_it_dies_a_retry_by_hand_goes_on(
    world: VirtualWorld, database: str, outside: bool
) -> None:
    ground = Ground()
    ground.fails = {"unpack": 4}
    async with desk(fulfilment(ground, outside=outside, until=False), world, database) as it:
        await run_to_boxed(it)
        await it.say(Refused(order="a"))
        await it.app.idle()
        assert await it.dead() == ["ValueError: away"]
        assert (await said(it), "put_back" in ground.did) == ([], False)
        status = await it.app.store("orders").status()
        assert (status.parked, status.dead) == (1, 1)  # the event that failed it waits
        await it.app.store("orders").retry_dead(await it.letters())
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "reserved", "boxed", "unpacked", "put back"])]
        assert (ground.did.count("unpack"), ground.did.count("put_back")) == (1, 1)


async def test_outside_handlers_of_one_instance_at_once_lose_nothing(world: VirtualWorld, database: str) -> None:
    ground = Ground()
    ground.pause = 3.0
    async with desk(fulfilment(ground, outside=True), world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        await it.say(Reserved(order="a"), Picked(order="a", lines=1, number=1), Picked(order="a", lines=1, number=2))
        await it.app.idle()
        assert ground.did.count("box") > 1  # it saw a state that was no more, and ran again
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert await said(it) == [("Done", ["placed", "reserved", "2 lines"])]
        assert ground.did.count("Box a") == 1
        assert await it.dead() == []


def timed(*, fails: bool = False, unless: Any = ()) -> Service:
    service = Service("orders", policy=SOON)
    process = service.process("fulfilment", by="order", state=State)

    @process.starts(Placed)
    async def begin(event: Placed, state: State) -> None:
        state.seen.append("placed")

    @process.on(Reserved)
    async def reserved(event: Reserved, state: State) -> None: ...

    @process.undo(Reserved)
    async def put_back(event: Reserved, state: State) -> None:
        state.seen.append("put back")

    @process.timeout(after=Placed, within=MINUTE, unless=unless, fails=fails)
    async def too_slow(event: Placed, state: State) -> Failed:
        state.seen.append("slow")
        return Failed(order=event.order, seen=state.seen)

    @process.fails(Refused)
    async def refused(event: Refused, state: State) -> Failed:
        return Failed(order=event.order, seen=[*state.seen, "refused"])

    @process.completes(Paid)
    async def done(event: Paid, state: State) -> Done:
        return Done(order=event.order, seen=state.seen)

    return service


async def test_a_timeout_runs_in_time_and_the_process_goes_on(world: VirtualWorld, database: str) -> None:
    async with desk(timed(), world, database) as it:
        start = world.time()
        await it.say(Placed(order="a"))
        await it.app.idle()
        assert 60 <= world.time() - start <= 70
        await it.say(Paid(order="a"))
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "slow"]), ("Done", ["placed", "slow"])]


@pytest.mark.parametrize("end", [Paid(order="a"), Refused(order="a")], ids=["completed", "failed"])
async def test_the_end_of_a_process_ends_its_timeouts(world: VirtualWorld, database: str, end: Any) -> None:
    async with desk(timed(), world, database) as it:
        [placed] = await it.say(Placed(order="a"))
        await it.settle()
        await it.say(end)
        before = world.monotonic()
        await it.app.idle()
        assert world.monotonic() - before < 10  # nothing is left that would fire
        await world.sleep(90)
        assert len(await said(it)) == 1
        assert [state for state, _ in await it.fates(placed)] == ["done", "skipped"]


async def test_a_timeout_ends_when_what_it_waits_for_comes(world: VirtualWorld, database: str) -> None:
    async with desk(timed(unless=Reserved), world, database) as it:
        await it.say(Placed(order="a"))
        await it.settle()
        await it.say(Reserved(order="a"))
        await it.app.idle()
        await world.sleep(90)
        assert await said(it) == []


async def test_a_timeout_may_fail_the_process(world: VirtualWorld, database: str) -> None:
    async with desk(timed(fails=True), world, database) as it:
        await it.say(Placed(order="a"), Reserved(order="a"))
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "put back", "slow"])]
        [late] = await it.say(Paid(order="a"))
        await it.app.idle()
        [(state, reason)] = await it.fates(late)
        assert (state, (reason or "")[:36]) == ("skipped", "too late: orders.fulfilment failed a")


class StateV1(msgspec.Struct):
    lines: str = "0"


def counting(state: Any, *, upgrade: bool = False) -> Service:
    service = Service("orders", policy=SOON)
    process: Process[Any] = service.process("fulfilment", by="order", state=state)
    if upgrade:

        @process.upgrade
        def v2(old: StateV1) -> State:
            return State(lines=int(old.lines), seen=["upgraded"])

    async def begin(event: Placed, state: Any) -> None:
        state.lines = type(state.lines)(1)

    async def done(event: Paid, state: Any) -> Done:
        return Done(order=event.order, seen=[*state.seen, str(state.lines)])

    begin.__annotations__["state"] = done.__annotations__["state"] = state
    process.starts(Placed)(begin)
    process.completes(Paid)(done)
    return service


async def test_a_state_of_an_older_deployment_is_a_dead_letter_until_an_upgrade_reads_it(
    world: VirtualWorld, tmp_path: Path
) -> None:
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    async with desk(counting(StateV1), world, database, broker) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
    async with desk(counting(State), world, database, broker) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert (
            "the state of a cannot be read any more: Expected `int`, got `str` - at `$.lines`. Keep the former class and"
            in reason
        )
    async with desk(counting(State, upgrade=True), world, database, broker) as it:
        await it.app.store("orders").retry_dead(await it.letters())
        await it.app.idle()
        assert await said(it) == [("Done", ["upgraded", "1"])]
    await broker.close()


async def test_a_state_of_a_newer_deployment_is_a_dead_letter_that_says_so(world: VirtualWorld, tmp_path: Path) -> None:
    broker = connect("memory://?partitions=4", world)
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    async with desk(counting(State, upgrade=True), world, database, broker) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
    async with desk(counting(StateV1), world, database, broker) as it:
        await it.say(Paid(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert "was written by a newer deployment, with 1 upgrades; this one has 0" in reason
    await broker.close()


async def test_values_that_do_not_fit_the_state_undo_the_handler(world: VirtualWorld, database: str) -> None:
    service = Service("orders", policy=SOON)
    process = service.process("fulfilment", by="order", state=State)

    @process.starts(Placed)
    async def begin(event: Placed, state: State) -> Done:
        state.lines = "one"  # type: ignore[assignment]
        return Done(order=event.order, seen=[])

    @process.completes(Paid)
    async def done(event: Paid, state: State) -> None: ...

    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        [reason] = await it.dead()
        assert (
            "a handler left values in its State that do not match its types: Expected `int`, got `str` - at `$.lines`" in reason
        )
        assert await it.heard() == []


async def test_a_process_survives_a_restart_in_the_middle_of_its_undoing(world: VirtualWorld, tmp_path: Path) -> None:
    broker, ground = connect("memory://?partitions=4", world), Ground()
    await broker.open()
    database = f"sqlite:///{tmp_path}/orders.db"
    async with desk(fulfilment(ground), world, database, broker) as it:
        await run_to_boxed(it)
        await it.say(Refused(order="a"))
        await it.app.idle()
    async with desk(fulfilment(ground), world, database, broker) as it:
        await it.say(PutBack(order="a"))
        await it.app.idle()
        assert await said(it) == [("Failed", ["placed", "reserved", "boxed", "unpacked", "put back"])]
    await broker.close()


async def test_an_exhausted_handler_of_a_process_has_the_state_too(world: VirtualWorld, database: str) -> None:
    service = Service("orders", policy=SOON)
    process = service.process("fulfilment", by="order", state=State)

    @process.starts(Placed)
    async def begin(event: Placed, state: State) -> None:
        raise ValueError("away")

    @begin.exhausted
    async def not_begun(event: Placed, state: State, error: Exception) -> Failed:
        state.seen.append(f"given up: {error}")
        return Failed(order=event.order, seen=state.seen)

    @process.completes(Paid)
    async def done(event: Paid, state: State) -> Done:
        return Done(order=event.order, seen=state.seen)

    async with desk(service, world, database) as it:
        await it.say(Placed(order="a"))
        await it.app.idle()
        await it.say(Paid(order="a"))
        await it.app.idle()
        seen = ["given up: ValueError: away"]
        assert await said(it) == [("Failed", seen), ("Done", seen)]


async def test_many_instances_at_once_keep_apart(world: VirtualWorld, database: str) -> None:
    ground = Ground()
    async with desk(fulfilment(ground), world, database) as it:
        orders = [f"o{n}" for n in range(60)]
        await it.say(*(Placed(order=order) for order in orders))
        await it.say(*(Picked(order=order, lines=1, number=n) for n in range(3) for order in orders))
        await it.say(*(Paid(order=order) for order in orders))
        await it.app.idle()
        assert [seen for _, seen in await said(it)] == [["placed", "3 lines"]] * 60
        await asyncio.sleep(0)


def test_the_time_of_a_timeout_is_a_time() -> None:
    service = Service("orders")
    process = service.process("fulfilment", by="order", state=State)
    with pytest.raises(Exception, match=r"orders\.fulfilment\.timeout\(\.\.\.\): expected within to be a timedelta"):
        process.timeout(after=Placed, within=timedelta(0))
