"""`farandole run`: run services until a signal says stop."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal

from rich.text import Text
from rich.tree import Tree

from farandole.cli.output import console
from farandole.cli.target import Target, find
from farandole.config import Config, without_password
from farandole.model.wire import Wire
from farandole.observe.lines import writing
from farandole.observe.listeners import by_default
from farandole.runtime.lanes import Lane, lanes_of

if TYPE_CHECKING:
    from farandole.host import App

__all__ = ["listeners", "run", "until_stopped"]


def run(
    app: str | None = None,
    *,
    service: list[str] | None = None,
    broker: str | None = None,
    database: str | None = None,
    health: str | None = None,
    log: Literal["json", "text", "off"] | None = None,
) -> int:
    """Run services until SIGTERM or SIGINT. Then they finish what they have begun; a second signal ends the process at once.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    service
        Which services run here; may be repeated. All, if left out.
    broker
        The broker's URL.
    database
        The URL of a service's database, with {service} for its name.
    health
        Answer /healthz, /readyz, /lag and /metrics over HTTP at this port of loopback, or address:port.
    log
        Write what happens to standard output, a line per event, as JSON or as text; what handlers log as well.
    """
    target = find(app, service, broker, database, log=log)
    with writing(target.config.log):
        return asyncio.run(_serve(target, health))


async def _serve(target: Target, health: str | None) -> int:
    from farandole import host

    config = target.config
    record = config.record or "none"  # nobody asks this process, so it remembers nothing
    opening = host.open(
        target.choreography,
        services=target.services,
        broker=config.broker,
        database=config.database_urls(target.choreography.services),
        record=record,
        retention=config.retention,
        observe=listeners(config, record, counts=health is not None),
        alerts=config.alerts,
        options=host.Options(lease=config.lease, window=config.window, drain=config.shutdown),
    )

    async def begin(app: App, stack: AsyncExitStack) -> None:
        console(stderr=True).print(_overview(target))
        if health is not None:
            from farandole.web.health import serve

            await stack.enter_async_context(serve(app, health))

    return await until_stopped(opening, config.shutdown, begin)


async def until_stopped(
    opening: AbstractAsyncContextManager[App], shutdown: float, begin: Callable[[App, AsyncExitStack], Awaitable[None]]
) -> int:
    """Run an app until a signal says stop; a second one ends the process at once.

    Parameters
    ----------
    opening:
        Opens it.
    shutdown:
        How long what runs may take to finish, in seconds; to be told.
    begin:
        What to do when it is open; what it puts on the stack is closed first.
    """
    out = console(stderr=True)
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    running: App | None = None
    told = False

    def stop(number: signal.Signals) -> None:
        nonlocal told
        if told:  # what is committed stays, and what is not comes again: dying here is what the promises are made for
            os._exit(128 + number)
        told = True
        out.print(f"stopping ({number.name}): finishing what has begun, {shutdown:g} s at most; again to abort")
        if running is not None:
            running.stop()
        elif this is not None:
            this.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    try:
        async with opening as running, AsyncExitStack() as stack:
            await begin(running, stack)
            out.print("running; Ctrl-C stops")
            await running.wait_stopped()
    except asyncio.CancelledError:
        if not told:
            raise
    out.print("stopped")
    return 0


def listeners(config: Config, record: str, *, counts: bool) -> tuple[str, ...]:
    """Those who are configured; else those that the record, the log and whoever may ask for figures need."""
    if config.observe is not None:
        return config.observe
    logs = ("logs",) if config.log != "off" else ()
    return (*by_default(record), *logs, *(("metrics",) if counts and find_spec("prometheus_client") is not None else ()))


def _overview(target: Target) -> Tree:
    """What runs where."""
    choreography, config = target.choreography, target.config
    wire = Wire(choreography)
    tree = Tree(f"{choreography.name} on {without_password(config.broker)}")
    for name in target.services:
        service = choreography.services[name]
        branch = tree.add(f"{name} in {without_password(config.database_of(name))}")
        lane_of = {reaction.id: lane for lane in lanes_of(choreography, service, wire) for reaction in lane.reactions}
        for reaction in service.reactions.values():
            causes = ", ".join(event.__name__ for event in reaction.events)
            effects = " | ".join(event.__name__ for event in reaction.emits) or "nothing"
            branch.add(Text(f"{reaction.name}: {causes} -> {effects}{_where(lane_of.get(reaction.id))}"))
    return tree


def _where(lane: Lane | None) -> str:
    return "  (command)" if lane is None else f"  ({'outside' if lane.outside else 'local'}, lane {lane.group})"
