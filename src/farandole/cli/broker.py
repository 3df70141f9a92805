"""Make ready what services need on their broker, before a deployment."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from farandole.brokers import open_broker
from farandole.brokers.base import BeginsGroups, Subscription
from farandole.cli import FINE
from farandole.cli.output import console
from farandole.cli.target import Target, find
from farandole.config import without_password
from farandole.model.wire import Wire
from farandole.observe.record import Reading, subscription_of
from farandole.runtime.lanes import lanes_of
from farandole.world import World

__all__ = ["COMMANDS"]


def setup(app: str | None = None, *, service: list[str] | None = None, broker: str | None = None) -> int:
    """Make the topics, streams or queues of all lanes, and begin their groups: what is published from now on waits for them.

    Services do so themselves when they start, unless the broker forbids it to them. Does nothing twice.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    service
        Only these services; may be repeated.
    broker
        The broker's URL.
    """
    target = find(app, service, broker)
    for group, topics in asyncio.run(_set_up(target)).items():
        console().print(f"{group}: {', '.join(topics)}")
    console().print(f"ready on {without_password(target.config.broker)}")
    return FINE


async def _set_up(target: Target) -> dict[str, tuple[str, ...]]:
    wire, world = Wire(target.choreography), World()
    made: dict[str, tuple[str, ...]] = {}
    broker = open_broker(target.config.broker, world)
    await broker.open()
    try:
        for subscription in _subscriptions(target, wire):
            if isinstance(broker, BeginsGroups):
                await broker.begin(subscription)
            else:
                consumer = await broker.subscribe(subscription)
                await consumer.close()
            made[subscription.group or ""] = subscription.topics
    finally:
        await broker.close()
    return made


def _subscriptions(target: Target, wire: Wire) -> Iterator[Subscription]:
    for name in target.services:
        for lane in lanes_of(target.choreography, target.choreography.services[name], wire):
            yield lane.subscription
    reading = Reading(wire)
    if target.has_record and reading.topics:
        yield subscription_of(target.choreography.name, reading)


COMMANDS = {"setup": setup}
