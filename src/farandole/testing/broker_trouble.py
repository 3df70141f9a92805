"""The cases of publishing that fails in part, and of brokers that restart; part of `conformance_broker.BrokerSuite`.

Both need a hook of the adapter's tests, `refuse_some` and `restart`; without it they are skipped, and say so.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter
from collections.abc import Sequence

from farandole.brokers.base import Broker, Consumer, Delivery
from farandole.errors import BrokerClosed, BrokerError
from farandole.model.envelope import Message
from farandole.testing.broker_scene import BrokerCases, Scene, by_key, exactly, ids
from farandole.testing.checkers import Finding, altered, lost, out_of_order, require, unexpected

__all__ = ["TroubleCases"]

_log = logging.getLogger(__name__)


class TroubleCases(BrokerCases):
    """What must hold on bad days."""

    async def test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key(self) -> None:
        self.needs("refuse_some")
        async with self.scene() as (scene, broker):
            other = f"{scene.topic}-other"
            subscription = scene.of(topics=(scene.topic, other))
            await scene.begin(broker, subscription)
            sent = scene.messages(40, keys=4)
            elsewhere = scene.messages(8, keys=4, topic=other)
            batch = [*sent[:20], *elsewhere, *sent[20:]]
            refused = [sent[9], sent[14]]  # the third of key 1, the fourth of key 2
            held_back = {m.id for m in sent[9:] if m.key == refused[0].key} | {m.id for m in sent[14:] if m.key == refused[1].key}
            await self.refuse_some(broker, refused)
            try:
                results = await broker.publish(batch)
            except BrokerError:  # then nothing of it was published
                failed = held_back = {message.id for message in batch}
            else:
                assert len(results) == len(batch)
                failed = {message.id for message, result in zip(batch, results, strict=True) if result.error is not None}
                assert not any(result.permanent for result in results if result.error is not None)
                assert all(result.error for result in results if result.error is not None), "say why"
            assert failed == held_back, (
                "a result per message: those that were refused, and those of the same topic and key behind"
            )
            consumer = await broker.subscribe(subscription)
            first = await scene.read(consumer, len(batch) - len(held_back))
            await scene.nothing(consumer)
            await scene.publish(broker, [message for message in batch if message.id in failed])
            exactly(batch, [*first, *await scene.read(consumer, len(held_back))], at="the group, after another try")
            await scene.nothing(consumer)

    async def test_a_whole_batch_that_may_be_tried_again_comes_once_and_in_order(self) -> None:
        self.needs("refuse_some")
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(20, keys=2)
            await self.refuse_some(broker, sent[:2])
            tries, left = 0, sent
            while left:
                tries += 1
                assert tries < 10, f"{ids(left)} are refused for ever"
                with contextlib.suppress(BrokerError):  # nothing of it was published
                    results = await broker.publish(left)
                    left = [message for message, result in zip(left, results, strict=True) if result.error is not None]
            assert tries == 2
            consumer = await broker.subscribe(scene.of())
            assert by_key(await scene.read(consumer, 20)) == by_key(sent)
            await scene.nothing(consumer)

    async def test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order(self) -> None:
        """At a third and at two thirds of 10,000 messages. What comes again must have a reason."""
        self.needs("restart")
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            total = self.scaled(10_000, 600)
            story = Story(scene, total)
            workers = [asyncio.create_task(story.consume()) for _ in range(3)]
            sent = [scene.messages(total // 4, keys=25, mark=f"{n} ") for n in range(4)]
            publishing = [asyncio.create_task(story.publish(messages)) for messages in sent]
            everything = [message for some in sent for message in some]
            try:
                for part in (1, 2):
                    await story.until(part * len(everything) // 3, [*workers, *publishing])
                    begins = scene.world.monotonic() - self.shaken[0]
                    await self.restart()
                    story.restarts.append((begins, scene.world.monotonic() + self.shaken[1]))
                await story.until(len(everything), [*workers, *publishing])
                await asyncio.gather(*publishing)
                fresh = await scene.broker()
                await scene.settled(fresh, scene.of())
                await scene.world.sleep(self.quiet)
                story.over = True
                await asyncio.gather(*workers)
            finally:  # they would open brokers for ever
                for task in (*workers, *publishing):
                    task.cancel()
                await asyncio.gather(*workers, *publishing, return_exceptions=True)
            came = story.came
            again = {id: count - 1 for id, count in Counter(ids(came)).items() if count > 1}
            _log.info("%d messages, two restarts: %d came again", len(everything), sum(again.values()))
            require(
                lost(everything, ids(came), at="the group"),
                unexpected(everything, ids(came), at="the group"),
                out_of_order(everything, ids(came), at="the group") if broker.capabilities.assigns_partitions else (),
                altered([*everything, *came]),
                story.without_a_reason(again),
            )


class Story:
    """What publishers and consumers lived through while their broker restarted.

    Parameters
    ----------
    scene:
        Where they are.
    total:
        How many messages there are; publishers keep at most a tenth of them ahead of consumers.
    """

    def __init__(self, scene: Scene, total: int) -> None:
        self.came: list[Delivery] = []
        self.restarts: list[tuple[float, float]] = []
        self.over = False
        self._scene = scene
        self._ahead = max(200, total // 10)
        self._published = 0
        self._known: set[str] = set()
        self._unconfirmed: Counter[str] = Counter()  # publishes of which nobody knows whether they were stored
        self._unsettled: Counter[str] = Counter()  # deliveries of which the acknowledgement failed
        self._held: dict[str, list[tuple[float, float]]] = {}  # from when to when a message was in somebody's hands

    async def publish(self, left: Sequence[Message]) -> None:
        """As the relay does: in order, and what failed again and again."""
        world, broker = self._scene.world, await self._open()
        while left:
            if self._published - len(self._known) > self._ahead:
                await world.sleep(0.02)
                continue
            batch = left[:20]
            try:
                results = await broker.publish(batch)
            except BrokerError as error:
                self._unconfirmed.update(ids(batch))
                broker = await self._open() if isinstance(error, BrokerClosed) else broker
                await world.sleep(0.1)
                continue
            failed = [message for message, result in zip(batch, results, strict=True) if result.error is not None]
            assert not any(result.permanent for result in results if result.error is not None)
            self._unconfirmed.update(ids(failed))
            self._published += len(batch) - len(failed)
            left = [*failed, *left[20:]]
            await world.sleep(0.1 if failed else 0.01)

    async def consume(self) -> None:
        """As a worker does: what could not be acknowledged is given back."""
        world, consumer = self._scene.world, await self._join()
        hand: Sequence[Delivery] = ()
        while not self.over:
            try:
                if hand:
                    await consumer.release(hand)
                hand = ()
                hand = await consumer.fetch(50, 0.5)
                since = world.monotonic()
                self.came += hand
                self._known.update(ids(hand))
                await world.sleep(0.02)
                try:
                    await consumer.ack(hand)
                except BrokerError:
                    self._unsettled.update(ids(hand))
                    raise
                for delivery in hand:
                    self._held.setdefault(delivery.id, []).append((since, world.monotonic()))
                hand = ()
            except BrokerError as error:
                if isinstance(error, BrokerClosed):
                    consumer, hand = await self._join(), ()
                await world.sleep(0.1)
        await consumer.close()

    async def until(self, count: int, tasks: Sequence[asyncio.Task[None]]) -> None:
        """So many different messages came. Something new must come at least every `patience` seconds."""
        world, patience = self._scene.world, self._scene.patience
        known, until = -1, 0.0
        while len(self._known) < count:
            for task in tasks:
                if task.done():
                    task.result()
            if len(self._known) != known:
                known, until = len(self._known), world.monotonic() + patience
            assert world.monotonic() < until, f"after {known} of {count} messages no other came for {patience} s"
            await world.sleep(0.01)

    def without_a_reason(self, again: dict[str, int]) -> list[Finding]:
        """What came again though its publish was confirmed, and so was its acknowledgement, far from any restart."""
        found = []
        for id, times in again.items():
            shaken = sum(
                any(begins <= end and since <= ends for begins, ends in self.restarts) for since, end in self._held.get(id, ())
            )
            reasons = self._unconfirmed[id] + self._unsettled[id] + shaken
            if times > reasons:
                found.append(Finding("repeated", f"{id} came again {times} times, and there are {reasons} reasons for it", (id,)))
        return found

    async def _open(self) -> Broker:
        """Another handle, as soon as there is one."""
        world = self._scene.world
        until = world.monotonic() + self._scene.patience
        while True:
            try:
                return await self._scene.broker()
            except BrokerError:
                assert world.monotonic() < until, f"no broker answers, {self._scene.patience} s after the restart"
            await world.sleep(0.2)

    async def _join(self) -> Consumer:
        while True:
            try:
                return await (await self._open()).subscribe(self._scene.of())
            except BrokerError:
                await self._scene.world.sleep(0.2)
