"""The simulated broker: an ordinary adapter that keeps its contract and nothing more, on good days and bad ones.

    cluster = Cluster(world, ROUGH)
    async with farandole.open(shop, broker=broker, world=world):    # broker = cluster.connect(), opened
        ...
        cluster.heal()

With all rates at 0 it is the broker in memory. `subscribe` and `lag` are never struck: a program whose broker is away when it starts
does not start, which is no future worth many rehearsals.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from farandole.brokers.base import Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.checks import check_subscription, refused
from farandole.brokers.lane import by_lane
from farandole.brokers.memory import MemoryConsumer
from farandole.errors import BrokerClosed, BrokerError, ConfigurationError
from farandole.model.envelope import Message
from farandole.rehearse.cluster import Cluster, Place
from farandole.rehearse.dice import Strike
from farandole.rehearse.systematic import AGAIN, HAPPENINGS, Director
from farandole.rehearse.tasks import later
from farandole.world import World

__all__ = ["SimulatedBroker", "SimulatedConsumer"]

_PUBLISHED = PublishResult()


class SimulatedBroker:
    """One process's connection to a `Cluster`; made by `Cluster.connect`."""

    def __init__(self, cluster: Cluster, world: World) -> None:
        self.capabilities = cluster.capabilities
        self.cluster = cluster
        self.world = world
        self._consumers: list[SimulatedConsumer] = []
        self._open = False
        self._node = str(getattr(world, "node", "client"))
        self._cut_until = self._mute_until = 0.0

    async def open(self) -> None:
        self._open = True

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        self._check()
        self.world.point("broker.publish:before")
        cluster = self.cluster
        await self.reach("publish")
        if self.strike("refused"):
            raise BrokerError("publish: the simulated broker refused it")
        if failover := self.strike("failover"):
            cluster.fail_over(failover)
            raise BrokerError("publish: the simulated broker failed over")
        results, stored = self._sort(batch)
        publish = cluster.accept(stored)
        try:
            await self.answer("publish")
            if self.strike("unanswered"):
                raise BrokerError("publish: no answer came; whether it was stored is unknown")
        except BrokerError as error:
            return [result if result.permanent else PublishResult(str(error)) for result in results]
        finally:
            cluster.answered(publish)
        self.world.point("broker.publish:after")
        return results

    def _sort(self, batch: Sequence[Message]) -> tuple[list[PublishResult], list[Message]]:
        """The result of each message, and those that are stored."""
        results: list[PublishResult] = []
        stored: list[Message] = []
        broken: set[tuple[str, str]] = set()
        for message in batch:
            result = refused(message, self.capabilities.max_bytes)
            if result is None and (message.topic, message.key) in broken:
                result = PublishResult("not tried: one before it of the same key failed")
            elif result is None and (partial := self.strike("partial")):
                result = PublishResult("no answer for this one; whether it was stored is unknown")
                broken.add((message.topic, message.key))
                if self.cluster.dice.chance(partial).random() < 0.5:
                    stored.append(message)
            elif result is None:
                stored.append(message)
            results.append(result or _PUBLISHED)
        return results, stored

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        check_subscription(subscription)
        if not self.capabilities.replay and subscription.start not in ("beginning", "end"):
            raise ConfigurationError(f'{subscription}: this broker has no replay; start= is "beginning" or "end"')
        consumer = SimulatedConsumer(self, MemoryConsumer(self.cluster.log, subscription, self.world))
        self.cluster.begun(subscription)
        self.cluster.consumers.append(consumer)
        self._consumers.append(consumer)
        return consumer

    async def lag(self, subscription: Subscription) -> int:
        self._check()
        check_subscription(subscription)
        return self.cluster.lag(subscription)

    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()
        self._consumers.clear()
        self._open = False

    def _check(self) -> None:
        if not self._open:
            raise BrokerClosed("this simulated broker is not open: call open() first, and nothing after close()")

    # ---- the wire --------------------------------------------------------------------------------------------------------

    def strike(self, fault: str) -> Strike | None:
        """Whether a fault strikes this connection."""
        strike = self.cluster.dice.strike(fault, self._node)
        if strike is not None:
            self.world.point(f"broker.fault:{fault}")
        return strike

    async def reach(self, what: str) -> None:
        """The way there; raises `BrokerError` where the broker never hears of it."""
        if cut := self.strike("cut"):
            self.cut_off(cut.size)
        if one_way := self.strike("one_way"):
            self._mute_until = max(self._mute_until, self.world.monotonic() + one_way.size)
        before = self.cluster.takeovers
        await self._travel()
        if self._lasts(self._cut_until) or self.cluster.takeovers != before:
            raise BrokerError(f"{what}: no connection to the simulated broker")

    async def answer(self, what: str) -> None:
        """The way back; raises `BrokerError` where the answer is lost."""
        before = self.cluster.takeovers
        await self._travel()
        if self._lasts(self._cut_until) or self._lasts(self._mute_until) or self.cluster.takeovers != before:
            raise BrokerError(f"{what}: no answer came; whether it was done is unknown")

    async def _travel(self) -> None:
        if slow := self.strike("slow"):
            await self.world.sleep(slow.size)

    def die(self, after: float) -> None:
        """The process is dead; the broker finds out so many seconds later."""
        self.cut_off(after + 1.0)
        for consumer in self._consumers:
            later(after, consumer.die)

    def silent(self, seconds: float) -> None:
        """The broker hears nothing of the process for so long."""
        for consumer in self._consumers:
            consumer.silent(seconds)

    def _lasts(self, until: float) -> bool:
        return self.world.monotonic() < until and not self.cluster.dice.resting

    def cut_off(self, seconds: float) -> None:
        """For so long nothing passes, in either direction."""
        self._cut_until = max(self._cut_until, self.world.monotonic() + seconds)
        for consumer in self._consumers:
            consumer.wake()  # what waits finds out
        self.silent(seconds)


class SimulatedConsumer:
    """One member of a group, or a listener of its own.

    Attributes
    ----------
    hand:
        What the broker knows to be in its hands: only that can it settle or give back.
    """

    def __init__(self, broker: SimulatedBroker, inner: MemoryConsumer) -> None:
        self._broker = broker
        self._cluster = cluster = broker.cluster
        self._inner = inner
        self._name = cluster.name_of(inner)
        self._expired = self._closed = self._dead = False
        self.hand: dict[Place, Delivery] = {}
        self.wake = inner.wake

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        self._check()
        await self._broker.reach("fetch")
        self.come_back()
        found = self._take(await self._inner.fetch(limit, wait))
        if found and self._cluster.director is not None and self._inner.group is not None:
            found = await self._directed(self._cluster.director, found)
        try:
            await self._broker.answer("fetch")
        except BaseException:  # cancelled, or the answer was lost: they come again
            self._give_back(found)
            raise
        self._cluster.hand_over(self._name, found)
        try:
            if found:
                await self._stand_still()
        except BaseException:
            self._give_back(found, suspect=True)
            raise
        return found

    async def _directed(self, director: Director, found: list[Delivery]) -> list[Delivery]:
        """One of these, when its turn has come; the others go back."""
        heads = {(delivery.topic, delivery.partition): delivery for delivery in reversed(found)}
        chosen, happening = await director.turn(self._name.rpartition("/")[0], list(heads.values()))
        self._give_back([delivery for delivery in found if delivery is not chosen])
        if chosen is None:
            return []
        if happening == AGAIN:
            self._cluster.repeat(chosen)
        elif happening:
            self._broker.world.doom = HAPPENINGS[happening]  # type: ignore[attr-defined]
        return [chosen]

    def _take(self, found: Sequence[Delivery]) -> list[Delivery]:
        """Into its hands, without what a failover took out of the log."""
        gone = [delivery for delivery in found if _place(delivery) in self._cluster.gone]
        if gone:
            self._inner.settle(gone)
        taken = [delivery for delivery in found if _place(delivery) not in self._cluster.gone]
        self.hand.update((_place(delivery), delivery) for delivery in taken)
        if not self._cluster.capabilities.redelivery_flag:
            taken = [msgspec.structs.replace(delivery, redelivered=False) for delivery in taken]
        return taken

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        point = self._broker.world.point
        point("broker.ack:before")
        await self._broker.reach("ack")
        await self._stand_still()
        if failover := self._broker.strike("failover"):
            self._cluster.fail_over(failover)
            raise BrokerError("ack: the simulated broker failed over")
        self._settle(deliveries)
        await self._broker.answer("ack")
        point("broker.ack:after")

    def _settle(self, deliveries: Sequence[Delivery]) -> None:
        known = [delivery for delivery in deliveries if self.hand.pop(_place(delivery), None) is not None]
        self._inner.settle(known)
        if not self._cluster.capabilities.fenced_ack and len(known) < len(deliveries):
            for lane, positions in by_lane(deliveries).items():
                if lane in self._inner.lanes:
                    self._inner.lanes[lane].settle(positions)

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        point = self._broker.world.point
        point("broker.release:before")
        await self._broker.reach("release")
        self._give_back(deliveries)
        await self._broker.answer("release")
        point("broker.release:after")

    def _give_back(self, deliveries: Sequence[Delivery], *, suspect: bool = False) -> None:
        if self._dead:
            return
        known = [known for delivery in deliveries if (known := self.hand.pop(_place(delivery), None)) is not None]
        if suspect:
            known = [msgspec.structs.replace(delivery, redelivered=True) for delivery in known]
        self._inner.give_back(known)
        if self._inner.group is not None and known and not self._cluster.capabilities.assigns_partitions:
            self._inner.group.balance()  # the others may have them

    async def close(self) -> None:
        if self._closed or self._dead:
            return
        self._closed = True
        self._leave()
        self._cluster.consumers.remove(self)
        await self._inner.close()

    def _check(self) -> None:
        if self._closed:
            raise BrokerClosed("this simulated consumer is closed: subscribe again")

    def die(self) -> None:
        """Its process is dead: the broker gives what it had to others."""
        if not self._closed and not self._dead:
            self._leave()
            self._cluster.consumers.remove(self)
        self._dead = True

    # ---- standing still, and being counted as dead ---------------------------------------------------------------------------

    async def _stand_still(self) -> None:
        if pause := self._broker.strike("pause"):
            self.silent(pause.size)
            try:
                async with asyncio.timeout(pause.size):
                    await self._cluster.healed.wait()
            except TimeoutError:
                pass

    def silent(self, seconds: float) -> None:
        """The broker hears nothing of it for so long; longer than a session, and it counts as dead."""
        session = self._cluster.dice.faults.session
        if seconds > session:
            later(session, self._expire)

    def _expire(self) -> None:
        if not self._cluster.dice.resting:
            self._leave()

    def _leave(self) -> None:
        group = self._inner.group
        if group is None or self._expired:
            return
        self._expired = True
        if not self._cluster.capabilities.assigns_partitions:
            self._give_back(list(self.hand.values()), suspect=True)
        self.hand.clear()
        group.leave(self._inner)

    def come_back(self) -> None:
        """Who counted as dead and is heard of again is a member again."""
        if self._expired and not self._closed and self._inner.group is not None:
            self._expired = False
            self._inner.group.join(self._inner)


def _place(delivery: Delivery) -> Place:
    return delivery.topic, delivery.partition, delivery.position
