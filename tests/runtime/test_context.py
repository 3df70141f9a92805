"""The context: what a reaction may know of its run, and its only clock and chance."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from farandole.model.envelope import Envelope
from farandole.runtime.context import Context
from farandole.testing.virtual import VirtualWorld


def envelope(correlation: str | None) -> Envelope:
    return Envelope(specversion="1.0", id="e", source="/s", type="t", correlationid=correlation, data=msgspec.Raw(b"{}"))


async def test_time_chance_and_identity_are_the_worlds(world: VirtualWorld) -> None:
    context = Context("payments.charge", envelope("flow"), 3, world)
    begun = context.now()
    assert begun == datetime.fromtimestamp(1_800_000_000, UTC)
    await context.sleep(5)
    assert (context.now() - begun).total_seconds() == 5
    twin = VirtualWorld()
    assert (context.random(), context.uuid()) == (twin.random(), twin.new_id())
    assert (context.event_id, context.correlation_id, context.attempt) == ("e", "flow", 3)
    assert context.idempotency_key == "payments.charge:e"


async def test_an_event_that_began_a_workflow_names_it(world: VirtualWorld) -> None:
    assert Context("payments.charge", envelope(None), 1, world).correlation_id == "e"
