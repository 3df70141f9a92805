"""Brokers with a mistake each, and the case of the suite that must find it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from farandole.brokers.base import Consumer, Delivery, PublishResult, Subscription
from farandole.brokers.log import Log
from farandole.brokers.memory import MemoryBroker, MemoryConsumer
from farandole.errors import BrokerClosed, BrokerError
from farandole.model.envelope import Message
from farandole.world import World

__all__ = ["MISTAKES", "Frail"]


class Frail(MemoryBroker):
    """A broker in memory that can refuse messages, and lose all its connections at once."""

    consumer: type[MemoryConsumer] = MemoryConsumer

    def __init__(self, log: Log, world: World) -> None:
        super().__init__(log, world)
        self.refused: list[Message] = []
        self.answers = True

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        refused, failed, results, good = self.refused, set[tuple[str, str]](), [], []
        for message in batch:
            if message in refused or (message.topic, message.key) in failed:
                failed.add((message.topic, message.key))
                results.append(PublishResult("not now"))
            else:
                good.append(message)
                results.append(PublishResult())
        self.refused = []
        stored = iter(await super().publish(good))
        if not self.answers:
            self.answers = True
            raise BrokerError("it was stored, and nobody heard of it")
        return [result if result.error else next(stored) for result in results]

    async def subscribe(self, subscription: Subscription) -> Consumer:
        self._check()
        consumer = self.consumer(self._log, subscription, self._world)
        self._consumers.append(consumer)
        return consumer


class ForgetsSome(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        await super().publish([message for message in batch if not message.id.endswith("-17")])
        return [PublishResult()] * len(batch)


class SaysItTwice(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        await super().publish(batch[-1:])
        return await super().publish(batch)


class WritesBackwards(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return (await super().publish(batch[::-1]))[::-1]


class MixesTopics(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return await super().publish(
            [msgspec.structs.replace(message, topic=message.topic.removesuffix("-other")) for message in batch]
        )


class SpeaksLatin(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return await super().publish(
            [msgspec.structs.replace(message, key=message.key.encode("ascii", "replace").decode()) for message in batch]
        )


class CutsBodies(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return await super().publish([msgspec.structs.replace(message, body=message.body[:65536]) for message in batch])


class StopsAtNul(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return await super().publish(
            [msgspec.structs.replace(message, key=message.key.partition("\x00")[0]) for message in batch]
        )


class RaisesOnOddText(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        for message in batch:
            message.key.encode()
        return await super().publish(batch)


class TakesAnything(Frail):
    capabilities = replace(MemoryBroker.capabilities, max_bytes=100_000)

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return [msg and PublishResult() for msg, _ in zip(batch, await super().publish(batch), strict=True)]


class Overtakes(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        refused, self.refused = self.refused, []
        await super().publish([message for message in batch if message not in refused])
        return [PublishResult("not now") if message in refused else PublishResult() for message in batch]


class HidesFailures(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return [PublishResult()] * len(await super().publish(batch))


class FailsWhole(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        results = await super().publish(batch)
        return [PublishResult("not now")] * len(batch) if any(result.error for result in results) else results


class StoresAndRaises(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        results = await super().publish(batch)
        if any(result.error for result in results):
            raise BrokerError("not now")
        return results


class GivesUpForGood(Frail):
    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return [PublishResult(r.error, permanent=r.error is not None) for r in await super().publish(batch)]


class NeverCloses(Frail):
    async def close(self) -> None:
        for consumer in self._consumers:
            await consumer.close()


class LosesWhatIsClosing(Frail):
    async def close(self) -> None:
        for partitions in self._log.topics.values():
            for partition in partitions:
                if len(partition.entries) > 5:
                    del partition.entries[-1], partition.times[-1]
        await super().close()


class LagJoins(Frail):
    async def lag(self, subscription: Subscription) -> int:
        lag = await super().lag(subscription)
        await self.subscribe(subscription)
        return lag


class LagForgetsTopics(Frail):
    async def lag(self, subscription: Subscription) -> int:
        return await super().lag(replace(subscription, topics=subscription.topics[:1]))


class LagsFromTheBeginning(Frail):
    async def lag(self, subscription: Subscription) -> int:
        return await super().lag(replace(subscription, start="beginning"))


class BeginsAtTheBeginning(Frail):
    async def subscribe(self, subscription: Subscription) -> Consumer:
        return await super().subscribe(replace(subscription, start="beginning"))


class ListensInAGroup(Frail):
    async def subscribe(self, subscription: Subscription) -> Consumer:
        return await super().subscribe(replace(subscription, group=subscription.group or "listeners"))


def consuming(cls: type[MemoryConsumer]) -> type[Frail]:
    """A broker with such consumers."""
    return type(cls.__name__, (Frail,), {"consumer": cls})


class Greedy(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        return await super().fetch(limit + 1, wait)


class DropsOnCancel(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        try:
            return await super().fetch(limit, wait)
        finally:
            if not self._reading or self.bell._event.is_set():
                self.settle(self.take(1))


class Deaf(MemoryConsumer):
    def wake(self) -> None:
        pass


class WakesForEver(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        woken = self._woken
        found = await super().fetch(limit, wait)
        self._woken |= woken or (not found and wait > 10)
        return found


class NeverSettles(MemoryConsumer):
    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        pass


class SettlesAllBefore(MemoryConsumer):
    """As positions do: what stands behind a gap settles the gap."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        lanes = {(d.topic, d.partition): self.lanes[d.topic, d.partition] for d in deliveries if d.partition in self.owned}
        for delivery in deliveries:
            if lane := lanes.get((delivery.topic, delivery.partition)):
                lane.settle([position for position in lane.order if position <= delivery.position])
        self._hand_over()


class SettlesWhatIsReleased(MemoryConsumer):
    async def release(self, deliveries: Sequence[Delivery]) -> None:
        await self.ack(deliveries)


class ReleasesBackwards(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        again = self._returned
        found = await super().fetch(limit, wait)
        return found[::-1] if again else found


class NeverFlags(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        return [msgspec.structs.replace(d, redelivered=False) for d in await super().fetch(limit, wait)]


class AlwaysFlags(MemoryConsumer):
    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        return [msgspec.structs.replace(d, redelivered=True) for d in await super().fetch(limit, wait)]


class CloseSettles(MemoryConsumer):
    async def close(self) -> None:
        for lane, _ in self._reading:
            lane.settle(tuple(lane.out))
        await super().close()


class CloseForgetsAcks(MemoryConsumer):
    """Acknowledgements are kept for later, and closing does not wait for the last."""

    late: Sequence[Delivery] = ()

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        await super().ack(self.late)
        self.late = deliveries


class Unfenced(MemoryConsumer):
    """A late acknowledgement settles what is in another's hands."""

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self.lanes[delivery.topic, delivery.partition].settle([delivery.position])
        self._hand_over()


class RaisesWhenLate(MemoryConsumer):
    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        if any(delivery.partition not in self.owned for delivery in deliveries):
            raise BrokerClosed("too late")
        await super().ack(deliveries)


class LosesItsLease(MemoryConsumer):
    """Ten seconds without a fetch are taken for death."""

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        self.seen = self._world.monotonic()
        for other in tuple(self.group.members if self.group else ()):
            if isinstance(other, LosesItsLease) and self._world.monotonic() - getattr(other, "seen", self.seen) > 10:
                other.leave()
        return await super().fetch(limit, wait)


class WaitsForEver(MemoryConsumer):
    async def close(self) -> None:
        if not self._closed:
            self._closed = True
            bell, self.bell = self.bell, type(self.bell)()
            self.leave()
            self.bell = bell


class GivesAwayWhatIsInHand(MemoryConsumer):
    """Partitions move at once when somebody joins."""

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        if self.group is not None:
            self.group.busy = lambda partition: False  # type: ignore[method-assign]
            self.group.balance()


class EverybodyHasAll(MemoryConsumer):
    """Members compete for messages, and claim to own partitions."""

    def __init__(self, *what: Any) -> None:
        super().__init__(*what)
        if self.group is not None:
            for member in self.group.members:
                member.owned = set(self.group.partitions)
                member.refresh()


class KeepsTheIdle(MemoryConsumer):
    """When a member leaves, those without a partition stay without."""

    def leave(self) -> None:
        group = self.group
        idle = [member for member in group.members if not member.owned] if group else []
        super().leave()
        for member in idle:
            member.owned.clear()
            member.refresh()


MISTAKES: list[tuple[type[Frail], str]] = [
    (ForgetsSome, "test_a_backlog_comes_whole_and_in_order"),
    (SaysItTwice, "test_each_group_gets_everything"),
    (SaysItTwice, "test_fifty_publishers_and_fifty_consumers"),
    (WritesBackwards, "test_a_backlog_comes_whole_and_in_order"),
    (MixesTopics, "test_topics_do_not_mix"),
    (SpeaksLatin, "test_a_message_arrives_as_it_was_published"),
    (CutsBodies, "test_a_message_arrives_as_it_was_published"),
    (StopsAtNul, "test_odd_text_arrives_as_it_is_or_is_refused_for_good_and_alone"),
    (RaisesOnOddText, "test_odd_text_arrives_as_it_is_or_is_refused_for_good_and_alone"),
    (TakesAnything, "test_a_message_too_large_is_refused_for_good_and_alone"),
    (Overtakes, "test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key"),
    (Overtakes, "test_a_whole_batch_that_may_be_tried_again_comes_once_and_in_order"),
    (HidesFailures, "test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key"),
    (FailsWhole, "test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key"),
    (StoresAndRaises, "test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key"),
    (GivesUpForGood, "test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key"),
    (NeverCloses, "test_closing_twice_is_fine_and_use_after_it_is_not"),
    (LosesWhatIsClosing, "test_what_a_closing_publisher_reported_is_there"),
    (LosesWhatIsClosing, "test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order"),
    (LagJoins, "test_lag_counts_what_the_group_has_not_settled"),
    (LagForgetsTopics, "test_lag_adds_up_topics_and_keeps_groups_apart"),
    (BeginsAtTheBeginning, "test_a_group_begins_where_it_says"),
    (BeginsAtTheBeginning, "test_a_time_splits_every_partition"),
    (LagsFromTheBeginning, "test_a_group_that_begins_at_the_end_lags_behind_nothing"),
    (ListensInAGroup, "test_a_listener_sees_all_and_keeps_no_position"),
    (ListensInAGroup, "test_listeners_do_not_share_and_are_no_member_of_anything"),
    *[
        (consuming(cls), case)
        for cls, case in (
            (Greedy, "test_what_a_draining_member_settles_last_is_settled"),
            (Deaf, "test_a_wait_ends_in_time_or_when_woken"),
            (WakesForEver, "test_a_wait_ends_in_time_or_when_woken"),
            (NeverSettles, "test_acks_in_any_order_settle_all"),
            (NeverSettles, "test_a_consumer_that_comes_back_goes_on_where_it_was"),
            (SettlesAllBefore, "test_a_gap_between_acks_comes_again"),
            (SettlesWhatIsReleased, "test_what_was_released_comes_again_in_order_and_unflagged"),
            (ReleasesBackwards, "test_what_was_released_comes_again_in_order_and_unflagged"),
            (NeverFlags, "test_only_what_may_have_been_handled_is_flagged"),
            (AlwaysFlags, "test_only_what_may_have_been_handled_is_flagged"),
            (CloseSettles, "test_what_was_not_acknowledged_comes_again"),
            (CloseSettles, "test_a_consumer_closed_and_reopened_mid_stream_misses_nothing"),
            (CloseSettles, "test_what_a_consumer_that_died_held_comes_again_and_nothing_else"),
            (CloseForgetsAcks, "test_a_consumer_closed_and_reopened_mid_stream_misses_nothing"),
            (CloseForgetsAcks, "test_members_that_drain_and_leave_cause_no_repeats"),
            (CloseForgetsAcks, "test_what_a_draining_member_settles_last_is_settled"),
            (Unfenced, "test_a_late_ack_changes_nothing"),
            (RaisesWhenLate, "test_a_late_ack_loses_nothing_and_raises_nothing"),
            (LosesItsLease, "test_a_member_keeps_what_it_handles_for_longer_than_any_lease"),
            (WaitsForEver, "test_a_consumer_that_is_closed_while_it_waits_stops_waiting"),
            (GivesAwayWhatIsInHand, "test_members_that_drain_and_leave_cause_no_repeats"),
            (EverybodyHasAll, "test_members_share_and_never_overlap"),
            (EverybodyHasAll, "test_equal_keys_of_two_topics_reach_one_member"),
            (KeepsTheIdle, "test_more_members_than_partitions_wait_until_one_is_free"),
        )
    ],
]
