"""A member of a group on RabbitMQ.

Each partition number has a channel, on which its queues of all topics are consumed. To give a partition up is to close its channel:
that puts all its unacknowledged messages back at once, in order, and only then another consumer becomes active. No other way keeps
the order (measured): a quorum queue puts what comes back behind what came back before and was not delivered again yet. For the same
reason all members prefetch equally much: the next owner then gets all that came back in one go.

What comes back is flagged by the server, though most of it only waited here. So whoever gives a partition up cleanly leaves a note
for the next owner: the ids of what it never handed out. Without a note more is suspected than need be, never less.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Sequence
from functools import partial
from itertools import islice
from typing import Any

import msgspec
from aiormq.abc import AbstractChannel, DeliveredMessage
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp import commands as spec

from farandole.bell import Bell
from farandole.brokers.base import Delivery
from farandole.brokers.rabbitmq.consumer import PREFETCH, RabbitConsumer, Share
from farandole.brokers.rabbitmq.group import BEAT, Members, Word, hear, say
from farandole.brokers.rabbitmq.link import PATIENCE, Link, hang_up, in_our_words, to_its_end
from farandole.brokers.rabbitmq.publisher import Publisher
from farandole.brokers.rabbitmq.setup import Setup, members_name, notes_name, queue_name
from farandole.errors import BrokerError
from farandole.world import World

__all__ = ["Member"]

_log = logging.getLogger(__name__)
_SWIFT = 2.0  # seconds in which a server answers that has nothing else to do
_GREETING = 0.3  # seconds in which others have answered a greeting
_LONG = 60.0
"""Seconds that we wait for a queue that was silent, on a connection of its own.

Where a queue has no leader, the server keeps whoever consumes it waiting. After 65 s it gives up, and with it the whole connection, whatever
else is consumed there. So one silent partition interrupts the others once, and no more; and it goes on as soon as there is a leader.
"""
_SILENT = (
    "%s: partition %d of group %r is silent: the queue %s did not answer within %g s. It is tried on. Look at it with rabbitmq-queues "
    "quorum_status; if all servers are up and it has no leader, see RabbitMQ in docs/brokers.md"
)
_NOTES: dict[str, Any] = {"x-queue-type": "classic", "x-expires": 7 * 86400 * 1000, "x-max-length": 100}


class Member(RabbitConsumer):
    """One member of a group.

    Parameters
    ----------
    link, world:
        The connection to consume on; the broker's world.
    group, topics:
        What is consumed.
    setup, publisher:
        The broker's.
    """

    def __init__(self, link: Link, world: World, group: str, topics: tuple[str, ...], setup: Setup, publisher: Publisher) -> None:
        super().__init__(link, world, topics)
        self.group = group
        self._setup = setup
        self._publisher = publisher
        self._partitions = 0
        self._members = Members(world.token())
        self._alarm = Bell()
        self._answered = Bell()
        self._greet = False
        self._spoke = 0.0  # when we last said that we live
        self._talk: AbstractChannel | None = None
        self._lock, self._learning = asyncio.Lock(), asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._taking: dict[int, asyncio.Task[None]] = {}
        self._silent: set[int] = set()  # partitions that did not answer when they were last tried

    async def open(self) -> None:
        """Join the group: make its queues, get to know the others, take what is ours."""
        self._partitions = await self._setup.group(self.group, self.topics)
        async with self._link.visit("a group could not be looked at") as channel:
            busy = (await channel.queue_declare(queue_name(self.group, self.topics[0], 0), passive=True)).consumer_count
        await self._attend()
        if busy:
            await self._answered.wait(_GREETING)
        await self.balance()
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """See `Consumer.close`."""
        if self.closed:
            return
        self.closed = True
        self.wake()
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
        await to_its_end(self._leave())

    async def _leave(self) -> None:
        async with self._lock:
            await self._tell(Word("bye", self._members.own))
            if self._taking:
                await asyncio.wait(self._taking.values(), timeout=_SWIFT)
            for task in self._taking.values():
                task.cancel()
            await asyncio.gather(*self._taking.values(), return_exceptions=True)
            await asyncio.gather(*(self._give_up(share) for share in self._all()))
            if self._talk is not None:
                await hang_up(self._talk)

    async def balance(self) -> None:
        """Take what is ours by now, and give up what is not and is not in hand.

        Raises
        ------
        BrokerError
            Something that was lost cannot be made anew now.
        """
        async with self._lock:
            if self.closed:
                return
            self._broken = False
            try:
                await self._attend()
                ours = self._members.share(self._partitions)
                for share in self._all():
                    share.leaving = share.number not in ours
                leaving = [share for share in self._all() if share.leaving and not share.out]
                await asyncio.gather(*(self._give_up(share) for share in leaving))
                await self._take_all([number for number in sorted(ours) if number not in {*self._shares, *self._taking}])
            except BaseException:
                self._broken = True
                raise
            self.bell.ring()

    async def word(self) -> Word:
        """What we have in hand, for whoever asks."""
        held = dict(await to_its_end(self.held()))
        return Word("count", self._members.own, held, dict.fromkeys(self.topics, len(self._shares)))

    async def _mend(self) -> None:
        await self.balance()

    def _lost(self) -> None:
        super()._lost()
        self._alarm.ring()

    def _freed(self, shares: Iterable[Share]) -> None:
        if any(share.leaving and not share.out for share in shares):
            self._alarm.ring()

    async def _keep(self) -> None:
        """Say that we live, however long the consumer handles; give up and take partitions when somebody came or went."""
        while True:
            await self._alarm.wait(BEAT)
            self._alarm.still()
            await to_its_end(self._look_around())

    async def _look_around(self) -> None:
        now = self._world.monotonic()
        if self._greet or now >= self._spoke + BEAT:
            self._greet = False
            await self._tell(Word("beat", self._members.own))
        self._members.bury(now)
        with contextlib.suppress(BrokerError):  # it is tried again, and a fetch meets it and raises
            await self.balance()

    # partitions

    async def _take_all(self, numbers: Sequence[int]) -> None:
        """Consume these, at once. A queue without a leader does not answer: it holds up nobody, and is tried on in the background."""
        if numbers:
            tasks = {number: asyncio.create_task(self._take_up(number)) for number in numbers}
            self._taking |= tasks
            for number, task in tasks.items():
                task.add_done_callback(partial(self._taken, number))
            done, _ = await asyncio.wait(tasks.values(), timeout=_SWIFT)
            problems = [problem for task in done if (problem := task.exception()) is not None]
            if problems and len(problems) == len(tasks):
                raise problems[0]

    def _taken(self, number: int, task: asyncio.Task[None]) -> None:
        del self._taking[number]
        if not task.cancelled() and task.exception() is None:
            self.bell.ring()

    async def _take_up(self, number: int) -> None:
        """Consume a partition of all topics."""
        for attempt in range(0 if self.closed else 2):
            share = await self._begin(number)
            try:
                with in_our_words(self._link.place, f"partition {number} of group {self.group!r} could not be consumed"):
                    async with asyncio.timeout(PATIENCE):
                        await share.channel.basic_qos(prefetch_count=PREFETCH)
                    for topic in self.topics:
                        await self._consume(share, topic)
            except BrokerError as error:
                self._drop(share)
                await share.end()
                if attempt or not isinstance(error.__cause__, ChannelNotFoundEntity):
                    raise
                self._setup.forget(self.topics)  # somebody deleted queues of ours
                await self._setup.group(self.group, self.topics)
            except BaseException:
                self._drop(share)
                await share.end()
                raise
            else:
                share.answers = True
                self._silent.discard(number)
                self._watch(share)
                return

    async def _begin(self, number: int) -> Share:
        """A channel for a partition. One that was silent gets a connection of its own: see `_LONG`."""
        if number not in self._silent:
            share = Share(number, await self._link.channel())
        else:
            own = self._link.another()
            try:
                share = Share(number, await own.channel(), own)
            except BaseException:
                await own.close()
                raise
        self._shares[number] = share
        return share

    async def _consume(self, share: Share, topic: str) -> None:
        number, name = share.number, queue_name(self.group, topic, share.number)
        if number >= await self._setup.topic(topic):
            return

        def place(_: DeliveredMessage) -> tuple[str, int]:
            return topic, number

        try:
            async with asyncio.timeout(PATIENCE if share.own is None else _LONG):
                await share.channel.basic_consume(name, self._arrival(share, place))
        except TimeoutError:
            if number not in self._silent:
                self._silent.add(number)
                _log.warning(_SILENT, self._link.place, number, self.group, name, PATIENCE)
            raise

    async def _give_up(self, share: Share) -> None:
        """Let others have a partition, with a note of what was never handed out."""
        taking = self._taking.get(share.number)
        if taking is not None:  # it closes its channel
            taking.cancel()
            await asyncio.wait([taking])
            return
        waiting = self._drop(share)
        held = {position for position in share.out if position in share.known}
        if waiting or share.innocent:
            await self._leave_note(share, waiting, suspicious=bool(held))
        await share.end()

    async def _leave_note(self, share: Share, waiting: list[Delivery], *, suspicious: bool) -> None:
        ids = [(d.topic, d.id) for d in waiting if d.id and not d.redelivered]
        ids += share.innocent or ()
        if not ids:
            return
        name = notes_name(self.group, share.number)
        with contextlib.suppress(BrokerError):  # then more is suspected than need be
            channel = await self._link.channel(confirms=True)
            try:
                with in_our_words(self._link.place, "a note could not be left"):
                    async with asyncio.timeout(PATIENCE / 3):
                        await channel.queue_declare(name, durable=True, arguments=_NOTES)
                        properties = spec.Basic.Properties(delivery_mode=2)
                        await channel.basic_publish(msgspec.json.encode(ids), routing_key=name, properties=properties)
            finally:
                await hang_up(channel)

    async def _look_closely(self, limit: int) -> None:
        """Before something is handed out that came back: read what the last owner left a note of."""
        while True:
            flagged = {d.partition for d in islice(self._ready, limit) if d.redelivered}
            unread = [self._shares[number] for number in flagged if self._shares[number].innocent is None]
            if not unread:
                return
            await to_its_end(self._learn(unread))

    async def _learn(self, shares: Sequence[Share]) -> None:
        async with self._learning:
            for share in shares:
                if share.innocent is None:
                    share.innocent = await self._read_notes(share.number)

    async def _read_notes(self, number: int) -> set[tuple[str, str]]:
        """What the last owner left; read is deleted, before anything is handed out: from then on all is suspect again."""
        found: set[tuple[str, str]] = set()
        with contextlib.suppress(BrokerError):
            async with self._link.visit("notes could not be read") as channel:
                while True:
                    note = await channel.basic_get(notes_name(self.group, number), no_ack=True)
                    if isinstance(note.delivery, spec.Basic.GetEmpty):
                        break
                    with contextlib.suppress(msgspec.DecodeError):
                        found.update(msgspec.json.decode(note.body, type=list[tuple[str, str]]))
        return found

    # talking to others

    async def _attend(self) -> None:
        """Be reachable for the others, and greet them."""
        if self._talk is not None and not self._talk.is_closed:
            return
        again, self._talk = self._talk is not None, None
        channel = await self._link.channel()
        with in_our_words(self._link.place, f"group {self.group!r} could not be joined"):
            async with asyncio.timeout(PATIENCE):
                name = members_name(self.group)
                await channel.exchange_declare(name, exchange_type="fanout", durable=True)
                queue = (await channel.queue_declare(exclusive=True, auto_delete=True)).queue or ""
                await channel.queue_bind(queue, name)
                await channel.basic_consume(queue, self._hear, no_ack=True)
        self._talk = channel
        channel.closing.add_done_callback(lambda _: self._lost())
        if again:
            self._members.spare(self._world.monotonic())
        await self._tell(Word("hello", self._members.own))

    async def _hear(self, message: DeliveredMessage) -> None:
        word, own, now = hear(message.body), self._members.own, self._world.monotonic()
        if word is None or word.name == own or self.closed:
            return
        if word.kind == "ask":
            reply_to = message.header.properties.reply_to
            with contextlib.suppress(BrokerError):
                await self._publisher.tell("", reply_to or "", say(await self.word()))
            return
        news = self._members.left(word.name) if word.kind == "bye" else self._members.heard(word.name, now)
        if word.kind == "hello":
            self._greet = True
        self._answered.ring()
        if news or self._greet:
            self._alarm.ring()

    async def _tell(self, word: Word) -> None:
        self._spoke = self._world.monotonic()
        with contextlib.suppress(BrokerError):  # then others take us for dead for a while; the server knows better
            await self._publisher.tell(members_name(self.group), "", say(word))
