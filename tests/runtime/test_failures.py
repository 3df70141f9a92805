"""Failures: retries, parking per key, dead letters, exhausted handlers; what is bad ends with a reason, the rest goes on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from typing import Annotated

import pytest
from sqlalchemy.ext.asyncio import AsyncSession
from tests.runtime.kit import QUICK, Paid, PaymentFailed, Place, Placed, dead_letters, log_of, opened, publish_raw, shop

from farandole.errors import Reject, Skip
from farandole.model.envelope import Envelope, encode
from farandole.model.event import Event, Sensitive
from farandole.model.policy import Policy, Retry
from farandole.model.service import Service
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


class Gateway:
    """Something outside."""


async def test_a_reaction_that_fails_now_and_then_is_run_again_until_it_succeeds(world: VirtualWorld) -> None:
    payments, runs = Service("payments", policy=QUICK), []

    @payments.on(Placed)
    async def charge(order: Placed, context: Context) -> Paid:
        runs.append((context.attempt, world.monotonic()))
        if context.attempt < 3:
            raise ConnectionError("gateway away")
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        assert [attempt for attempt, _ in runs] == [1, 1, 2, 3] or [attempt for attempt, _ in runs] == [1, 2, 3]
        assert runs[-1][1] - runs[0][1] == pytest.approx(3.0, abs=0.1)  # 1 s, then 2 s
        assert len(await log_of(app.broker, "shop.payments")) == 1
        assert not await dead_letters(app, "payments")


async def test_a_reaction_that_keeps_failing_ends_as_a_dead_letter_with_reason_and_place(world: VirtualWorld) -> None:
    payments, runs = Service("payments", policy=QUICK), []

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        runs.append(1)
        raise ValueError("no such account")

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.reaction == "payments.charge"
        assert letter.reason == "ValueError: no such account"
        assert letter.error == "ValueError"
        assert letter.place is not None and __file__ in letter.place
        assert letter.attempts == 3
        assert len(runs) == 3


async def test_later_events_of_a_failed_key_wait_in_order_and_other_keys_do_not(world: VirtualWorld) -> None:
    payments = Service("payments", policy=Policy(retry=Retry(attempts=5, delay=10.0, factor=1.0, jitter=0.0)))
    seen: list[tuple[str, int]] = []
    failing = True

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.order_id == "a" and failing:
            raise RuntimeError("not yet")
        seen.append((order.order_id, order.total))

    async with opened(shop(payments), world) as app:
        for total in range(4):
            await app.send(Place(order_id="a", total=total))
            await app.send(Place(order_id="b", total=total))
        await world.sleep(5)
        assert seen == [("b", n) for n in range(4)]
        failing = False
        for total in range(4, 6):
            await app.send(Place(order_id="a", total=total))
        await app.idle()
        assert [total for key, total in seen if key == "a"] == [0, 1, 2, 3, 4, 5]


async def test_with_skip_later_events_of_the_key_go_on(world: VirtualWorld) -> None:
    payments = Service("payments", policy=Policy(on_failure="skip", retry=Retry(attempts=2, delay=60.0, jitter=0.0)))
    seen: list[int] = []
    failing = True

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.total == 0 and failing:
            raise RuntimeError("not yet")
        seen.append(order.total)

    async with opened(shop(payments), world) as app:
        for total in range(3):
            await app.send(Place(order_id="a", total=total))
        await world.sleep(5)
        assert seen == [1, 2]
        failing = False
        await app.idle()
        assert seen == [1, 2, 0]


async def test_a_dead_letter_holds_its_key_where_the_policy_says_so(world: VirtualWorld) -> None:
    payments = Service("payments", policy=Policy(when_dead="hold", retry=Retry(attempts=1)))
    seen: list[int] = []

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.total == 0:
            raise RuntimeError("never")
        seen.append(order.total)

    async with opened(shop(payments), world) as app:
        for total in range(3):
            await app.send(Place(order_id="a", total=total))
        await app.idle()
        assert seen == []
        store = app.store("payments")
        assert await store.discard_dead(await dead_letters(app, "payments"), "known bad") == 1
        await world.sleep(2)
        await app.idle()
        assert seen == [1, 2]


async def test_the_exhausted_handler_states_the_failure_as_an_event(world: VirtualWorld) -> None:
    payments = Service("payments", policy=QUICK)

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        raise ConnectionError("gateway away")

    @charge.exhausted
    async def gave_up(order: Placed, error: Exception) -> PaymentFailed:
        return PaymentFailed(order_id=order.order_id, reason=str(error))

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [event] = await log_of(app.broker, "shop.payments")
        assert event.type == "shop.PaymentFailed.v1"
        assert b"gateway away" in bytes(event.data)
        assert not await dead_letters(app, "payments")


async def test_reject_does_not_retry_and_skip_leaves_no_dead_letter(world: VirtualWorld) -> None:
    payments, runs = Service("payments", policy=QUICK), []

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        runs.append(order.order_id)
        if order.order_id == "reject":
            raise Reject("never valid")
        raise Skip("not ours")

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="reject"))
        await app.idle()
        await app.send(Place(order_id="skip"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert (letter.key, letter.reason) == ("reject", "never valid")
        assert runs.count("skip") == 1
        assert app.counters["skipped"] == 1


async def test_sensitive_values_do_not_appear_in_the_reason(world: VirtualWorld) -> None:
    class Signed(Event, topic="orders", key="id"):
        id: str
        email: Annotated[str, Sensitive]

    payments = Service("payments", policy=Policy(retry=Retry(attempts=1)))

    @payments.on(Signed)
    async def welcome(event: Signed) -> None:
        raise ValueError(f"cannot write to {event.email}")

    async with opened(shop(payments), world) as app:
        body = encode(
            Envelope(
                specversion="1.0",
                id="x",
                source="/s",
                type="shop.Signed.v1",
                data=encode({"id": "1", "email": "eve@example.org"}),
            )  # type: ignore[arg-type]
        )
        _ = body
        await publish_raw(
            app.broker,
            b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Signed.v1","data":{"id":"1","email":"eve@example.org"}}',
        )
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.reason == "ValueError: cannot write to ***"


BAD = {
    "bytes that are no JSON": b"\xff\xfe\x00",
    "nothing at all": b"",
    "no CloudEvent": b'{"hello": 1}',
    "an unknown type": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Nonsense.v1","data":{}}',
    "an unknown version": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v9","data":{}}',
    "a missing field": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1","data":{"total":1}}',
    "a wrong field": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1","data":{"order_id":7}}',
    "no data": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1"}',
    "nesting 100,000 deep": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "a repeated key": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1","data":{"order_id":"a","order_id":"b"}}',
    "a repeated attribute": b'{"specversion":"1.0","id":"x","id":"y","source":"/s","type":"shop.Placed.v1","data":{"order_id":"a"}}',
    "50 MB": b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Placed.v1","data":{"order_id":"' + b"x" * 50_000_000 + b'"}}',
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
async def test_what_cannot_be_read_becomes_a_dead_letter_and_the_rest_goes_on(world: VirtualWorld, name: str) -> None:
    payments, seen = Service("payments"), []

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        seen.append(order.order_id)

    async with opened(shop(payments), world) as app:
        await publish_raw(app.broker, BAD[name])
        await app.send(Place(order_id="k"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert seen == ["k"]
        assert letter.body == BAD[name]
        assert letter.reason and letter.place
        await app.broker.close()


def _deeper() -> None:
    _deeper()


HANDLERS: dict[str, tuple[Callable[[], object], str]] = {
    "raises": (lambda: 1 / 0, "ZeroDivisionError"),
    "leaves the process": (lambda: sys.exit(3), "SystemExit"),
    "recurses without end": (_deeper, "RecursionError"),
}


@pytest.mark.parametrize("how", HANDLERS)
@pytest.mark.parametrize("outside", [False, True])
async def test_a_handler_that_misbehaves_ends_as_a_dead_letter_and_the_rest_goes_on(
    world: VirtualWorld, how: str, outside: bool
) -> None:
    payments, seen = Service("payments", policy=Policy(retry=Retry(attempts=2, delay=0.1), outside=outside)), []
    act, error = HANDLERS[how]

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        if order.order_id == "bad":
            act()
        seen.append(order.order_id)

    async with opened(shop(payments), world) as app:
        for name in ("one", "bad", "two"):
            await app.send(Place(order_id=name))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert (letter.key, letter.error, letter.attempts) == ("bad", error, 2)
        assert sorted(set(seen)) == ["one", "two"]


async def test_an_outside_handler_that_hangs_is_stopped_at_its_timeout(world: VirtualWorld) -> None:
    payments, seen = Service("payments", policy=Policy(retry=Retry(attempts=2, delay=0.1), timeout=5.0)), []
    payments.provide(Gateway, Gateway())

    @payments.on(Placed)
    async def charge(order: Placed, gateway: Gateway) -> None:
        if order.order_id == "bad":
            await asyncio.Event().wait()
        seen.append(order.order_id)

    async with opened(shop(payments), world) as app:
        for name in ("one", "bad", "two"):
            await app.send(Place(order_id=name))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.reason == "TimeoutError: payments.charge took longer than its timeout of 5 s"
        assert sorted(seen) == ["one", "two"]


async def test_a_local_handler_that_waits_for_something_outside_is_told_so_with_the_line(world: VirtualWorld) -> None:
    payments = Service("payments", policy=QUICK)

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        await asyncio.sleep(1)

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.error == "OutsideInTransaction"
        assert "Policy(outside=True)" in (letter.reason or "") and __file__ in (letter.reason or "")


@pytest.mark.parametrize("outside", [False, True])
async def test_a_handler_that_is_cancelled_by_its_own_doing_has_failed(world: VirtualWorld, outside: bool) -> None:
    payments = Service("payments", policy=Policy(retry=Retry(attempts=2, delay=0.1), outside=outside))

    @payments.on(Placed)
    async def charge(order: Placed) -> None:
        raise asyncio.CancelledError

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.error == "CancelledError"


@pytest.mark.parametrize("call", ["commit", "rollback"])
@pytest.mark.parametrize("outside", [False, True])
async def test_a_reaction_that_ends_the_transaction_itself_is_taught(world: VirtualWorld, call: str, outside: bool) -> None:
    payments = Service("payments", policy=Policy(retry=Retry(attempts=2, delay=0.1), outside=outside))

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> None:
        await getattr(db, call)()

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.error == "TransactionOwned"
        assert __file__ in (letter.reason or "")


async def test_an_event_that_was_not_declared_is_the_producers_error(world: VirtualWorld) -> None:
    payments = Service("payments", policy=QUICK)

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        return PaymentFailed(order_id=order.order_id)  # type: ignore[return-value]

    async with opened(shop(payments), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        [letter] = await dead_letters(app, "payments")
        assert letter.error == "EmissionError"
        assert "returned PaymentFailed, which it does not declare" in (letter.reason or "")
        assert await log_of(app.broker, "shop.payments") == []


async def test_a_cycle_of_events_ends_at_the_depth_limit(world: VirtualWorld) -> None:
    class Ping(Event, key="id"):
        id: str

    class Pong(Event, key="id"):
        id: str

    left, right = Service("left"), Service("right")

    @left.on(Placed)
    async def begin(order: Placed) -> Ping:
        return Ping(id="x")

    @left.on(Pong)
    async def ping(event: Pong) -> Ping:
        return Ping(id=event.id)

    @right.on(Ping)
    async def pong(event: Ping) -> Pong:
        return Pong(id=event.id)

    async with opened(shop(left, right), world) as app:
        await app.send(Place(order_id="o-1"))
        await app.idle()
        events = await log_of(app.broker, "shop.left", "shop.right")
        assert max(e.depth for e in events) == 32
        letters = [*await dead_letters(app, "left"), *await dead_letters(app, "right")]
        assert len(letters) == 1 and "the limit is 32" in (letters[0].reason or "")


async def test_a_failure_among_many_does_not_repeat_the_effects_of_the_others(world: VirtualWorld) -> None:
    payments = Service("payments", policy=QUICK, tables="CREATE TABLE seen (order_id TEXT)")

    @payments.on(Placed)
    async def charge(order: Placed, db: AsyncSession) -> Paid:
        from sqlalchemy import text

        await db.execute(text("INSERT INTO seen VALUES (:id)"), {"id": order.order_id})
        if order.total % 10 == 3:
            raise RuntimeError("bad")
        return Paid(order_id=order.order_id)

    async with opened(shop(payments), world) as app:
        await asyncio.gather(*(app.send(Place(order_id=f"o-{n}", total=n)) for n in range(50)))
        await app.idle()
        async with app.store("payments").begin() as transaction:
            rows = transaction.resource("driver").execute("SELECT order_id, count(*) FROM seen GROUP BY 1").fetchall()
        assert len(rows) == 45 and {count for _, count in rows} == {1}
        assert len(await dead_letters(app, "payments")) == 5
        assert len(await log_of(app.broker, "shop.payments")) == 45
