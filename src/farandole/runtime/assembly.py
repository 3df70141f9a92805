"""Puts the parts of each service together, starts them, and stops them in order."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from farandole.bell import end_all
from farandole.brokers.base import BeginsGroups, Broker, Delivery, Subscription
from farandole.errors import ConfigurationError, EnvelopeError, FarandoleError
from farandole.model.choreography import Choreography
from farandole.model.reaction import Reaction
from farandole.model.service import Provided, Service
from farandole.model.wire import Wire
from farandole.runtime import runs
from farandole.runtime.batch import row_of
from farandole.runtime.breaker import Breakers
from farandole.runtime.door import Door
from farandole.runtime.janitor import Janitor
from farandole.runtime.lanes import lanes_of
from farandole.runtime.outside import Outside
from farandole.runtime.plan import Limits, Plan, compile_plan
from farandole.runtime.relay import Relay
from farandole.runtime.scheduler import Scheduler
from farandole.runtime.signals import Signals
from farandole.runtime.worker import Reader, Worker
from farandole.stores.base import InboxRow, Store
from farandole.world import World

__all__ = ["Assembly", "Compile", "Hosted", "Options", "Platform"]

Compile = Callable[[Reaction[Any, Any, Any], Service, Wire, Mapping[Any, Any], Limits], Plan]
"""Makes the plan of a reaction: `plan.compile_plan`, or something around it."""


@dataclass(frozen=True, slots=True)
class Options:
    """How a host runs; all in seconds.

    Attributes
    ----------
    lease:
        How long a claim lasts without a sign of life.
    window:
        How long the inbox remembers what was handled.
    drain:
        How long a shutdown waits for running handlers before it gives their events back.
    poll:
        How long a part that has nothing to do waits before it looks again, in case that nobody woke it.
    limits:
        Bounds on depth and sizes.
    """

    lease: float = 10.0
    window: float = 7 * 86400.0
    drain: float = 30.0
    poll: float = 1.0
    limits: Limits = field(default_factory=Limits)


@dataclass(frozen=True, slots=True)
class Platform:
    """What services run on.

    Attributes
    ----------
    broker:
        Opened.
    open_store:
        Makes the store of a service, not yet opened.
    world, options, signals:
        As in `farandole.open`.
    provide:
        Takes the place of what services provide, by type.
    compile:
        Makes the plan of a reaction.
    wire:
        The bindings of the choreography, where they are at hand already.
    """

    broker: Broker
    open_store: Callable[[Service], Store]
    world: World
    options: Options
    signals: Signals
    provide: Mapping[Any, Any] = field(default_factory=dict)
    compile: Compile = compile_plan
    wire: Wire | None = None


@dataclass
class Hosted:
    """One service in this process; without a scheduler and workers only its door is here."""

    service: Service
    store: Store
    plans: dict[str, Plan]
    outside: Outside
    relay: Relay
    door: Door
    scheduler: Scheduler | None = None
    workers: list[Worker] = field(default_factory=list)
    subscriptions: list[Subscription] = field(default_factory=list)


class Assembly:
    """Puts the parts of each service together, starts them, and stops them in order."""

    def __init__(
        self, choreography: Choreography, platform: Platform, *, stack: AsyncExitStack, stop: Callable[[], None]
    ) -> None:
        self.hosted: dict[str, Hosted] = {}
        self._choreography = choreography
        self._wire = platform.wire or Wire(choreography)
        self._platform = platform
        self._broker = platform.broker
        self._world = platform.world
        self._signals = platform.signals
        self._options = platform.options
        self._stack = stack
        self._stop = stop
        self._consuming: list[asyncio.Task[None]] = []
        self._relaying: list[asyncio.Task[None]] = []
        self._others: list[asyncio.Task[None]] = []
        self._doors = asyncio.Lock()

    async def begin_groups(self) -> None:
        """On a broker without a history: begin the groups of all services, wherever they run, before anything is published."""
        if isinstance(self._broker, BeginsGroups):
            for service in self._choreography.services.values():
                for lane in lanes_of(self._choreography, service, self._wire):
                    await self._broker.begin(lane.subscription)

    async def service(self, name: str) -> None:
        """Run a service here."""
        hosted = await self._base(name)
        service, store = hosted.service, hosted.store
        readers: list[Reader] = []
        by_id = {plan.id: plan for plan in hosted.plans.values()}
        scheduler = Scheduler(
            name,
            by_id,
            store,
            self._world,
            self._signals,
            hosted.outside,
            reread=lambda row: _reread(readers, row),
            wake_relay=hosted.relay.wake,
            lease=self._options.lease,
            poll=self._options.poll,
        )
        hosted.scheduler = scheduler
        for lane in lanes_of(self._choreography, service, self._wire):
            mine = [by_id[reaction.id] for reaction in lane.reactions]
            reader = Reader(name, mine, self._wire.types_of_topic, self._options.limits, reports=lane.first)
            readers.append(reader)
            worker = Worker(
                lane,
                reader,
                store,
                await self._broker.subscribe(lane.subscription),
                self._world,
                self._signals,
                wake_relay=hosted.relay.wake,
                wake_scheduler=scheduler.wake,
                poll=self._options.poll,
                concurrency=max(plan.policy.concurrency for plan in mine),
                bound=lambda reaction: by_id[reaction].policy.parked_per_key,
            )
            hosted.workers.append(worker)
            hosted.subscriptions.append(lane.subscription)
            self._consuming.append(self._start(worker.run(), f"{lane.group} worker"))
        self._consuming.append(self._start(scheduler.run(), f"{name} scheduler"))
        janitor = Janitor(name, store, self._world, self._signals, self._options.window)
        self._others.append(self._start(janitor.run(), f"{name} janitor"))

    async def door(self, name: str) -> Door:
        """The door of a service. One that does not run here gets its store, its relay and its door, and nothing else."""
        async with self._doors:
            hosted = self.hosted.get(name) or await self._base(name)
            return hosted.door

    async def _base(self, name: str) -> Hosted:
        service = self._choreography.services[name]
        given = await self._provide(service)
        store = self._platform.open_store(service)
        await store.open()
        self._stack.push_async_callback(store.close)
        limits = self._options.limits
        plans = {
            reaction.name: self._platform.compile(reaction, service, self._wire, given, limits)
            for reaction in service.reactions.values()
        }
        if self._signals.listens:
            for plan in plans.values():
                runs.watch(plan, self._signals)
        declared = {given.type: given.breaker for given in service.provided if given.breaker is not None}
        breakers = Breakers(name, declared, self._world, self._signals)
        outside = Outside(store, max((plan.policy.concurrency for plan in plans.values()), default=1), breakers)
        self._stack.callback(outside.close)
        relay = Relay(name, store, self._broker, self._world, self._signals, poll=self._options.poll)
        commands = {
            command: plans[handler.name] for command, handler in self._choreography.commands.items() if handler.service == name
        }
        door = Door(
            name, commands, store, self._world, self._wire, outside, self._signals, lambda posted: self._wake(name, posted=posted)
        )
        self._relaying.append(self._start(relay.run(), f"{name} relay"))
        hosted = Hosted(service, store, plans, outside, relay, door)
        self.hosted[name] = hosted
        return hosted

    def _wake(self, name: str, *, posted: bool) -> None:
        """Commands were carried out: their events wait in the outbox, and rows of the inbox, where they posted some."""
        hosted = self.hosted[name]
        hosted.relay.wake()
        if posted and hosted.scheduler is not None:
            hosted.scheduler.wake()

    async def _provide(self, service: Service) -> dict[Any, Any]:
        """Open what the service provides; async generators are closed when the host ends."""
        return {given.type: await self._open_one(service, given) for given in service.provided}

    async def _open_one(self, service: Service, given: Provided) -> Any:
        source = self._platform.provide.get(given.type, given.source)
        if not (inspect.isroutine(source) or inspect.isclass(source) or isinstance(source, partial)):
            return source
        try:
            value = source()
            if inspect.isasyncgen(value):
                opener = asynccontextmanager(lambda: value)
                return await self._stack.enter_async_context(opener())
            return await value if inspect.isawaitable(value) else value
        except FarandoleError:
            raise
        except Exception as error:
            name = getattr(given.type, "__name__", given.type)
            raise ConfigurationError(f"{service.name}: opening its {name} failed: {type(error).__name__}: {error}") from error

    def _start(self, part: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.create_task(part, name=name)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A part that dies of an error nobody foresaw stops the host: better than half a service."""
        if not task.cancelled() and (error := task.exception()) is not None:
            self._signals.trouble(task.get_name(), error)
            self._stop()

    async def shut_down(self) -> None:
        """Stop fetching, drain, publish what was committed, close."""
        grace = self._options.drain
        for hosted in self.hosted.values():
            for worker in hosted.workers:
                worker.stop()
            if hosted.scheduler:
                hosted.scheduler.stop()
        await _end(self._consuming, grace)
        for hosted in self.hosted.values():
            await hosted.door.close()
            hosted.relay.stop()
        await _end(self._relaying, grace)
        await _end(self._others, 0.0)
        _raise_first([*self._consuming, *self._relaying])


async def _end(tasks: list[asyncio.Task[None]], grace: float) -> None:
    """Wait for tasks to end by themselves for `grace` seconds, then cancel them."""
    if tasks:
        await asyncio.wait(tasks, timeout=grace)
        await end_all(tasks)


def _raise_first(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        if not task.cancelled() and (error := task.exception()) is not None:
            raise error


def _reread(readers: list[Reader], row: InboxRow) -> list[InboxRow]:
    """The waiting rows for a message that could not be read before."""
    delivery = Delivery(topic=row.topic, partition=0, position=0, body=row.body, key=row.key, id=row.id)
    rows: list[InboxRow] = []
    for reader in readers:
        works, dead = reader.read([delivery])
        if dead:
            raise EnvelopeError(dead[0].reason or "unreadable")
        rows += [row_of(work, due=0.0) for work in works]
    return rows
