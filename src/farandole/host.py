"""The host: opens a choreography, or some services of it, on one broker and a database per service, and runs it.

async with farandole.open(shop) as app:
    receipt = await app.send(PlaceOrder(...), idempotency_key=request_id)
    outcome = await app.outcome(receipt.correlation_id, timeout=5)
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import parse_qsl

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.brokers.checks import retention_seconds
from farandole.config import Config, check_services, check_window, load
from farandole.errors import ConfigurationError, DeclarationError
from farandole.model.choreography import Choreography
from farandole.model.resources import check_parameters
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.observe.asking import Asking, Watching
from farandole.observe.fates import Fates
from farandole.observe.listeners import by_default, listeners_of
from farandole.observe.observer import Observer
from farandole.observe.record import MemoryRecord, Reading, Recorder, retention_of
from farandole.observe.status import Status
from farandole.observe.watch import Sink, sinks_of
from farandole.runtime.assembly import Assembly, Hosted, Options, Platform
from farandole.runtime.door import Receipt
from farandole.runtime.signals import Counters, Signals
from farandole.sagas import compile_saga
from farandole.stores import open_record, open_store, with_option
from farandole.stores.base import Store
from farandole.stores.record import Record
from farandole.world import World

__all__ = ["App", "Options", "Receipt", "Status", "assemble", "open", "record_of"]


class App(Asking):
    """A running choreography; made by `open`.

    Attributes
    ----------
    counters:
        What happened in this process so far, unless others listen: `handled`, `duplicates`, `retries`, `parked`, `dead`, `published`, …
    options:
        How it runs.
    listeners:
        Who observes it.
    """

    def __init__(self, choreography: Choreography, platform: Platform) -> None:
        super().__init__(choreography, platform)
        self.broker = platform.broker
        self.options = platform.options
        self.listeners = platform.signals.listeners if isinstance(platform.signals, Observer) else ()
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
        BreakerOpen
            What the handler needs is left alone just now.
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
        if self._recorder is not None and (count := await self._recorder.lag()):
            return f"{count} events are not recorded"
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
    def resting(self) -> dict[str, dict[str, float]]:
        """What this process leaves alone since its breaker is open: by service, each with the time until when, in seconds since 1970."""
        found = {name: hosted.outside.breakers.resting for name, hosted in self._assembly.hosted.items()}
        return {name: resting for name, resting in found.items() if resting}

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
async def open(  # noqa: PLR0913 - each says where something is
    choreography: Choreography,
    *,
    services: Collection[str] | None = None,
    broker: str | Broker | None = None,
    database: str | Mapping[str, str] | None = None,
    record: str | Record | None = None,
    retention: Mapping[str, float | str] | None = None,
    observe: Sequence[str | Signals] | None = None,
    alerts: Sequence[str | Sink] | None = None,
    watch: bool | None = None,
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
    record:
        Where all events are recorded, for `app.status`, `app.follow`, `app.outcome` and `farandole trace`: the URL of a database,
        `memory://` (the latest instances, in this process), `none`, or an adapter. Default: from the configuration; else in memory where
        the choreography has workflows.
    retention:
        How long the record keeps events of single types after the last event of their instance, such as `{"shop.StockChecked": "7d"}`;
        default: from the configuration, else for as long as the instance.
    observe:
        Who listens to single events: `"logs"`, `"metrics"`, `"traces"`, `"fates"`, or objects of your own. Default: from the configuration;
        else `"fates"` where the record is a database, and nobody elsewhere, which costs nothing.
    alerts:
        Who is told where a workflow stalls or a service level is missed: `"log"`, URLs of webhooks, or objects of your own. Default: from the
        configuration; else the log.
    watch:
        Whether this process records events, and keeps where each workflow is. Default: where it runs a service, and the record is a database.
    world:
        Its clock and chance; the real one by default.
    options:
        Leases, windows, limits. Default: from the configuration.
    signals:
        Takes the place of the observer that passes signals on to those who `observe`. `app.counters` counts by default.
    provide:
        Takes the place of what services provide, by type: the object itself, or a function that opens it, as in `service.provide`.
        In tests, fakes for what is outside.

    Raises
    ------
    ConfigurationError
        Something is not of the kind that is wanted; a URL, file or service name, or a retention is wrong, two services would share a database,
        or the window is shorter than the retries of a reaction may take.
    DeclarationError
        A reaction has a parameter that nobody can fill, or a type has no topic.
    """
    _check_kinds(locals())
    world = world or World()
    names = _chosen(choreography, services)
    for service in choreography.services.values():
        check_parameters(service)
    if broker is None or database is None or options is None:
        config = load()
        broker = broker or config.broker
        database = database or config.database_urls(choreography.services)
        record = record or config.record
        retention = config.retention if retention is None else retention
        observe = config.observe if observe is None else observe
        alerts = config.alerts if alerts is None else alerts
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
            signals or Observer(listeners_of(by_default(record) if observe is None else observe), world),
            provide or {},
            compile_saga,
            Wire(choreography),
        )
        if record is None:
            record = "memory://" if choreography.workflows else "none"
        recorder = _recorder(choreography, platform, record, retention or {})
        watching = Watching(sinks_of(("log",) if alerts is None else alerts, choreography.name), watch, alerts is not None)
        yield await stack.enter_async_context(assemble(choreography, names, platform, recorder, watching))


@asynccontextmanager
async def assemble(
    choreography: Choreography,
    names: Collection[str],
    platform: Platform,
    recorder: Recorder | None = None,
    watching: Watching | None = None,
) -> AsyncIterator[App]:
    """What `open` does once it is clear where everything is.

    Parameters
    ----------
    names:
        The services to run here.
    recorder:
        Not begun yet; None: nothing is recorded.
    watching:
        Whether instances are watched, and who is told; None: nobody watches.
    """
    app = App(choreography, platform)
    app._recorder, app._watching = recorder, watching or Watching((), watch=False)
    observer = platform.signals if isinstance(platform.signals, Observer) else Observer((), platform.world)
    observer.prepare(app)
    async with AsyncExitStack() as stack:
        assembly = app._assembly = Assembly(choreography, platform, stack=stack, stop=app.stop)
        try:
            await assembly.begin_groups()
            if recorder is not None:
                watch = app._watching.watch
                await recorder.begin(platform.broker, records=bool(names) if watch is None else watch)
            for name in names:
                await assembly.service(name)
            await observer.begin(app)
            app._begin_watching()
            yield app
        finally:
            app.stop()
            try:
                await assembly.shut_down()
            finally:
                await observer.close()
                if recorder is not None:
                    await recorder.finish()
                await app._end_watching()
                if recorder is not None:
                    await recorder.close()


def record_of(url: str, world: World, reading: Reading) -> tuple[Record, float | None]:
    """The record at a URL, not yet opened, and for how many seconds it keeps an instance after its last event (None: for ever).

    Parameters
    ----------
    url:
        As for a database, or `memory://`. Its option `retention` (30d) is such as `7d`, `12h`, `30m` or `forever`.
    reading:
        What is known of the choreography's events.

    Raises
    ------
    ConfigurationError
        The URL is wrong.
    """
    if url.startswith("memory:"):
        return MemoryRecord(reading), None
    keep = retention_seconds(url, {"retention": "30d", **dict(parse_qsl(url.partition("?")[2]))})
    return open_record(with_option(url, "retention", None), world), None if keep == float("inf") else keep


def _recorder(
    choreography: Choreography, platform: Platform, record: str | Record, retention: Mapping[str, float | str]
) -> Recorder | None:
    if record == "none":
        return None
    wire = platform.wire or Wire(choreography)
    reading = Reading(wire)
    kept, keep = record_of(record, platform.world, reading) if isinstance(record, str) else (record, None)
    thin = retention_of(retention, wire, keep)
    told = isinstance(platform.signals, Observer) and any(isinstance(one, Fates) for one in platform.signals.listeners)
    return Recorder(kept, choreography.name, reading, platform, keep=keep, thin=thin, fates=told)


def _is_list(given: Any) -> bool:
    return isinstance(given, Collection) and not isinstance(given, (str, bytes, Mapping))


_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "services": (_is_list, "a list of names"),
    "broker": (lambda given: isinstance(given, str) or hasattr(given, "subscribe"), "a URL or an adapter"),
    "database": (lambda given: isinstance(given, (str, Mapping)), "a URL with {service} in it, or a URL per service"),
    "record": (lambda given: isinstance(given, str) or hasattr(given, "shared"), "a URL or an adapter"),
    "retention": (lambda given: isinstance(given, Mapping), "a time per type of event"),
    "observe": (_is_list, "a list of names or objects"),
    "alerts": (_is_list, "a list of names, URLs or objects"),
    "world": (lambda given: isinstance(given, World), "a World"),
    "options": (lambda given: isinstance(given, Options), "Options(…)"),
    "signals": (lambda given: hasattr(given, "handled"), "an object with the methods of Signals"),
    "provide": (lambda given: isinstance(given, Mapping), "an object per type"),
}


def _check_kinds(given: Mapping[str, Any]) -> None:
    """What `open` was given is of the kinds that it takes. Values are not shown: they may hold passwords."""
    choreography = given["choreography"]
    if not isinstance(choreography, Choreography):
        raise ConfigurationError(f"open: expected a Choreography, got: {choreography!r}. Make one: Choreography(name, *services)")
    for name, (fits, wanted) in _KINDS.items():
        if given[name] is not None and not fits(given[name]):
            kind = type(given[name]).__name__
            raise ConfigurationError(f"open: {name}= takes {wanted}, got something of type {kind}")


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
