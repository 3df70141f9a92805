"""`app.chain`: the chain of an instance from the record, what was told, and the inboxes of services that run here."""

from __future__ import annotations

import pytest
from tests.observe.test_observer import Place, shop

import farandole
from farandole import UnknownInstance, World
from farandole.stores.record import Fate


async def test_a_chain_is_a_tree_of_services_delays_and_what_became_of_each_event(world: World) -> None:
    async with farandole.open(shop(fails=1), broker="memory://", database="sqlite://", record="memory://", world=world) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
        chain = await app.chain(receipt.correlation_id)
    assert [(node.name, node.service) for node in chain.events] == [
        ("Placed", "orders"),
        ("Packed", "stock"),
        ("Paid", "payments"),
        ("Shipped", "shipping"),
    ]
    shown = [" ".join(line.lstrip("│├└─ ").split()) for line in str(chain).splitlines()]
    assert shown[1:3] == ["Place orders command", "✓ orders.place"]
    assert any(line.startswith("✓ payments.charge 2 tries") for line in shown)
    assert any(line.startswith("Shipped stands under Paid") for line in shown), "a join stands under the cause that came last"
    assert chain.roots[0].kind == "command"
    assert chain.events[-1].delay == pytest.approx(chain.events[-1].time - chain.events[-2].time)  # type: ignore[operator]


async def test_a_reason_to_skip_is_shown(world: World) -> None:
    async with farandole.open(shop(skips=True), broker="memory://", database="sqlite://", record="memory://", world=world) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
        told = str(await app.chain(receipt.correlation_id))
    assert "- stock.pack  skipped: nothing to pack" in told


async def test_what_was_told_of_runs_is_shown_beside_what_inboxes_hold(world: World) -> None:
    async with farandole.open(shop(), broker="memory://", database="sqlite://", record="memory://", world=world) as app:
        receipt = await app.send(Place(order_id="4711"))
        await app.idle()
        (id,) = receipt.event_ids
        told = {"id": id, "correlation_id": receipt.correlation_id, "reaction": "payments.charge"}
        await app.record.tell(
            [
                Fate(**told, state="done", at=world.time(), seconds=0.25, emitted=1),  # type: ignore[arg-type]
                Fate(**told, state="duplicate", at=world.time() + 1),  # type: ignore[arg-type]
            ]
        )
        chain = await app.chain(receipt.correlation_id)
    (charge,) = [one for one in chain.events[0].handled if one.reaction == "payments.charge"]
    assert (charge.state, charge.seconds, charge.duplicates, charge.unsaid) == ("done", 0.25, 1, 0)


async def test_an_instance_of_which_nothing_is_recorded_is_unknown(world: World) -> None:
    async with farandole.open(shop(), broker="memory://", database="sqlite://", record="memory://", world=world) as app:
        with pytest.raises(UnknownInstance, match="no event of 'nobody' is recorded"):
            await app.chain("nobody")


async def test_a_command_that_was_refused_has_a_chain_without_events(world: World) -> None:
    async with farandole.open(shop(), broker="memory://", database="sqlite://", record="memory://", world=world) as app:
        await app.record.tell(
            [Fate(id="c", correlation_id="c", reaction="orders.place", state="refused", reason="Reject: closed", at=1.0)]
        )
        chain = await app.chain("c")
    assert (chain.events, chain.status, chain.roots[0].name) == ((), None, "Place")
    assert "✗ orders.place  refused: Reject: closed" in str(chain)
