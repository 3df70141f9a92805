"""Outside reactions: no transaction while they run, several at once, order per key kept, fenced by a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from tests.runtime.kit import QUICK, Paid, Place, Placed, dead_letters, log_of, opened, ordering, shop

from farandole.errors import CommandRefused, ConfigurationError, DeclarationError, Reject
from farandole.model.choreography import Choreography
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.assembly import Options
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]


class Gateway:
    """Counts calls and how many run at once; takes a second each."""

    def __init__(self, world: VirtualWorld) -> None:
        self.world = world
        self.keys: list[str] = []
        self.now = self.most = 0

    async def charge(self, key: str) -> None:
        self.keys.append(key)
        self.now += 1
        self.most = max(self.most, self.now)
        await self.world.sleep(1.0)
        self.now -= 1


async def test_outside_reactions_run_at_once_and_write_with_their_events(world: VirtualWorld) -> None:
    payments, gateway = Service("payments", tables=Base.metadata), Gateway(world)
    payments.provide(Gateway, gateway)

    @payments.on(Placed, policy=Policy(concurrency=4))
    async def charge(order: Placed, gateway: Gateway, db: AsyncSession, context: Context) -> Paid:
        assert (
            await db.execute(text("SELECT count(*) FROM payments WHERE order_id = :id"), {"id": order.order_id})
        ).scalar() == 0
        await gateway.charge(context.idempotency_key)
        db.add(Payment(order_id=order.order_id, total=order.total))
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        begun = world.monotonic()
        await asyncio.gather(*(app.send(Place(order_id=f"o-{n}", total=n)) for n in range(8)))
        await app.idle()
        assert gateway.most == 4
        assert 2.0 <= world.monotonic() - begun < 3.0
        assert len(await log_of(app.broker, "shop.payments")) == 8
        async with app.store("payments").begin() as transaction:
            assert transaction.resource("driver").execute("SELECT count(*), sum(total) FROM payments").fetchone() == (8, 28)


async def test_events_of_one_key_are_handled_one_after_the_other(world: VirtualWorld) -> None:
    payments, gateway, seen = Service("payments"), Gateway(world), []
    payments.provide(Gateway, gateway)

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> None:
        await gateway.charge(order.order_id)
        seen.append((order.order_id, order.total))

    async with opened(shop(payments), world) as app:
        for total in range(4):
            await app.send(Place(order_id="a", total=total))
            await app.send(Place(order_id="b", total=total))
        await app.idle()
    assert [n for key, n in seen if key == "a"] == [0, 1, 2, 3]
    assert [n for key, n in seen if key == "b"] == [0, 1, 2, 3]
    assert gateway.most == 2


async def test_a_retry_uses_the_same_idempotency_key(world: VirtualWorld) -> None:
    payments, keys = Service("payments", policy=QUICK), []
    payments.provide(Gateway, Gateway(world))

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway, context: Context) -> Paid:
        keys.append(context.idempotency_key)
        if len(keys) < 3:
            raise ConnectionError
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        assert len(keys) == 3 and len(set(keys)) == 1
        assert app.counters["retries"] == 2
        assert len(await log_of(app.broker, "shop.payments")) == 1


async def test_a_failure_undoes_what_the_handler_wrote(world: VirtualWorld) -> None:
    payments = Service("payments", policy=Policy(retry=Retry(attempts=1)), tables=Base.metadata)
    payments.provide(Gateway, Gateway(world))

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway, db: AsyncSession) -> Paid:
        await gateway.charge("k")
        await db.execute(text("INSERT INTO payments VALUES ('x', 1)"))
        raise RuntimeError("after the write")

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        async with app.store("payments").begin() as transaction:
            assert transaction.resource("driver").execute("SELECT count(*) FROM payments").fetchone() == (0,)
        assert len(await dead_letters(app, "payments")) == 1


async def test_waiting_for_the_outside_after_the_first_write_is_refused_with_the_remedy(world: VirtualWorld) -> None:
    payments = Service("payments", policy=QUICK, tables=Base.metadata)
    payments.provide(Gateway, Gateway(world))

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway, db: AsyncSession) -> None:
        await db.execute(text("INSERT INTO payments VALUES ('x', 1)"))
        await gateway.charge("k")

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.error == "OutsideInTransaction"
        assert "Call the outside first, then write" in (letter.reason or "")


async def test_what_an_async_generator_provides_is_closed_with_the_host(world: VirtualWorld) -> None:
    payments, life = Service("payments"), []

    async def open_gateway() -> AsyncIterator[Gateway]:
        life.append("open")
        yield Gateway(world)
        life.append("closed")

    payments.provide(Gateway, open_gateway)

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> None:
        life.append("used")

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
    assert life == ["open", "used", "closed"]


async def test_a_dependency_that_cannot_be_opened_is_named(world: VirtualWorld) -> None:
    payments = Service("payments")

    def broken() -> Gateway:
        raise OSError("no route")

    payments.provide(Gateway, broken)
    with pytest.raises(ConfigurationError, match="payments: opening its Gateway failed: OSError: no route"):
        async with opened(shop(payments), world):
            pass


async def test_a_raw_connection_in_an_outside_reaction_is_refused_at_the_start(world: VirtualWorld) -> None:
    import sqlite3

    payments = Service("payments")
    payments.provide(Gateway, Gateway(world))

    async def charge(order: Placed, gateway: Gateway, db: sqlite3.Connection) -> None: ...

    charge.__annotations__ = {"order": Placed, "gateway": Gateway, "db": sqlite3.Connection, "return": None}
    payments.on(Placed)(charge)
    with pytest.raises(DeclarationError, match="AsyncConnection or AsyncSession"):
        async with opened(shop(payments), world):
            pass


@pytest.mark.real_time
async def test_a_plain_function_runs_in_a_thread_and_its_database_calls_hop_to_the_loop() -> None:
    import threading

    from farandole.world import World

    payments, threads = Service("payments", tables=Base.metadata), set()

    @payments.on(Placed)
    def charge(order: Placed, db: Session) -> Paid:
        threads.add(threading.current_thread())
        db.add(Payment(order_id=order.order_id, total=order.total))
        db.flush()
        assert db.get(Payment, order.order_id) is not None
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), World()) as app:
        await asyncio.gather(*(app.send(Place(order_id=f"o-{n}", total=n)) for n in range(5)))
        await app.idle()
        assert threading.main_thread() not in threads
        assert len(await log_of(app.broker, "shop.payments")) == 5
        async with app.store("payments").begin() as transaction:
            assert transaction.resource("driver").execute("SELECT count(*) FROM payments").fetchone() == (5,)


async def test_a_shutdown_waits_for_running_handlers_and_gives_back_what_takes_too_long(
    world: VirtualWorld, tmp_path: object
) -> None:
    payments, ended = Service("payments"), []
    payments.provide(Gateway, Gateway(world))

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> None:
        await world.sleep(order.total)
        ended.append(order.order_id)

    places = {"broker": f"sqlite:///{tmp_path}/broker.db", "database": f"sqlite:///{tmp_path}/{{service}}.db"}
    async with opened(shop(payments), world, options=Options(drain=5.0), **places) as app:
        await app.send(Place(order_id="quick", total=3))
        await app.send(Place(order_id="slow", total=20))
        await world.sleep(1.5)
    assert ended == ["quick"]
    async with opened(shop(payments), world, **places) as app:
        await app.idle()
        assert ended == ["quick", "slow"]
        assert app.counters["retries"] == 0  # the run that was given back does not count


async def test_a_command_may_reach_outside_and_is_carried_out_once_per_key(world: VirtualWorld) -> None:
    orders, gateway = Service("orders"), Gateway(world)
    orders.provide(Gateway, gateway)

    @orders.command
    async def place(command: Place, gateway: Gateway, context: Context) -> Placed:
        await gateway.charge(context.idempotency_key)
        if command.total < 0:
            raise Reject("negative")
        return Placed(order_id=command.order_id)

    async with opened(Choreography("shop", orders), world) as app:
        both = await asyncio.gather(*(app.send(Place(order_id="o-1"), idempotency_key="k") for _ in range(2)))
        assert both[0].event_ids == both[1].event_ids
        assert (await app.send(Place(order_id="o-1"), idempotency_key="k")).repeated
        with pytest.raises(CommandRefused, match="negative"):
            await app.send(Place(order_id="o-1", total=-1))
        await app.idle()
        assert len(await log_of(app.broker, "shop.orders")) == 1


async def test_a_claim_whose_holder_vanished_is_taken_over_when_its_lease_ends(world: VirtualWorld) -> None:
    payments, runs = Service("payments"), []
    payments.provide(Gateway, Gateway(world))

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway, context: Context) -> Paid:
        runs.append(context.attempt)
        if len(runs) == 1:
            await world.sleep(60)  # a zombie: its lease will be gone
        return Paid(order_id=order.order_id)

    async with opened(Choreography("shop", ordering(), payments), world, options=Options(lease=3.0)) as app:
        store = app.store("payments")
        extend, store.extend = store.extend, _nothing  # type: ignore[method-assign]
        await app.send(Place(order_id="o-1"))
        await world.sleep(70)
        store.extend = extend  # type: ignore[method-assign]
        await app.idle()
        assert runs == [1, 2]
        assert len(await log_of(app.broker, "shop.payments")) == 1


async def _nothing(*arguments: object) -> None:
    """No sign of life."""


async def test_outside_reactions_that_are_due_at_once_begin_in_the_order_of_their_declaration(world: VirtualWorld) -> None:
    """In every process: the order of a set of names would differ from one to the next."""
    payments, begun = Service("payments", policy=Policy(outside=True)), []
    names = [f"reaction_{number}" for number in range(12)]

    def declare(name: str) -> None:
        async def handler(order: Placed) -> None:
            begun.append(name)

        handler.__name__ = name
        payments.on(Placed)(handler)

    for name in names:
        declare(name)
    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="a-1"))
        await app.idle()
    assert begun == names
