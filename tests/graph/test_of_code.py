"""The graph read from Python declarations, without running anything."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Annotated

import pytest

from farandole import (
    Choreography,
    Command,
    Effects,
    Event,
    Move,
    Policy,
    Retry,
    Sensitive,
    Service,
    Workflow,
    all_items,
    all_of,
    allow_cycle,
)
from farandole.graph import AllowedCycle, Edge, Graph, Reaction, Trigger
from farandole.graph.of_code import graph_of


class OrderEvent(Event, topic="orders", key="order"):
    order: str


class Placed(OrderEvent, version="2.1", public=True):
    """Somebody wants something."""

    email: Annotated[str, Sensitive]


class Cancelled(OrderEvent):
    pass


class Paid(Event, key="order"):
    order: str


class Declined(Event, key="order"):
    order: str


class Picked(Event, key="order"):
    order: str
    lines: int


class Shipped(Event, key="order"):
    order: str


class Moved(Event, of="crm.customers", key="customer"):
    customer: str


class Place(Command):
    order: str


class Gateway:
    pass


def shop() -> Graph:
    orders = Service("orders", team="sales", version="1.4.0", doc="Takes orders.")
    payments = Service("payments", cleared="Placed.email")
    shipping = Service("shipping")
    payments.provide(Gateway, Gateway())

    @orders.command
    async def place(command: Place) -> Placed | None:
        """Take an order."""

    @orders.deadline(after=Placed, unless=(Paid, Declined), within=timedelta(minutes=15))
    async def give_up(placed: Placed) -> Cancelled: ...

    @give_up.late
    async def too_late(event: Paid | Declined) -> Cancelled: ...

    @payments.on(Placed, policy=Policy(retry=Retry(attempts=2, delay=10, jitter=0)), effects=Effects(writes=("money",)))
    async def charge(placed: Placed, gateway: Gateway) -> Paid | Declined: ...

    @charge.exhausted
    async def unreachable(placed: Placed) -> Declined: ...

    @payments.on(Cancelled, compensates=charge, undoes=Paid, formerly="give_back")
    async def refund(event: Cancelled, gateway: Gateway) -> None: ...

    @shipping.on(all_of(Placed, Paid), within=timedelta(hours=1), states=Move("parcel", to="packed"))
    async def pick(placed: Placed, paid: Paid) -> list[Picked]: ...

    @shipping.on(all_items(Picked, expected="lines"), relies_on=Paid)
    async def ship(lines: Sequence[Picked]) -> tuple[Shipped, Cancelled] | None: ...

    @shipping.on(Moved)
    async def move(event: Moved) -> None: ...

    checkout = Workflow("checkout", starts=Placed, succeeds=Shipped, fails=Cancelled, within=timedelta(minutes=5))
    return graph_of(
        Choreography(
            "shop", orders, payments, shipping, workflows=[checkout], cycles=[allow_cycle(Placed, at_most=3, reason="second try")]
        ),
        root=str(Path(__file__).parent),
    )


@pytest.fixture(scope="module")
def graph() -> Graph:
    return shop()


def test_services_say_who_they_are(graph: Graph) -> None:
    orders = graph.service["shop.orders"]
    assert (orders.domain, orders.name, orders.team, orders.version, orders.doc) == (
        "shop",
        "orders",
        "sales",
        "1.4.0",
        "Takes orders.",
    )
    assert graph.service["shop.payments"].cleared == ("Placed.email",)
    assert (orders.place.file, orders.place.pointer) == ("test_of_code.py", "")


def test_messages_have_one_declaration_per_owner_and_per_foreign_reader(graph: Graph) -> None:
    assert [(m.type, m.service, m.role, m.kind) for m in graph.messages] == [
        ("shop.Placed.v2", "shop.orders", "owner", "event"),
        ("shop.Cancelled.v1", "shop.orders", "owner", "event"),
        ("shop.Cancelled.v1", "shop.shipping", "owner", "event"),
        ("shop.Paid.v1", "shop.payments", "owner", "event"),
        ("shop.Declined.v1", "shop.payments", "owner", "event"),
        ("shop.Picked.v1", "shop.shipping", "owner", "event"),
        ("shop.Shipped.v1", "shop.shipping", "owner", "event"),
        ("shop.Place.v1", "shop.orders", "owner", "command"),
        ("crm.Moved.v1", "shop.shipping", "reader", "event"),
    ]
    placed = graph.owned["shop.Placed.v2"]
    assert (placed.version, placed.topic, placed.key, placed.sensitive, placed.public) == (
        (2, 1),
        "shop.orders",
        "order",
        ("email",),
        True,
    )
    assert placed.doc == "Somebody wants something."
    assert graph.read["shop.shipping", "crm.Moved.v1"].topic == "crm.customers"
    assert placed.schema is not None
    assert placed.schema["required"] == ["order", "email"]


def test_reactions_say_what_they_take_and_give(graph: Graph) -> None:
    charge = graph.reaction["shop.payments.charge"]
    assert charge.trigger == Trigger("event", ("shop.Placed.v2",))
    assert charge.alternatives == (("shop.Paid.v1",), ("shop.Declined.v1",))
    assert charge.exhausted is not None
    assert charge.exhausted.emits == ("shop.Declined.v1",)
    assert (charge.outside, charge.horizon, charge.group) == (True, 20.0, "shop.payments.charge")
    assert charge.effects == Effects(writes=("money",))
    place = graph.reaction["shop.orders.place"]
    assert (place.trigger.kind, place.may_emit_nothing, place.group, place.horizon, place.doc) == (
        "command",
        True,
        None,
        0.0,
        "Take an order.",
    )


def test_a_compensation_keeps_its_identity_from_before_its_rename(graph: Graph) -> None:
    refund = graph.reaction["shop.payments.give_back"]
    assert (refund.name, refund.compensates, refund.undoes) == ("refund", "shop.payments.charge", "shop.Paid.v1")
    assert graph.compensations["shop.payments.charge"] == (refund,)


def test_joins_and_deadlines_are_told_apart(graph: Graph) -> None:
    assert graph.reaction["shop.shipping.pick"].trigger == Trigger("all", ("shop.Placed.v2", "shop.Paid.v1"), within=3600.0)
    ship = graph.reaction["shop.shipping.ship"]
    assert ship.trigger == Trigger("count", ("shop.Picked.v1",), expected="lines")
    assert ship.alternatives == (("shop.Shipped.v1", "shop.Cancelled.v1"), ())
    assert graph.reaction["shop.shipping.pick"].many == ("shop.Picked.v1",)
    give_up = graph.reaction["shop.orders.give_up"]
    assert (give_up.trigger.after, give_up.trigger.unless) == (("shop.Placed.v2",), ("shop.Paid.v1", "shop.Declined.v1"))
    assert give_up.causes == ("shop.Placed.v2",)


def test_arrows_lead_from_causes_to_effects_in_every_way(graph: Graph) -> None:
    assert [edge for edge in graph.edges if edge.reaction in ("shop.orders.give_up", "shop.payments.charge")] == [
        Edge("shop.Placed.v2", "shop.orders.give_up", "shop.Cancelled.v1"),
        Edge("shop.Paid.v1", "shop.orders.give_up", "shop.Cancelled.v1", "late"),
        Edge("shop.Declined.v1", "shop.orders.give_up", "shop.Cancelled.v1", "late"),
        Edge("shop.Placed.v2", "shop.payments.charge", "shop.Paid.v1"),
        Edge("shop.Placed.v2", "shop.payments.charge", "shop.Declined.v1"),
        Edge("shop.Placed.v2", "shop.payments.charge", "shop.Declined.v1", "exhausted"),
    ]


def test_workflows_and_allowed_cycles_name_wire_types(graph: Graph) -> None:
    checkout = graph.workflow["checkout"]
    assert (checkout.starts, checkout.outcomes, checkout.within) == (
        ("shop.Placed.v2",),
        ("shop.Shipped.v1", "shop.Cancelled.v1"),
        300.0,
    )
    assert [(c.types, c.at_most, c.reason) for c in graph.cycles] == [(("shop.Placed.v2",), 3, "second try")]
    assert isinstance(graph.cycles[0], AllowedCycle)


def test_look_ups_find_who_consumes_and_who_produces(graph: Graph) -> None:
    def names(reactions: tuple[Reaction, ...]) -> list[str]:
        return [reaction.name for reaction in reactions]

    assert names(graph.consumers["shop.Paid.v1"]) == ["give_up", "pick"]
    assert names(graph.caused["shop.Paid.v1"]) == ["pick"]
    assert names(graph.producers["shop.Cancelled.v1"]) == ["give_up", "ship"]
    late = graph.reaction["shop.orders.give_up"].late
    assert late is not None
    assert (late.emits, late.alternatives) == (("shop.Cancelled.v1",), (("shop.Cancelled.v1",),))
    assert graph.types[0] == "crm.Moved.v1"


def test_reading_a_graph_needs_no_runtime_database_or_loop() -> None:
    code = (
        "import sys\n"
        "from farandole import Choreography, Event, Service\n"
        "from farandole.graph.of_code import graph_of\n"
        "class Placed(Event): order: str\n"
        "service = Service('orders')\n"
        "@service.on(Placed)\n"
        "async def look(event: Placed) -> None: ...\n"
        "graph_of(Choreography('shop', service))\n"
        "print([m for m in ('farandole.runtime', 'sqlalchemy', 'asyncio', 'sqlite3') if m in sys.modules])"
    )
    source = str(Path(__file__).parents[2] / "src")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONPATH": source})
    assert done.stdout.strip() == "[]"
