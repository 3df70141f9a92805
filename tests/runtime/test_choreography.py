"""A choreography runs from command to last event; what its reactions write and emit commits together."""

from __future__ import annotations

import asyncio
import sqlite3

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from tests.runtime.kit import Cancelled, Paid, PaymentFailed, Place, Placed, log_of, opened, ordering, shop

from farandole.errors import CommandRefused, ConfigurationError, DeclarationError, EmissionError, Reject
from farandole.model.choreography import Choreography, Workflow
from farandole.model.event import Event
from farandole.model.service import Service
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


class Base(DeclarativeBase):
    pass


class Payment(Base):
    __tablename__ = "payments"
    order_id: Mapped[str] = mapped_column(primary_key=True)
    total: Mapped[int]


async def test_a_command_sets_off_a_chain_across_services(world: VirtualWorld) -> None:
    payments, email = Service("payments"), Service("email")
    sent: list[str] = []

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order_id=order.order_id)

    @email.on(Paid)
    async def confirm(paid: Paid) -> None:
        sent.append(paid.order_id)

    async with opened(shop(payments, email), world) as app:
        receipt = await app.send(Place(order_id="o-1", total=7))
        await app.idle()
        placed, paid = await log_of(app.broker, "shop.orders", "shop.payments")

    assert sent == ["o-1"]
    assert receipt.result == Placed(order_id="o-1", total=7)
    assert receipt.event_ids == (placed.id,)
    assert placed.correlationid == paid.correlationid == receipt.correlation_id
    assert (paid.causationid, placed.depth, paid.depth) == (placed.id, 1, 2)
    assert (placed.type, placed.source, placed.partitionkey) == ("shop.Placed.v1", "/shop/orders", "o-1")


async def test_rows_written_through_an_orm_session_commit_with_the_events(world: VirtualWorld) -> None:
    payments = Service("payments", tables=Base.metadata)

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> Paid:
        db.add(Payment(order_id=order.order_id, total=order.total))
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        for number in range(5):
            await app.send(Place(order_id=f"o-{number}", total=number))
        await app.idle()
        async with app.store("payments").begin() as transaction:
            rows = transaction.resource("driver").execute("SELECT order_id, total FROM payments ORDER BY 1").fetchall()
        assert rows == [(f"o-{n}", n) for n in range(5)]
        assert len(await log_of(app.broker, "shop.payments")) == 5


@pytest.mark.parametrize("kind", [AsyncSession, AsyncConnection, sqlite3.Connection])
async def test_a_failed_reaction_leaves_neither_rows_nor_events(world: VirtualWorld, kind: type) -> None:
    payments = Service("payments", tables="CREATE TABLE seen (order_id TEXT)")

    async def charge(order: Placed, db: kind) -> Paid:  # type: ignore[valid-type]
        result = db.execute(
            "INSERT INTO seen VALUES ('x')" if kind is sqlite3.Connection else text("INSERT INTO seen VALUES ('x')")
        )
        if kind is not sqlite3.Connection:
            await result
        if order.total < 0:
            raise Reject("negative")
        return Paid(order_id=order.order_id)

    charge.__annotations__["db"] = kind
    payments.on(Placed)(charge)
    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="bad", total=-1))
        await app.send(Place(order_id="good", total=1))
        await app.idle()
        async with app.store("payments").begin() as transaction:
            assert transaction.resource("driver").execute("SELECT count(*) FROM seen").fetchone() == (1,)
        assert [e.partitionkey for e in await log_of(app.broker, "shop.payments")] == ["good"]


async def test_an_event_delivered_again_has_no_second_effect(world: VirtualWorld) -> None:
    payments = Service("payments")
    runs: list[str] = []

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        runs.append(order.order_id)
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [placed] = await log_of(app.broker, "shop.orders")
        from farandole.model.envelope import Message, encode

        again = Message("shop.orders", "o-1", placed.id, placed.type, encode(placed))
        await app.broker.publish([again, again])
        await app.idle()
        assert runs == ["o-1"]
        assert app.counters["duplicates"] == 2
        assert len(await log_of(app.broker, "shop.payments")) == 1


async def test_several_types_reach_one_reaction_as_a_union(world: VirtualWorld) -> None:
    audit, seen = Service("audit"), []

    @audit.on(Placed, Cancelled)
    async def note(event: Placed | Cancelled) -> None:
        seen.append(type(event).__name__)

    async with opened(shop(audit), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
    assert seen == ["Placed"]


async def test_a_reaction_may_emit_several_events_and_their_ids_are_the_same_in_every_run(world: VirtualWorld) -> None:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> tuple[Paid, list[PaymentFailed]]:
        return Paid(order_id=order.order_id), [PaymentFailed(order_id=order.order_id), PaymentFailed(order_id="other")]

    ids = []
    for seed in range(2):
        async with opened(shop(payments), VirtualWorld(seed=seed)) as app:
            await app.send(Place(order_id="o-1"), idempotency_key="same")
            await app.idle()
            ids.append([e.id for e in await log_of(app.broker, "shop.payments")])
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3


async def test_a_command_repeated_under_its_key_is_answered_from_the_first_run(world: VirtualWorld) -> None:
    async with opened(shop(), world) as app:
        first = await app.send(Place(order_id="o-1", total=3), idempotency_key="k")
        again = await app.send(Place(order_id="o-1", total=3), idempotency_key="k")
        await app.idle()
        assert (again.event_ids, again.result, again.correlation_id) == (first.event_ids, first.result, first.correlation_id)
        assert again.repeated and not first.repeated
        assert len(await log_of(app.broker, "shop.orders")) == 1


async def test_many_commands_at_once_each_get_their_own_answer_and_one_failure_is_its_own(world: VirtualWorld) -> None:
    orders = Service("orders", tables="CREATE TABLE placed (order_id TEXT PRIMARY KEY)")

    @orders.command
    async def place(command: Place, db: sqlite3.Connection) -> Placed:
        db.execute("INSERT INTO placed VALUES (?)", (command.order_id,))
        if command.total == 13:
            raise Reject("unlucky")
        return Placed(order_id=command.order_id)

    async with opened(Choreography("shop", orders), world) as app:
        numbers = [*range(20), 5]
        answers = await asyncio.gather(*(app.send(Place(order_id=f"o-{n}", total=n)) for n in numbers), return_exceptions=True)
        await app.idle()
        assert isinstance(answers[13], CommandRefused) and answers[13].reason == "unlucky"
        assert isinstance(answers[20], sqlite3.IntegrityError)
        assert sum(not isinstance(a, BaseException) for a in answers) == 19
        assert len(await log_of(app.broker, "shop.orders")) == 19
        retried = await app.send(Place(order_id="o-13", total=1))
        assert retried.result == Placed(order_id="o-13")


async def test_an_integrity_error_at_the_flush_reaches_the_sender_of_the_command(world: VirtualWorld) -> None:
    orders = Service("orders", tables=Base.metadata)

    @orders.command
    async def place(command: Place, db: AsyncSession) -> Placed:
        db.add(Payment(order_id=command.order_id, total=0))
        return Placed(order_id=command.order_id)

    async with opened(Choreography("shop", orders), world) as app:
        await app.send(Place(order_id="o-1"))
        with pytest.raises(IntegrityError):
            await app.send(Place(order_id="o-1"))
        await app.idle()
        assert len(await log_of(app.broker, "shop.orders")) == 1


async def test_a_command_nobody_handles_is_refused_with_the_remedy(world: VirtualWorld) -> None:
    async with opened(Choreography("shop", Service("orders")), world) as app:
        with pytest.raises(DeclarationError, match="no service of shop handles it"):
            await app.send(Place(order_id="o-1"))


async def test_a_command_whose_values_do_not_match_its_types_is_refused_before_it_runs(world: VirtualWorld) -> None:
    async with opened(shop(), world) as app:
        with pytest.raises(EmissionError, match=r"\$\.order_id"):
            await app.send(Place(order_id=7))  # type: ignore[arg-type]


async def test_commands_reach_a_service_that_does_not_run_here(world: VirtualWorld) -> None:
    async with opened(shop(), world, services=[]) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        assert app.services == ()
        assert len(await log_of(app.broker, "shop.orders")) == 1


async def test_the_outcome_of_a_workflow_can_be_awaited(world: VirtualWorld) -> None:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid | PaymentFailed:
        return Paid(order_id=order.order_id) if order.total else PaymentFailed(order_id=order.order_id)

    checkout = Workflow("checkout", starts=Placed, succeeds=Paid, fails=PaymentFailed)
    async with opened(Choreography("shop", ordering(), payments, workflows=[checkout]), world) as app:
        good = await app.send(Place(order_id="o-1", total=1))
        bad = await app.send(Place(order_id="o-2", total=0))
        assert await app.outcome(good.correlation_id, timeout=5) == Paid(order_id="o-1")
        assert await app.outcome(bad.correlation_id, timeout=5) == PaymentFailed(order_id="o-2")
        assert await app.outcome(good.correlation_id) == Paid(order_id="o-1")
        with pytest.raises(TimeoutError):
            await app.outcome("nobody", timeout=5)


async def test_the_context_tells_event_key_attempt_and_time(world: VirtualWorld) -> None:
    audit, seen = Service("audit"), []

    @audit.on(Placed)
    async def note(event: Placed, context: Context) -> None:
        seen.append((context.idempotency_key, context.event_id, context.correlation_id, context.attempt, context.now().tzinfo))

    async with opened(shop(audit), world) as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.idle()
    [event_id] = receipt.event_ids
    [(key, id, correlation, attempt, zone)] = seen
    assert (key, id, correlation, attempt) == (f"audit.note:{event_id}", event_id, receipt.correlation_id, 1)
    assert zone is not None


async def test_an_unknown_service_is_refused_with_the_known_ones(world: VirtualWorld) -> None:
    with pytest.raises(ConfigurationError, match=r"has no service 'paymants'\. Known are: orders"):
        async with opened(shop(), world, services=["paymants"]):
            pass


async def test_a_parameter_that_nobody_provides_is_refused_when_the_host_starts(world: VirtualWorld) -> None:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed, gateway: dict[str, str]) -> None: ...

    with pytest.raises(DeclarationError, match=r"payments\.charge .*nobody provides the parameter 'gateway'"):
        async with opened(shop(payments), world):
            pass


async def test_an_event_whose_key_is_none_is_a_key_of_its_own(world: VirtualWorld) -> None:
    class Seen(Event, key="customer_id"):
        customer_id: str | None

    shopfront = Service("shopfront")

    @shopfront.on(Placed)
    async def see(order: Placed) -> Seen:
        return Seen(customer_id=None)

    async with opened(shop(shopfront), world) as app:
        for number in range(2):
            await app.send(Place(order_id=f"o-{number}"))
        await app.idle()
        assert [event.partitionkey == event.id for event in await log_of(app.broker, "shop.shopfront")] == [True, True]
