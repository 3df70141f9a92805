"""Publishes to Kafka: hands messages to the client, whose own threads send them, and brings results back, once per batch.

Why nothing overtakes a message of its key that may be tried again: equal keys go to one partition, and the client is idempotent,
so the server takes the batches of a partition in their order or not at all. What the client gives up for a reason of the server's
is fatal to it (`enable.gapless.guarantee`): what stands behind fails too. And it gives up nothing for having waited
(`message.timeout.ms=0`): it would do so message by message, and a later one might still go. Instead, whoever sees no progress for
`patience` gives up all that is under way, at once, and a new client begins. What fails here without reaching the client is
remembered for the rest of its batch.

Why the first message of a partition goes alone: a server that knows nothing of a client there takes its batches from any number on.
If it refuses the first ("not leader", while a topic is being made or moves) and takes the second, which was under way already, the
client believes that the first arrived as well, and reports it (seen; the log lacked it). Once something was taken, a gap is noticed.
Servers forget a client after `producer.id.expiration.ms`, a day: so we forget each hour whom we met.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from farandole.brokers.base import PublishResult
from farandole.brokers.kafka import Settings
from farandole.brokers.kafka.admin import PERMANENT, words
from farandole.brokers.kafka.message import Parcel
from farandole.errors import ConfigurationError
from farandole.world import World

__all__ = ["Sender"]

_PUBLISHED = PublishResult()
_SLICE = 0.1  # seconds that the thread waits for results before it looks whether it should stop
_FULL = 0.005  # seconds until the client, full before, is tried again
_REMEMBERED = 3600.0  # seconds for which a partition counts as met

_SETTINGS = {
    "acks": "all",
    "enable.idempotence": True,
    "enable.gapless.guarantee": True,
    "message.timeout.ms": 0,
    "message.max.bytes": 1_000_000_000,  # the topics' own limits are looked at before
    "linger.ms": 1,
}


class _Flight:
    """A batch under way. `answered` counts in the thread; `expected` is set when all is handed over."""

    __slots__ = ("_loop", "answered", "done", "expected", "results")

    def __init__(self, results: list[PublishResult | None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.results = results
        self.answered = 0
        self.expected = -1
        self.done: asyncio.Future[None] = self._loop.create_future()

    def landed(self, index: int, error: KafkaError | None, message: Message) -> None:
        """The client's answer; called in the thread."""
        self.results[index] = _PUBLISHED if error is None else _failed(error)
        self.answered += 1
        if self.answered == self.expected:
            with contextlib.suppress(RuntimeError):  # the loop is gone, and nobody waits
                self._loop.call_soon_threadsafe(self.finish)

    def finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


class Sender:
    """One client for all that a broker publishes.

    Parameters
    ----------
    settings, world:
        The broker's.
    """

    def __init__(self, settings: Settings, world: World) -> None:
        self._settings = settings
        self._world = world
        self._last = ""
        self._client = self._begin()
        self._thread = ThreadPoolExecutor(1, "farandole-kafka-publish")
        self._flights: set[_Flight] = set()
        self._met: set[tuple[str, int]] = set()  # partitions that took something of this client
        self._met_since = world.monotonic()
        self._meeting = asyncio.Lock()
        self._sending = 0  # calls of `send`
        self._serving: asyncio.Task[None] | None = None
        self._given_up = False
        self._anew = asyncio.Event()

    async def send(self, parcels: Sequence[Parcel], results: list[PublishResult | None]) -> None:
        """Publish, and fill in the results."""
        self._sending += 1
        try:
            await self._ready()
            while self._firsts(parcels):
                async with self._meeting:
                    await self._ready()
                    await self._meet(parcels, results)
                parcels = [parcel for parcel in parcels if results[parcel.place] is None]
                await self._ready()
            if parcels:
                await self._fly(parcels, results)
        finally:
            self._sending -= 1

    async def _meet(self, parcels: Sequence[Parcel], results: list[PublishResult | None]) -> None:
        """Each partition that took nothing yet is to take one message. Where it does not, that one holds up the others."""
        client, firsts = self._client, self._firsts(parcels)
        if firsts:  # else others, who were before us, sent some
            await self._fly(list(firsts.values()), results)
        behind = PublishResult(f"{self._settings.place}: stands behind a message of its partition that failed")
        for partition, first in firsts.items():
            result = results[first.place]
            assert result is not None
            if not result.error and client is self._client:
                self._met.add(partition)
            elif result.error and not result.permanent:
                for parcel in parcels:
                    if (parcel.topic, parcel.partition) == partition and results[parcel.place] is None:
                        results[parcel.place] = behind

    def _firsts(self, parcels: Sequence[Parcel]) -> dict[tuple[str, int], Parcel]:
        """For each partition that took nothing yet, its first message."""
        now = self._world.monotonic()
        if now - self._met_since > _REMEMBERED:
            self._met_since = now
            self._met.clear()
        firsts: dict[tuple[str, int], Parcel] = {}
        for parcel in parcels:
            partition = parcel.topic, parcel.partition
            if partition not in self._met and partition not in firsts:
                firsts[partition] = parcel
        return firsts

    async def _fly(self, parcels: Sequence[Parcel], results: list[PublishResult | None]) -> None:
        """Send, and wait for the answers."""
        flight = _Flight(results)
        self._flights.add(flight)
        if self._serving is None:
            self._serving = asyncio.create_task(self._serve())
        try:
            flight.expected = await self._hand_over(parcels, flight)
            if flight.answered == flight.expected:
                flight.finish()
            await self._land(flight)
        finally:
            self._flights.discard(flight)
        if flight.answered == flight.expected:
            self._last = ""
        overdue = PublishResult(self._overdue())
        for parcel in parcels:
            result = results[parcel.place]
            if result is None:
                results[parcel.place] = result = overdue
            if result.error and not result.permanent:
                self._met.discard((parcel.topic, parcel.partition))  # perhaps it is gone, or made anew

    async def close(self) -> None:
        """Wait for what is under way, then stop."""
        while self._sending:
            if self._flights:
                await asyncio.wait([flight.done for flight in self._flights])
            await self._world.sleep(0)
        if self._serving is not None:
            await self._serving
        self._thread.shutdown(wait=False)

    async def _ready(self) -> None:
        """Until there is a client that was not given up."""
        while self._given_up:
            await self._anew.wait()

    async def _hand_over(self, parcels: Sequence[Parcel], flight: _Flight) -> int:
        """Give parcels to the client; how many it took."""
        client, taken = self._client, 0
        blocked: set[tuple[str, bytes]] = set()
        for index, topic, number, key, headers, value in parcels:
            if blocked and (topic, key) in blocked:
                flight.results[index] = PublishResult(f"{self._settings.place}: stands behind a message of its key that failed")
                continue
            landed = partial(flight.landed, index)
            while not self._given_up and client is self._client:
                try:
                    client.produce(topic, value, key, number, landed, headers=headers)  # type: ignore[arg-type]  # a mapping is taken
                    taken += 1
                except BufferError:
                    await self._world.sleep(_FULL)
                    continue
                except KafkaException as error:
                    flight.results[index] = result = _failed(error.args[0])
                    if not result.permanent:
                        blocked.add((topic, key))
                    self._given_up = self._given_up or error.args[0].fatal()
                break
        return taken

    async def _land(self, flight: _Flight) -> None:
        """Until all is answered, or nothing moves any more."""
        while not flight.done.done():
            before = flight.answered
            await asyncio.wait([flight.done], timeout=self._settings.patience)
            if flight.answered == before and not flight.done.done():
                self._given_up = True

    async def _serve(self) -> None:
        """While something is under way, a thread collects the client's answers."""
        run = asyncio.get_running_loop().run_in_executor
        while self._flights:
            await run(self._thread, self._collect)
            if self._given_up:
                await run(self._thread, self._begin_anew)
                self._met.clear()
                for flight in self._flights:
                    flight.finish()
                self._given_up = False
                self._anew.set()
                self._anew.clear()
        self._serving = None

    def _collect(self) -> None:
        while self._flights and not self._given_up:
            self._client.poll(_SLICE)

    def _begin(self) -> Producer:
        try:
            return Producer({**_SETTINGS, **self._settings.client, "error_cb": self._note})
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigurationError(f"{self._settings.place}: {words(error)}") from None

    def _begin_anew(self) -> None:
        self._client = self._begin()  # the old one forgets what it has, without a word

    def _note(self, error: KafkaError) -> None:
        if error.fatal():
            self._given_up = True
        if error.code() != KafkaError._ALL_BROKERS_DOWN or not self._last:
            self._last = words(error)

    def _overdue(self) -> str:
        why = f" ({self._last})" if self._last else ""
        return f"{self._settings.place} gave no answer for {self._settings.patience:g} s{why}; it may have arrived"


def _failed(error: KafkaError) -> PublishResult:
    return PublishResult(words(error), permanent=error.code() in PERMANENT)
