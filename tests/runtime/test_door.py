"""The door: commands are carried out once per key, together where they wait together, and answered whatever happens."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from tests.runtime.faults import refusing
from tests.runtime.kit import Cancelled, Place, Placed, log_of, opened, shop

from farandole.errors import CommandRefused, Reject, Skip, StoreError
from farandole.model.choreography import Choreography
from farandole.model.policy import Policy
from farandole.model.service import Service
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


def ordering(world: VirtualWorld, *, outside: bool = False) -> Service:
    """Places orders; an outside one takes a second for it."""
    orders = Service("orders", policy=Policy(outside=outside))

    @orders.command
    async def place(command: Place, context: Context) -> Placed | tuple[Placed, ...] | list[Cancelled] | None:
        if outside:
            await world.sleep(1)
        match command.order_id:
            case "reject":
                raise Reject("unlucky")
            case "skip":
                raise Skip("not ours")
            case "exit":
                sys.exit("gone")
            case "broken":
                raise ValueError("broken")
            case "nothing":
                return None
            case "tuple":
                return (Placed(order_id="1"), Placed(order_id="2"))
            case "list":
                return [Cancelled(order_id="1")]
        return Placed(order_id=command.order_id)

    return orders


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("one", Placed(order_id="one")),
        ("nothing", None),
        ("tuple", (Placed(order_id="1"), Placed(order_id="2"))),
        ("list", (Cancelled(order_id="1"),)),
    ],
)
async def test_the_first_answer_is_given_again_to_a_repeat(world: VirtualWorld, name: str, result: Any, outside: bool) -> None:
    async with opened(Choreography("shop", ordering(world, outside=outside)), world) as app:
        first = await app.send(Place(order_id=name), idempotency_key="k", correlation_id="flow")
        again = await app.send(Place(order_id=name), idempotency_key="k", correlation_id="another")
        assert first.result == again.result == result
        assert first.event_ids == again.event_ids
        assert (first.correlation_id, again.correlation_id) == ("flow", "flow")
        assert (first.repeated, again.repeated) == (False, True)
        await app.idle()
        assert sorted(event.id for event in await log_of(app.broker, "shop.orders")) == sorted(first.event_ids)


async def test_without_a_key_each_send_is_a_command_of_its_own(world: VirtualWorld) -> None:
    async with opened(shop(), world) as app:
        first, second = await app.send(Place(order_id="a")), await app.send(Place(order_id="a"))
        assert first.correlation_id != second.correlation_id
        assert first.event_ids != second.event_ids


@pytest.mark.parametrize("outside", [False, True])
@pytest.mark.parametrize("alone", [True, False])
async def test_a_refusal_tells_its_reason_and_touches_nobody_else(world: VirtualWorld, outside: bool, alone: bool) -> None:
    async with opened(Choreography("shop", ordering(world, outside=outside)), world) as app:
        names = ["reject"] if alone else ["fine", "reject", "skip", "broken", "fine too"]
        answers = await asyncio.gather(*(app.send(Place(order_id=name)) for name in names), return_exceptions=True)
        found = dict(zip(names, answers, strict=True))
        assert isinstance(found["reject"], CommandRefused) and found["reject"].reason == "unlucky"
        assert str(found["reject"]) == "orders.place refused: unlucky"
        assert isinstance(found["reject"].__cause__, Reject)
        if not alone:
            assert isinstance(found["skip"], CommandRefused) and found["skip"].reason == "not ours"
            assert isinstance(found["broken"], ValueError)
            assert [getattr(found[name], "result", None) for name in ("fine", "fine too")] == [
                Placed(order_id="fine"),
                Placed(order_id="fine too"),
            ]
        await app.idle()
        assert len(await log_of(app.broker, "shop.orders")) == (0 if alone else 2)


async def test_a_refused_command_may_be_sent_again_under_its_key(world: VirtualWorld) -> None:
    async with opened(Choreography("shop", ordering(world)), world) as app:
        for _ in range(2):
            with pytest.raises(CommandRefused):
                await app.send(Place(order_id="reject"), idempotency_key="k")
        assert not (await app.send(Place(order_id="fine"), idempotency_key="k")).repeated


async def test_a_command_that_leaves_the_process_is_refused_and_the_process_stays(world: VirtualWorld) -> None:
    async with opened(Choreography("shop", ordering(world)), world) as app:
        with pytest.raises(CommandRefused, match="ended with SystemExit") as refused:
            await app.send(Place(order_id="exit"))
        assert refused.value.reason == "gone"
        assert (await app.send(Place(order_id="fine"))).event_ids


@pytest.mark.parametrize("count", [1, 3])
async def test_a_database_that_is_away_is_the_callers_to_know(world: VirtualWorld, count: int) -> None:
    async with opened(shop(), world) as app:
        with refusing(app.store("orders"), "begin"):
            answers = await asyncio.gather(*(app.send(Place(order_id=f"o-{n}")) for n in range(count)), return_exceptions=True)
        assert [type(answer) for answer in answers] == [StoreError] * count
        assert (await app.send(Place(order_id="later"))).event_ids


async def test_one_answer_that_cannot_be_looked_up_is_no_answer_to_the_others(world: VirtualWorld) -> None:
    async with opened(shop(), world) as app:
        await app.send(Place(order_id="o-1"), idempotency_key="k")
        with refusing(app.store("orders"), "receipt"):
            repeat, fresh = await asyncio.gather(
                app.send(Place(order_id="o-1"), idempotency_key="k"), app.send(Place(order_id="o-2")), return_exceptions=True
            )
        assert isinstance(repeat, StoreError)
        assert not isinstance(fresh, BaseException) and fresh.result == Placed(order_id="o-2")


@pytest.mark.parametrize("outside", [False, True])
async def test_a_command_that_is_known_but_whose_answer_is_gone_says_so(world: VirtualWorld, outside: bool) -> None:
    async with opened(Choreography("shop", ordering(world, outside=outside)), world) as app:
        first = await app.send(Place(order_id="o-1"), idempotency_key="k")
        async with app.store("orders").begin() as transaction:
            await transaction.keep_receipt("orders.place", first.correlation_id, None)  # type: ignore[arg-type]
        with pytest.raises(CommandRefused, match="its answer is not kept any more") as refused:
            await app.send(Place(order_id="o-1"), idempotency_key="k")
        assert refused.value.reason == "known, without a receipt"


async def test_commands_that_wait_together_share_transactions_of_a_hundred(world: VirtualWorld) -> None:
    async with opened(shop(), world) as app:
        store, opened_ = app.store("orders"), 0
        begin = store.begin

        def counted(**options: Any) -> Any:
            nonlocal opened_
            opened_ += 1
            return begin(**options)

        store.begin = counted  # type: ignore[method-assign]
        await asyncio.gather(*(app.send(Place(order_id=f"o-{n}")) for n in range(250)))
        assert opened_ == 3


async def test_who_stops_waiting_for_an_answer_does_not_stop_the_command(world: VirtualWorld) -> None:
    async with opened(Choreography("shop", ordering(world, outside=True)), world) as app:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await app.send(Place(order_id="o-1"), idempotency_key="k")
        await app.idle()
        assert (await app.send(Place(order_id="o-1"), idempotency_key="k")).repeated


@pytest.mark.parametrize("outside", [False, True])
async def test_a_shutdown_finishes_what_came_in(world: VirtualWorld, outside: bool) -> None:
    async with opened(Choreography("shop", ordering(world, outside=outside)), world) as app:
        sent = asyncio.create_task(app.send(Place(order_id="o-1")))
        await world.sleep(0)
    assert (await sent).result == Placed(order_id="o-1")
