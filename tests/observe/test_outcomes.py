"""Outcomes: whoever waits for the end of a workflow instance is told, sooner or later."""

from __future__ import annotations

import asyncio

import pytest
from tests.runtime.faults import FlakyBroker, Heard
from tests.runtime.kit import Paid, PaymentFailed, Place, Placed, Workflow, opened, ordering, publish_raw

from farandole.errors import BrokerError, DeclarationError
from farandole.model.choreography import Choreography
from farandole.model.service import Service
from farandole.testing.virtual import VirtualWorld


def checkout(*, workflow: bool = True) -> Choreography:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid | PaymentFailed:
        return Paid(order_id=order.order_id)

    flows = [Workflow("checkout", starts=Placed, succeeds=Paid, fails=PaymentFailed)]
    return Choreography("shop", ordering(), payments, workflows=flows if workflow else [])


async def test_without_a_workflow_nothing_ends_and_the_error_says_so(world: VirtualWorld) -> None:
    async with opened(checkout(workflow=False), world) as app:
        with pytest.raises(DeclarationError, match="shop declares no workflow"):
            await app.outcome("x")


async def test_outcomes_survive_a_broker_that_goes_away_and_messages_that_cannot_be_read(world: VirtualWorld) -> None:
    broker, heard = FlakyBroker(world), Heard()
    await broker.open()
    async with opened(checkout(), world, broker=broker, signals=heard) as app:
        broker.down = True
        await world.sleep(5)
        assert ("record", "the line is cut") in heard.of("trouble")
        assert len([t for t in heard.of("trouble") if t[0] == "record"]) in range(15, 27)  # about five a second
        broker.down = False
        await publish_raw(broker, b"nonsense", topic="shop.payments")
        await publish_raw(broker, b"{}", topic="shop.payments", type="shop.Paid.v1")
        bad = b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Paid.v1","data":{}}'
        await publish_raw(broker, bad, topic="shop.payments", type="shop.Paid.v1")
        other = b'{"specversion":"1.0","id":"x","source":"/s","type":"shop.Other.v1","data":{}}'
        await publish_raw(broker, other, topic="shop.payments")
        receipt = await app.send(Place(order_id="o-1"))
        assert await app.outcome(receipt.correlation_id, timeout=60) == Paid(order_id="o-1")
        assert len([t for t in heard.of("trouble") if t[0] == "record" and "line" not in str(t[1])]) == 2


async def test_an_event_without_a_correlation_ends_the_instance_of_its_own_name(world: VirtualWorld) -> None:
    async with opened(checkout(), world) as app:
        body = b'{"specversion":"1.0","id":"own","source":"/s","type":"shop.Paid.v1","data":{"order_id":"o-9"}}'
        await publish_raw(app.broker, body, topic="shop.payments", type="shop.Paid.v1")
        assert await app.outcome("own", timeout=5) == Paid(order_id="o-9")


async def test_a_part_that_dies_of_an_error_nobody_foresaw_stops_the_host_and_is_raised(world: VirtualWorld) -> None:
    broker, heard = FlakyBroker(world), Heard()
    await broker.open()

    async def impossible(batch: object) -> None:
        raise AssertionError("a bug in the adapter")

    with pytest.raises(AssertionError, match="a bug in the adapter"):
        async with opened(checkout(), world, broker=broker, signals=heard) as app:
            broker.publish = impossible  # type: ignore[method-assign, assignment]
            await app.send(Place(order_id="o-1"))
            async with asyncio.timeout(5):
                await app.wait_stopped()
    assert ("orders relay", "a bug in the adapter") in heard.of("trouble")
    assert not isinstance(AssertionError(), BrokerError)
