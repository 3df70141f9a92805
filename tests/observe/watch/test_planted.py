"""Stalls of every kind, planted among workflows that end: each is found, at its limit, with its reason, and nothing else is."""

from __future__ import annotations

import re
from collections import Counter
from typing import Any

from tests.counts import often
from tests.observe.watch.ground import KINDS, LIMIT, RUNNING, Ear, Place, shop
from tests.runtime.faults import FlakyBroker
from tests.runtime.kit import opened

from farandole.brokers.base import PublishResult
from farandole.model.envelope import Message
from farandole.observe.watch.watcher import BREATH, POLL
from farandole.testing.virtual import VirtualWorld

WHY = {
    "down": "nothing was ever told of it: customs is down, or far behind",
    "dead": "a dead letter of payments: the card is stolen",
    "parked": r"failed \d+ times, the last at ..:..:..: OSError: the bank is away; next try ..:..:..",
    "behind": "waits for its turn since ..:..:.., behind another event of its key",
    "join": "the join waits for Packed",
    "silent": "stock.reserve answered Placed with nothing",
    "skipped": "stock.reserve skipped Placed: nothing on the shelf",
    "outbox": "returned 1 event at ..:..:.., not published yet: in the outbox of payments",
}


def refuses(message: Message) -> PublishResult | None:
    """The broker takes no `Paid` of orders that are to get stuck in an outbox."""
    stuck = message.type == "shop.Paid.v1" and message.key.startswith("outbox")
    return PublishResult(error="not now") if stuck else None


async def test_every_planted_stall_is_found_at_its_limit_with_its_reason_and_no_other(
    world: VirtualWorld, record_property: Any
) -> None:
    fine, planted = often(200, 9_900), often(16, 100)
    broker, ear = FlakyBroker(world), Ear()
    broker.refuses = refuses
    await broker.open()
    kinds: dict[str, str] = {}
    began: dict[str, float] = {}
    async with opened(shop(), world, broker=broker, record="sqlite://", observe=["fates"], services=RUNNING, alerts=[ear]) as app:

        async def order(kind: str, order_id: str) -> None:
            receipt = await app.send(Place(order_id=order_id, kind=kind))
            kinds[receipt.correlation_id], began[receipt.correlation_id] = kind, world.time()

        every = fine // planted
        for number in range(planted):
            kind = KINDS[number % len(KINDS)]
            order_id = f"parked {number - 1}" if kind == "behind" else f"{kind} {number}"  # KINDS has it after `parked`
            await order(kind, order_id)
            for other in range(every):
                await order("fine", f"fine {number} {other}")
            await world.sleep(0.05)
        await world.sleep(LIMIT - 10)
        assert ear.told == []
        await world.sleep(60)
        found = {alert.correlation_id: alert for alert in ear.told}
        standings = {one.correlation_id: one for one in await app.workflows(state="stalled", limit=1000)}
        counts = await app.overview()
    wrong = [alert.text for id, alert in found.items() if kinds[id] == "fine"]
    missing = Counter(kind for id, kind in kinds.items() if kind != "fine" and id not in found)
    assert (wrong, missing) == ([], Counter())
    assert len(ear.told) == len(found) == planted
    assert set(standings) == set(found)
    assert counts == {("checkout", "succeeded"): fine // planted * planted, ("checkout", "stalled"): planted}
    late = {}
    for id, alert in found.items():
        kind = kinds[id]
        assert re.search(WHY[kind], standings[id].reason), (kind, standings[id].reason)
        assert re.search(WHY[kind], alert.text), (kind, alert.text)
        late[id] = alert.at - began[id] - LIMIT
    assert min(late.values()) >= 0
    assert max(late.values()) <= POLL + 2 * BREATH, sorted(late.values())[-5:]
    record_property(
        "planted stalls found", f"{len(found)} of {planted} among {len(kinds)}, {max(late.values()):.1f} s late at most"
    )
