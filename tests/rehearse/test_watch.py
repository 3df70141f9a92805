"""The watch: every way out of a rehearsal that it knows is told with the user's line and the remedy; what is allowed is let be."""

# ruff: noqa: PLW0108, DTZ003, DTZ011 - each call must stand on a line of this file, and is wrong on purpose

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import logging
import os
import random
import secrets
import socket
import subprocess
import sys
import threading
import time
import time as real
import uuid
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from random import randint
from time import sleep as pause
from time import time as clock
from types import ModuleType
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.runtime.kit import Place, Placed, opened, shop

from farandole.model.policy import Policy
from farandole.model.service import Service
from farandole.rehearse.cuts import OutsideWorld
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.modules import changes, snapshot
from farandole.rehearse.watch import Watch
from farandole.rehearse.world import RehearsalWorld
from farandole.runtime.context import Context
from farandole.world import World


def watched(use: Callable[[], Any], **options: Any) -> list[str]:
    """What the watch tells of one use, in a task of a run."""
    loop = RehearsalLoop()

    async def program() -> None:
        await asyncio.sleep(1.0)
        use()

    with Watch(loop, **options) as watch:
        loop.play(program())
    return [str(finding) for finding in watch.findings]


# --- clock and chance are told

USES: dict[str, Callable[[], object]] = {
    "time.time()": lambda: time.time(),
    "time.time() ": lambda: clock(),
    "time.time_ns()": lambda: time.time_ns(),
    "time.monotonic()": lambda: time.monotonic(),
    "time.perf_counter_ns()": lambda: time.perf_counter_ns(),
    "datetime.now()": lambda: dt.datetime.now(dt.UTC),
    "datetime.utcnow()": lambda: dt.datetime.utcnow(),
    "date.today()": lambda: dt.date.today(),
    "os.urandom()": lambda: os.urandom(4),
    "uuid.uuid1()": lambda: uuid.uuid1(),
    "uuid.uuid4()": lambda: uuid.uuid4(),
    "uuid.uuid4() ": lambda: uuid4(),
    "random.random()": lambda: random.random(),
    "random.randint()": lambda: randint(1, 6),
    "random.shuffle()": lambda: random.shuffle([1, 2, 3]),
    "random.Random() without a seed": lambda: random.Random(),
    "secrets.token_hex()": lambda: secrets.token_hex(),
    "secrets.randbelow()": lambda: secrets.randbelow(7),
}


@pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")  # from Python 3.12 on
@pytest.mark.parametrize("what", USES)
def test_each_use_of_clock_and_chance_is_told_with_its_line_and_the_remedy(what: str) -> None:
    use = USES[what]
    [told] = watched(use)
    line = use.__code__.co_firstlineno
    assert told.startswith(f"{__file__}:{line} uses {what.strip()}, which differs from run to run. Use ")


def test_the_remedy_is_the_one_for_what_was_used() -> None:
    assert "context.now()" in watched(USES["datetime.now()"])[0]
    assert "world.monotonic()" in watched(USES["time.monotonic()"])[0]
    assert "context.random()" in watched(USES["random.randint()"])[0]
    assert "context.idempotency_key" in watched(USES["uuid.uuid4()"])[0]


def test_a_place_is_told_once_and_each_place_by_itself() -> None:
    def use() -> None:
        for _ in range(5):
            time.time()
        time.time()

    assert len(watched(use)) == 2


def test_seeded_chance_given_times_logging_and_the_world_are_let_be() -> None:
    loop = RehearsalLoop()
    world = RehearsalWorld(loop, "node")

    async def program() -> None:
        mine = random.Random(7)
        mine.random(), mine.randint(1, 6), mine.choice([1, 2])
        uuid.uuid5(uuid.NAMESPACE_DNS, "example"), uuid.UUID(int=1)
        dt.datetime.fromtimestamp(0, dt.UTC), dt.date(2020, 1, 1)
        logging.getLogger("tests").warning("looks at the clock for itself")
        world.now(), world.random(), world.new_id(), world.token()
        await world.sleep(1.0)
        async with asyncio.timeout(5.0):
            await asyncio.sleep(1.0)

    with Watch(loop) as watch:
        loop.play(program())
    assert watch.findings == []


def test_the_real_world_that_a_fake_was_given_by_mistake_is_told() -> None:
    [told] = watched(lambda: World().time())
    assert told.startswith(f"{__file__}:")
    assert "uses time.time()" in told


def test_what_happens_beside_the_run_is_let_be() -> None:
    loop = RehearsalLoop()

    async def program() -> None:
        await asyncio.sleep(1.0)

    with Watch(loop) as watch:
        time.time()
        real.sleep(0.0)
        loop.play(program())
        uuid4()
        threading.Thread(target=print, args=("",), kwargs={"end": ""}).start()
    assert watch.findings == []


def test_without_looking_closely_clock_and_chance_are_not_looked_for() -> None:
    assert watched(lambda: time.time(), closely=False) == []


# --- what cannot be repeated is refused

REFUSALS: dict[str, Callable[[], object]] = {
    "a thread": lambda: threading.Thread(target=print).start(),
    "a thread ": lambda: ThreadPoolExecutor().submit(print),
    "a real pause, time.sleep()": lambda: real.sleep(0.0),
    "the network": lambda: socket.create_connection(("localhost", 1)),
    "the network ": lambda: socket.socket(),
    "another process": lambda: subprocess.run([sys.executable, "-V"], check=True),
    "another process ": lambda: os.system("true"),
}


@pytest.mark.parametrize("closely", [True, False])
@pytest.mark.parametrize("what", REFUSALS)
def test_each_way_out_cuts_the_run_with_the_users_line(what: str, closely: bool) -> None:
    use = REFUSALS[what]

    def caught() -> None:
        try:
            use()
        except Exception as error:  # a handler that catches errors
            raise AssertionError from error

    with pytest.raises(OutsideWorld) as told:
        watched(caught, closely=closely)
    assert str(told.value).startswith(f"{__file__}:{use.__code__.co_firstlineno} reaches for {what.strip()}, which no rehearsal")


def test_a_pause_imported_by_its_name_is_refused_where_the_watch_looks_closely() -> None:
    with pytest.raises(OutsideWorld, match=r"test_watch\.py:\d+ reaches for a real pause"):
        watched(lambda: pause(0.0))


def test_afterwards_everything_is_as_it_was() -> None:
    before = threading.Thread.start, real.sleep, sys.getprofile()
    with pytest.raises(OutsideWorld):
        watched(lambda: real.sleep(0.0))
    assert (threading.Thread.start, real.sleep, sys.getprofile()) == before
    with socket.socket() as free:
        assert free.fileno() >= 0


def test_two_watches_at_once_are_refused() -> None:
    loop = RehearsalLoop()
    with Watch(loop), pytest.raises(RuntimeError, match="being watched already"), Watch(loop):
        pass
    loop.close()


# --- in reactions


class Base(DeclarativeBase):
    pass


class Kept(Base):
    __tablename__ = "kept"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[str] = mapped_column(default=lambda: str(uuid4()))
    at: Mapped[dt.datetime] = mapped_column(default=dt.datetime.utcnow)


def react(service: Service) -> tuple[RehearsalLoop, Callable[[], Awaitable[None]]]:
    """A loop, and a program that places an order which this service reacts to."""
    loop = RehearsalLoop()
    world = RehearsalWorld(loop, "node")

    async def program() -> None:
        async with opened(shop(service), world) as app:
            await app.send(Place(order_id="a-1"))
            await app.idle()

    return loop, program


@pytest.mark.parametrize("outside", [False, True])
def test_the_defaults_of_columns_are_told(outside: bool) -> None:
    keeping = Service("keeping", tables=Base.metadata)

    @keeping.on(Placed, policy=Policy(outside=outside))
    async def keep(order: Placed, db: AsyncSession) -> None:
        db.add(Kept(order_id=order.order_id))

    loop, program = react(keeping)
    with Watch(loop) as watch:
        loop.play(program())  # type: ignore[arg-type]
    told = {finding.what: finding.place for finding in watch.findings}
    assert set(told) == {"uuid.uuid4()", "datetime.utcnow()"}
    assert told["uuid.uuid4()"].startswith(f"{__file__}:")


@pytest.mark.parametrize("outside", [False, True])
def test_a_reaction_that_keeps_to_its_context_is_told_nothing(outside: bool) -> None:
    keeping = Service("keeping", tables=Base.metadata)

    @keeping.on(Placed, policy=Policy(outside=outside))
    async def keep(order: Placed, db: AsyncConnection, context: Context) -> None:
        values = {"order": order.order_id, "number": context.uuid(), "at": context.now().isoformat()}
        await db.execute(text("INSERT INTO kept VALUES (:order, :number, :at)"), values)

    loop, program = react(keeping)
    with Watch(loop) as watch:
        loop.play(program())  # type: ignore[arg-type]
    assert watch.findings == []


def test_a_plain_def_reaction_needs_a_thread_and_is_refused_by_its_name() -> None:
    keeping = Service("keeping")

    @keeping.on(Placed)
    def keep(order: Placed) -> None:
        """It would run in a thread."""

    loop, program = react(keeping)
    with pytest.raises(OutsideWorld, match=r"in keeping\.keep [-0-9a-f]+\) reaches for a thread.* Write `async def`"):
        loop.play(program())  # type: ignore[arg-type]


# --- state kept in modules


class Counter:
    seen: list[str] = []

    def __init__(self) -> None:
        self.count = 0


def module(**values: Any) -> ModuleType:
    made = ModuleType("shop_of_a_user")
    vars(made).update(values)
    return made


def change(module: ModuleType, act: Callable[[], object]) -> list[str]:
    modules = {"orders": module}
    before = snapshot(modules)
    act()
    return [str(found) for found in changes(before, snapshot(modules))]


def test_a_cache_that_fills_is_named_with_what_it_held() -> None:
    cache: dict[str, list[int]] = {"a": [1]}
    [told] = change(module(CACHE=cache), lambda: cache["a"].append(2))
    assert told == (
        "orders.CACHE changed while it ran: it was {'a': [1]}, and is {'a': [1, 2]}; so the next run begins elsewhere. Keep it in the "
        "service's database, or in something that the service provides, which is made anew for each run"
    )


@pytest.mark.parametrize("kind", ["counter", "object", "class", "generator", "set", "rebound", "new"])
def test_each_kind_of_state_is_seen(kind: str) -> None:
    counter, chance, mine, names = itertools.count(), random.Random(1), Counter(), {"a"}
    state = module(counter=counter, chance=chance, mine=mine, names=names, total=0, Counter=type("Counter", (), {"seen": []}))
    state.Counter.__module__ = "orders"
    acts: dict[str, tuple[str, Callable[[], object]]] = {
        "counter": ("orders.counter", lambda: next(counter)),
        "object": ("orders.mine", lambda: setattr(mine, "count", 1)),
        "class": ("orders.Counter.seen", lambda: state.Counter.seen.append(1)),
        "generator": ("orders.chance", chance.random),
        "set": ("orders.names", lambda: names.add("b")),
        "rebound": ("orders.total", lambda: setattr(state, "total", 1)),
        "new": ("orders.late", lambda: setattr(state, "late", 1)),
    }
    name, act = acts[kind]
    assert change(state, lambda: None) == []
    [told] = change(state, act)
    assert told.startswith(f"{name} changed while it ran: it was ")


def test_what_one_module_imports_from_another_is_told_once() -> None:
    cache: list[int] = []
    modules = {"first": module(CACHE=cache, Counter=Counter), "second": module(CACHE=cache, Counter=Counter)}
    before = snapshot(modules)
    cache.append(1)
    Counter.seen.append("a")
    try:
        assert [found.name for found in changes(before, snapshot(modules))] == ["first.CACHE"]
    finally:
        Counter.seen.clear()


def test_a_long_value_is_shown_where_it_changed() -> None:
    held = list(range(1000))
    [told] = change(module(held=held), lambda: held.insert(500, -7))
    assert "…" in told
    assert "-7" in told
    assert len(told) < 400


def test_the_modules_of_the_user_are_looked_at_and_no_others() -> None:
    Counter.seen.clear()
    before = snapshot()
    assert "tests.runtime.kit.QUICK" in before
    assert not any(name.startswith(("asyncio.", "sqlalchemy.", "farandole.model.", "random.")) for name in before)
    Counter.seen.append("a")
    try:
        assert [found.name.rpartition(".test_watch.")[2] for found in changes(before, snapshot())] == ["Counter.seen"]
    finally:
        Counter.seen.clear()
