"""`farandole trace`: what an event caused, as a tree, and what became of it in each service."""

from __future__ import annotations

import asyncio

from farandole.cli import FINDINGS, FINE
from farandole.cli.output import console, print_json
from farandole.cli.reading import read_flows
from farandole.cli.target import Target, find
from farandole.cli.tree import Teller
from farandole.model.envelope import Envelope
from farandole.model.wire import Wire
from farandole.observe.chain import build_chains
from farandole.stores.base import InboxRow
from farandole.world import World

__all__ = ["trace"]


def trace(
    id: str,
    /,
    app: str | None = None,
    *,
    broker: str | None = None,
    database: str | None = None,
    data: bool = False,
    json: bool = False,
) -> int:
    """Show what an event caused, as a tree: service, time since its cause, and what became of it.

    Parameters
    ----------
    id
        A correlation id, an event's id, or field=value such as order_id=4711.
    app
        The choreography, as module:variable; it may come from the configuration.
    broker
        The broker's URL.
    database
        The URL of a service's database, with {service} for its name.
    data
        Show the events' fields too, but for sensitive ones.
    json
        Print JSON.
    """
    target = find(app, None, broker, database)
    envelopes, fates, teller = asyncio.run(_look(target, id, World()))
    chains = build_chains(envelopes)
    if json:
        print_json({"chains": [teller.as_json(chain, fates) for chain in chains]})
    else:
        for chain in chains:
            console().print(teller.as_tree(chain, fates, with_data=data))
    if not chains:
        console(stderr=True).print(
            f"nothing in {target.choreography.name}'s log belongs to {id!r}. An outbox may still hold it: see farandole status"
        )
    return FINE if chains else FINDINGS


async def _look(
    target: Target, sought: str, world: World
) -> tuple[list[Envelope], dict[str, list[tuple[str, InboxRow]]], Teller]:
    wire = Wire(target.choreography)
    topics = tuple(sorted({binding.topic for binding in wire.by_class.values() if binding.topic}))
    async with target.broker(world) as broker:
        envelopes = await read_flows(broker, topics, sought, world)
    fates: dict[str, list[tuple[str, InboxRow]]] = {}
    async with target.stores(world) as stores:
        ids = {envelope.id for envelope in envelopes} | {cause for envelope in envelopes for cause in envelope.causes}
        for service, store in stores.items():
            for row in await store.fates(ids):
                fates.setdefault(row.id, []).append((service, row))
        return envelopes, fates, Teller(target.choreography, wire, tuple(stores), world.time())
