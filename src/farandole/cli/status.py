"""`farandole status`: how the services are doing, in figures."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from rich.table import Table

from farandole.brokers.base import Broker
from farandole.cli import FINDINGS, FINE
from farandole.cli.output import ago, console, print_json
from farandole.cli.target import Target, find
from farandole.config import parse_duration
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.runtime.lanes import lanes_of
from farandole.world import World

__all__ = ["status"]


def status(
    app: str | None = None,
    *,
    service: list[str] | None = None,
    broker: str | None = None,
    database: str | None = None,
    fail_on_dead: bool = False,
    max_lag: int | None = None,
    max_age: str | None = None,
    json: bool = False,
) -> int:
    """Show outboxes, lags, retries, dead letters and open tasks, per service.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    service
        Only these services; may be repeated.
    broker
        The broker's URL.
    database
        The URL of a service's database, with {service} for its name.
    fail_on_dead
        Exit with 1 if there is a dead letter.
    max_lag
        Exit with 1 if a lane has more events before it than this.
    max_age
        Exit with 1 if an outbox holds an event for longer than this, such as "30s".
    json
        Print JSON.
    """
    try:
        oldest = None if max_age is None else parse_duration(max_age)
    except ValueError as error:
        raise ConfigurationError(f"--max-age: {error}") from None
    target = find(app, service, broker, database)
    figures = asyncio.run(_figures(target, World()))
    findings = _findings(figures, fail_on_dead=fail_on_dead, max_lag=max_lag, max_age=oldest)
    if json:
        print_json({"choreography": target.choreography.name, "services": figures, "findings": findings})
    else:
        out = console()
        out.print(_table(figures))
        for finding in findings:
            console(stderr=True).print(finding)
    return FINDINGS if findings else FINE


async def _figures(target: Target, world: World) -> dict[str, Any]:
    """Per service: the figures of its database (None where there is no database yet) and the lag of each lane."""
    wire = Wire(target.choreography)
    figures: dict[str, Any] = {}
    async with target.broker(world) as broker, target.stores(world) as stores:
        for name in target.services:
            lags = await _lags(target, broker, name, wire)
            store = msgspec.to_builtins(await stores[name].status()) if name in stores else None
            figures[name] = {"database": store, "lag": lags}
    return figures


async def _lags(target: Target, broker: Broker, service: str, wire: Wire) -> dict[str, int]:
    lanes = lanes_of(target.choreography, target.choreography.services[service], wire)
    return {lane.group: await broker.lag(lane.subscription) for lane in lanes}


def _findings(figures: dict[str, Any], *, fail_on_dead: bool, max_lag: int | None, max_age: float | None) -> list[str]:
    found: list[str] = []
    for service, both in figures.items():
        store = both["database"] or {}
        if fail_on_dead and store.get("dead"):
            found.append(f"{service}: {store['dead']} dead letters. See: farandole dead list --service {service}")
        if max_age is not None and (store.get("outbox_age") or 0) > max_age:
            found.append(f"{service}: the oldest event in the outbox waits for {ago(store['outbox_age'])}. Does its relay run?")
        if max_lag is not None:
            found += [f"{lane}: {lag} events behind" for lane, lag in both["lag"].items() if lag > max_lag]
    return found


def _table(figures: dict[str, Any]) -> Table:
    table = Table("service", "lane", box=None, pad_edge=False)
    for title in ("lag", "outbox", "oldest", "parked", "keys", "due", "running", "dead", "tasks"):
        table.add_column(title, justify="right")
    for service, both in figures.items():
        store = both["database"]
        cells = ["no database yet", *[""] * 7]
        if store is not None:
            counts = (str(store[name]) for name in ("parked", "parked_keys", "due_retries", "claimed", "dead", "tasks"))
            cells = [str(store["outbox"]), ago(store["outbox_age"]), *counts]
        lanes = list(both["lag"].items()) or [("", "")]
        for index, (lane, lag) in enumerate(lanes):
            table.add_row(service if not index else "", lane, str(lag), *(cells if not index else ()))
    return table
