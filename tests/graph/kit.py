"""Graphs made by hand, in few words: names without domain and version."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from farandole.graph import Branch, Graph, Message, Place, Reaction, Service, Trigger, Workflow

PLACE = Place("shop.py", 7)


def tp(name: str) -> str:
    return name if "." in name else f"shop.{name}.v1"


def types(names: str | Iterable[str]) -> tuple[str, ...]:
    return tuple(tp(name) for name in (names.split() if isinstance(names, str) else names))


def reaction(id: str, receives: str, emits: str = "", *, kind: Any = "event", **more: Any) -> Reaction:
    """`reaction("payments.charge", "OrderPlaced", "PaymentDone", exhausted="PaymentFailed")`; names are separated by spaces."""
    id = f"shop.{id}" if id.count(".") == 1 else id
    waits = {key: more.pop(key) for key in ("within", "expected") if key in more}
    waits |= {key: types(more.pop(key)) for key in ("after", "unless") if key in more}
    branches = {key: Branch(types(more.pop(key)), PLACE) for key in ("exhausted", "late") if key in more}
    if "compensates" in more:
        more["compensates"] = f"shop.{more['compensates']}"
    service, _, name = id.rpartition(".")
    return Reaction(id, service, name, PLACE, Trigger(kind, types(receives), **waits), types(emits), **branches, **more)


def workflow(name: str, starts: str, succeeds: str, fails: str = "", within: float | None = None, doc: str = "") -> Workflow:
    return Workflow(name, PLACE, types(starts), types(succeeds), types(fails), within, doc)


def graph(
    *reactions: Reaction, workflows: Sequence[Workflow] = (), messages: Sequence[Message] = (), name: str = "shop"
) -> Graph:
    """The graph of these; a service for each that reacts, and an owner for each message that is said or commanded."""
    services = dict.fromkeys(reaction.service for reaction in reactions)
    owners: dict[str, Message] = {}
    for one in reactions:
        for said in one.effects_of_all_ways:
            owners.setdefault(said, Message(said, one.service, PLACE))
        for command in one.trigger.receives if one.trigger.kind == "command" else ():
            owners.setdefault(command, Message(command, one.service, PLACE, kind="command"))
    named = {(node.type, node.role) for node in messages}
    made = (node for node in owners.values() if (node.type, "owner") not in named)
    return Graph(name, tuple(Service(id, PLACE) for id in services), (*messages, *made), reactions, tuple(workflows))


def checkout() -> Graph:
    """A shop with everything that a picture can show."""
    return graph(
        reaction("orders.place", "PlaceOrder", "OrderPlaced OrderRejected", kind="command"),
        reaction("payments.charge", "OrderPlaced", "PaymentDone", exhausted="PaymentFailed", outside=True, horizon=30.0),
        reaction("stock.reserve", "OrderPlaced", "StockReserved"),
        reaction("stock.release", "PaymentFailed OrderExpired", "StockReleased", compensates="stock.reserve"),
        reaction("shipping.ship", "PaymentDone StockReserved", "OrderShipped", kind="all", within=86400.0, late="ShippedTooLate"),
        reaction(
            "orders.expire",
            "OrderPlaced PaymentDone PaymentFailed",
            "OrderExpired",
            kind="deadline",
            after="OrderPlaced",
            unless="PaymentDone PaymentFailed",
            within=900.0,
        ),
        reaction("mail.thank", "OrderShipped"),
        workflows=[workflow("checkout", "OrderPlaced", "OrderShipped", "OrderExpired PaymentFailed", 3600.0)],
    )


def large(domains: int = 40, services: int = 1000, events: int = 10_000) -> Graph:
    """Domains that mostly talk to themselves and to the next one; every service has its share of the events."""
    homes = [f"area{place * domains // services:02}.service{place:04}" for place in range(services)]
    owners = [homes[place * services // events] for place in range(events)]
    said = [f"{owner.partition('.')[0]}.Thing{place:05}Happened.v1" for place, owner in enumerate(owners)]
    reactions = [
        reaction(
            f"{owner}.do{place}",
            said[(place * 7919 + 13) % events if place % 17 == 0 else max(0, place - place % 23 - 1)],
            said[place],
        )
        for place, owner in enumerate(owners)
    ]
    messages = [
        Message(type, owner, PLACE, doc=f"Thing {place} happened.") for place, (type, owner) in enumerate(zip(said, owners))
    ]
    return Graph("large", tuple(Service(home, PLACE) for home in homes), tuple(messages), tuple(reactions))
