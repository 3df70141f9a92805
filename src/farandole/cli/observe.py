"""`farandole observe`: the recorder, the watcher and the alerts as a service of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Literal

from farandole.cli.output import console
from farandole.cli.run import listeners, until_stopped
from farandole.cli.target import Target, find
from farandole.config import without_password
from farandole.errors import ConfigurationError
from farandole.observe.lines import writing

if TYPE_CHECKING:
    from farandole.host import App

__all__ = ["observe"]


def observe(
    app: str | None = None,
    *,
    at: str = "8090",
    broker: str | None = None,
    record: str | None = None,
    alert: list[str] | None = None,
    log: Literal["json", "text", "off"] | None = None,
) -> int:
    """Record all events, watch the workflows, alert, and answer over HTTP, until SIGTERM or SIGINT. No service runs in it.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    at
        Answer /workflows, /overview, /alerts, /healthz, /readyz and /metrics at this port of loopback, or address:port.
    broker
        The broker's URL.
    record
        The URL of the record.
    alert
        Who is told of stalls and missed service levels: log, or the URL of a webhook; may be repeated.
    log
        Write alerts and troubles to standard output, as JSON or as text.
    """
    target = find(app, None, broker, None, record=record, alerts=alert, log=log)
    if not target.has_record:
        raise ConfigurationError(
            "observe: there is no record to fill. Name a database that others can read: --record sqlite:///.farandole/record.db, "
            'or record = "postgresql://…" in the configuration'
        )
    with writing(target.config.log):
        return asyncio.run(_serve(target, at))


async def _serve(target: Target, at: str) -> int:
    from farandole import host
    from farandole.web.health import serve
    from farandole.web.observe import observe_app

    config = target.config
    opening = host.open(
        target.choreography,
        services=(),
        broker=config.broker,
        database=config.database_urls(target.choreography.services),
        record=config.record,
        retention=config.retention,
        observe=listeners(config, "none", counts=True),
        alerts=config.alerts,
        watch=True,
        options=host.Options(lease=config.lease, window=config.window, drain=config.shutdown),
    )

    async def begin(app: App, stack: AsyncExitStack) -> None:
        await stack.enter_async_context(serve(app, at, observe_app, "--at"))
        name = target.choreography.name
        record = without_password(config.record or "")
        console(stderr=True).print(
            f"{name} on {without_password(config.broker)}, recorded in {record}; http://{_shown(at)}/overview"
        )

    return await until_stopped(opening, config.shutdown, begin)


def _shown(at: str) -> str:
    return at if ":" in at else f"127.0.0.1:{at}"
