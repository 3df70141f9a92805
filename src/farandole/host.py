"""The host: opens a choreography, or some services of it, on one broker and a database per service, and runs it.

async with farandole.open(shop) as app:
    receipt = await app.send(PlaceOrder(...), idempotency_key=request_id)
    outcome = await app.outcome(receipt.correlation_id, timeout=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.config import Config, check_services, check_window, load
from farandole.errors import ConfigurationError, DeclarationError
from farandole.model.choreography import Choreography
from farandole.model.resources import check_parameters
from farandole.model.service import Service
from farandole.runtime.assembly import Assembly, Hosted, Options, Platform
from farandole.runtime.door import Receipt
from farandole.runtime.signals import Counters, Signals
from farandole.sagas import compile_saga
from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.world import World

__all__ = ["App", "Options", "Receipt", "assemble", "open"]


class App:
    """A running choreography; made by `open`.

    Attributes
    ----------
    counters:
        What happened in this process so far, unless others listen: `handled`, `duplicates`, `retries`, `parked`, `dead`, `published`, …
    options:
        How it runs.
    """

    def __init__(self, choreography: Choreography, platform: Platform) -> None:
        self.choreography = choreography
        self.broker = platform.broker
        self.world = platform.world
        self.options = platform.options
        self.counters = platform.signals if isinstance(platform.signals, Counters) else Counters()
        self._assembly: Assembly
        self._stopped = asyncio.Event()

    @property
    def services(self) -> tuple[str, ...]:
        """The names of the services that run in this process."""
        return tuple(name for name, hosted in self._assembly.hosted.items() if hosted.scheduler is not None)

    def store(self, service: str) -> Store:
        """The store of a service that this process has opened."""
        return self._assembly.hosted[service].store

    async def send(self, command: Any, *, idempotency_key: str | None = None, correlation_id: str | None = None) -> Receipt:
        """Carry out a command: one transaction with the rows it writes and the events it emits.

        Parameters
        ----------
        command:
            An instance of a Command class that some service of the choreography handles. The service need not run in this
            process; its database must be within reach.
        idempotency_key:
            The same key always means the same command: a repeat answers with the first receipt and does nothing.
        correlation_id:
            The workflow instance to go on with; a new one begins by default.

        Raises
        ------
        CommandRefused
            The handler rejected it. Whatever else the handler raises comes through as it is. Nothing was written.
        DeclarationError
            No service handles it.
        """
        handler = self.choreography.commands.get(type(command))
        if handler is None:
            raise DeclarationError(
                f"send({type(command).__name__}): no service of {self.choreography.name} handles it. "
                f"Declare a handler with @service.command, or publish events from a reaction"
            )
        door = await self._assembly.door(handler.service)
        return await door.send(
            command, idempotency_key=idempotency_key, correlation_id=correlation_id, traceparent=_traceparent()
        )

    async def outcome(self, correlation_id: str, timeout: float | None = None) -> Any:
        """Wait for the event that ends a workflow instance, and give it.

        Parameters
        ----------
        correlation_id:
            From a `Receipt`. Outcomes since this app was opened are known, the latest 100,000 of them.
        timeout:
            Seconds to wait; None: for ever.

        Raises
        ------
        TimeoutError
            It did not come in time.
        DeclarationError
            The choreography declares no workflow.
        """
        if not self.choreography.workflows:
            raise DeclarationError(
                f"{self.choreography.name} declares no workflow, so nobody can tell what ends one. "
                f"Give it one: Choreography(…, workflows=[Workflow(name, starts=…, succeeds=…, fails=…)])"
            )
        async with asyncio.timeout(timeout):
            return await self._assembly.outcomes.wait(correlation_id)

    async def idle(self) -> None:
        """Wait until nothing is left to do here: outboxes empty, lanes read, nothing running, no retry outstanding."""
        calm, pause = 0, 0.001
        while calm < 2:  # twice in a row: what one part finished, another may take up
            calm = 0 if await self.restless() else calm + 1
            pause = 0.001 if calm else min(pause * 1.5, 0.25)  # a retry may be minutes away
            await self.world.sleep(pause)

    async def restless(self) -> str | None:
        """What is left to do here, in words; None: nothing."""
        for name, hosted in list(self._assembly.hosted.items()):
            if left := await self._left(hosted):
                return f"{name}: {left}"
        return None

    async def _left(self, hosted: Hosted) -> str | None:
        if hosted.door.busy or any(worker.busy for worker in hosted.workers):
            return "handlers are running"
        if count := (await hosted.store.status()).outbox:
            return f"{count} messages in the outbox"
        scheduler = hosted.scheduler
        if scheduler is not None and (scheduler.busy or await hosted.store.next_due(scheduler.names) is not None):
            return "events wait to be run again, or for their first run"
        for subscription in hosted.subscriptions:
            if count := await self.broker.lag(subscription):
                return f"{count} messages of {', '.join(subscription.topics)} are not acknowledged"
        return None

    @property
    def stores(self) -> dict[str, Store]:
        """The open databases, by service."""
        return {name: hosted.store for name, hosted in self._assembly.hosted.items()}

    async def lag(self) -> dict[str, dict[str, int]]:
        """How many events the lanes of the services here have not acknowledged, all their processes together."""
        return {
            name: {subscription.group or "": await self.broker.lag(subscription) for subscription in hosted.subscriptions}
            for name, hosted in list(self._assembly.hosted.items())
        }

    @property
    def is_stopping(self) -> bool:
        """Whether the graceful shutdown has begun."""
        return self._stopped.is_set()

    def stop(self) -> None:
        """Begin the graceful shutdown; `wait_stopped` returns."""
        self._stopped.set()

    async def wait_stopped(self) -> None:
        """Run until `stop` is called."""
        await self._stopped.wait()


@asynccontextmanager
async def open(
    choreography: Choreography,
    *,
    services: Collection[str] | None = None,
    broker: str | Broker | None = None,
    database: str | Mapping[str, str] | None = None,
    world: World | None = None,
    options: Options | None = None,
    signals: Signals | None = None,
    provide: Mapping[Any, Any] | None = None,
) -> AsyncIterator[App]:
    """Open a choreography and run it until the `async with` ends.

    Parameters
    ----------
    choreography:
        What to run.
    services:
        The names of those to run here; None: all; empty: none (commands can still be sent).
    broker:
        A URL, or an adapter (which stays open when this ends). Default: from the configuration.
    database:
        A URL with `{service}` in it, or a URL per service. Default: from the configuration.
    world:
        Its clock and chance; the real one by default.
    options:
        Leases, windows, limits. Default: from the configuration.
    signals:
        Who listens; `app.counters` counts by default.
    provide:
        Takes the place of what services provide, by type: the object itself, or a function that opens it, as in `service.provide`.
        In tests, fakes for what is outside.

    Raises
    ------
    ConfigurationError
        A URL, file or service name is wrong, two services would share a database, or the window is shorter than the retries of a
        reaction may take.
    DeclarationError
        A reaction has a parameter that nobody can fill, or a type has no topic.
    """
    world = world or World()
    names = _chosen(choreography, services)
    for service in choreography.services.values():
        check_parameters(service)
    if broker is None or database is None or options is None:
        config = load()
        broker = broker or config.broker
        database = database or config.database_urls(choreography.services)
        options = options or Options(lease=config.lease, window=config.window, drain=config.shutdown)
    if isinstance(database, str):
        database = Config(database=database).database_urls(choreography.services)
    check_window(choreography, options.window)
    urls = database
    async with AsyncExitStack() as stack:
        if isinstance(broker, str):
            broker = open_broker(broker, world)
            stack.push_async_callback(broker.close)
            await broker.open()
        platform = Platform(
            broker,
            lambda service: open_store(_url_of(service, urls), world, tables=service.tables),
            world,
            options,
            signals or Counters(),
            provide or {},
            compile_saga,
        )
        yield await stack.enter_async_context(assemble(choreography, names, platform))


@asynccontextmanager
async def assemble(choreography: Choreography, names: Collection[str], platform: Platform) -> AsyncIterator[App]:
    """What `open` does once it is clear where everything is.

    Parameters
    ----------
    names:
        The services to run here.
    """
    app = App(choreography, platform)
    async with AsyncExitStack() as stack:
        assembly = app._assembly = Assembly(choreography, platform, stack=stack, stop=app.stop)
        try:
            await assembly.begin_groups()
            for name in names:
                await assembly.service(name)
            await assembly.watch()
            yield app
        finally:
            app.stop()
            await assembly.shut_down()


def _chosen(choreography: Choreography, services: Collection[str] | None) -> list[str]:
    check_services(choreography, services or ())
    return [name for name in choreography.services if services is None or name in services]


def _url_of(service: Service, urls: Mapping[str, str]) -> str:
    try:
        return urls[service.name]
    except KeyError:
        raise ConfigurationError(
            f"database: no URL for the service {service.name!r}. Add one, or give a URL with {{service}} in it"
        ) from None


def _traceparent() -> str | None:
    """The W3C trace context of the caller's current span, if there is one."""
    from opentelemetry import trace

    span = trace.get_current_span().get_span_context()
    if not span.is_valid:
        return None
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"
