"""What blocks in consuming from Kafka: one member of a group, or a listener. All of it runs in the consumer's own thread, one call
after the other, so nothing here needs a lock; only what may never return has another (`Aside`). The client calls `_assigned`,
`_revoked` and `_lost` from within its `poll`.

A member's heartbeats come from a thread of the client's, but a group that wants to share anew waits until each member polls. So
polling goes on (`tick`) while nobody fetches; what it happens to read waits in `_ahead`. While messages are in hand it waits for
their acknowledgement, half a minute at most: then the others do not wait any longer, and what is in hand comes again elsewhere. A process
that hangs does not tick, and loses its partitions after `max.poll.interval.ms`; one that dies, after `session.timeout.ms`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

from farandole.brokers.base import Delivery, Subscription
from farandole.brokers.kafka import Settings
from farandole.brokers.kafka.admin import Admin, Key, words
from farandole.brokers.kafka.aside import Aside
from farandole.brokers.kafka.mark import SUSPECTS, Mark, begin
from farandole.brokers.kafka.message import unpack
from farandole.brokers.lane import Lane, by_lane
from farandole.errors import BrokerError, ConfigurationError

__all__ = ["Member"]

SLICE = 0.1
"""Seconds that a poll lasts, and so the longest until somebody who calls is heard."""
AHEAD = 100
"""Messages that are read while nobody fetches."""

_SETTINGS = {
    "session.timeout.ms": 10_000,
    "heartbeat.interval.ms": 1_000,
    "topic.metadata.refresh.interval.ms": 20_000,  # new partitions are seen within this time
}
_FIXED = {
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    "auto.offset.reset": "earliest",
    "partition.assignment.strategy": "range",  # equal keys of several topics reach one member
}
_ELSEWHERE = frozenset(
    {KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.REBALANCE_IN_PROGRESS, KafkaError.FENCED_INSTANCE_ID,
     KafkaError._ASSIGNMENT_LOST}
)  # fmt: skip
"""The server's answers to an acknowledgement that comes too late."""
_PASSING = frozenset({KafkaError._MAX_POLL_EXCEEDED, KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._RESOLVE})
"""What the client gets over by itself."""


class Member:
    """See the module.

    Parameters
    ----------
    settings:
        The broker's.
    admin:
        Answers where partitions begin.
    subscription:
        Who wants what.
    others_wait:
        Whether another call waits for this thread.

    Attributes
    ----------
    assigned:
        Whether the group told us our share.
    woken:
        Set from outside: a waiting `read` returns.
    unclaimed:
        What the last `read` gave; whoever got it sets it to empty. What was not, because the caller was cancelled, is given back.
    """

    def __init__(self, settings: Settings, admin: Admin, subscription: Subscription, others_wait: Callable[[], bool]) -> None:
        self.assigned = self.woken = False
        self.unclaimed: Sequence[Delivery] = ()
        self.lanes: dict[Key, Lane] = {}
        self._place = settings.place
        self._admin = admin
        self._subscription = subscription
        self._group = subscription.group
        self._others_wait = others_wait
        self._born: dict[Key, int] = {}
        self._unwritten: set[Key] = set()  # lanes whose position the server does not have yet
        self._ahead: list[Message] = []
        self._paused = False
        self._epoch = 0  # counts the changes of our share
        self._new_share = False  # and nobody can see yet that it is ours
        self._trouble: BaseException | None = None  # what went wrong inside a callback, or what the client told
        self._broken = False  # and a new client is needed
        self._down = self._last = ""  # no server answers, and why
        group = {"group.id": self._group or "farandole-listener"}
        self._config = {**_SETTINGS, **settings.client, **_FIXED, **group, "error_cb": self._note}
        self._client = self._begin()
        self._aside = Aside(self._client)

    # joining and leaving

    def join(self) -> bool:
        """Wait a little for our share; gives whether we have it."""
        if not self.assigned:
            self._keep(self._poll(SLICE))
            self._raise()
        return self.assigned

    def leave(self) -> None:
        """Give up everything, in order. What is in hand comes again, marked."""
        try:
            self._write("clean", self.lanes)
        except KafkaException:
            pass  # the next owner finds it open: it suspects more than it must
        finally:
            self._drop()
            self._aside.close()

    def look(self) -> None:
        """A listener takes new partitions of its topics; a group's members get them from the group."""
        if self._group is None:
            keys = [(topic, number) for topic in self._subscription.topics for number in range(self._partitions(topic))]
            wanted = replace(self._subscription, start="beginning") if self.lanes else self._subscription
            fresh = begin(self._admin, wanted, [key for key in keys if key not in self.lanes])
            self.lanes |= {key: lane for key, (lane, _) in fresh.items()}
            if fresh:
                self._client.incremental_assign([TopicPartition(*key, lane.position + 1) for key, (lane, _) in fresh.items()])

    def _partitions(self, topic: str) -> int:
        known = self._admin.known.get(topic)
        return known.partitions if known is not None else 0

    def _begin(self) -> Consumer:
        try:
            client = Consumer(self._config)
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigurationError(f"{self._place}: {words(error)}") from None
        if self._group is None:
            self.assigned = True
        else:
            client.subscribe(
                list(self._subscription.topics), on_assign=self._assigned, on_revoke=self._revoked, on_lost=self._lost
            )
        return client

    # consuming

    def read(self, limit: int, wait: float) -> Sequence[Delivery]:
        """Up to `limit` messages, once there are any; nothing after `wait` seconds, or when woken, or when others wait."""
        if self.unclaimed:
            self.give_back(self.unclaimed)
            self.unclaimed = ()
        if self._broken:
            self._recover()
        found: Sequence[Delivery] = self._again(limit)
        while not found:
            try:
                found = self._hand_out(self._next(limit, min(wait, SLICE)))
            except BaseException:
                self._broken = True  # what the client gave, and we did not hand out, must come again
                raise
            wait -= SLICE
            if wait <= 0 or self.woken or self._down or self._others_wait():
                break
        if found:
            self._down = ""
        else:
            self._raise()
        self.unclaimed = found
        return found

    def settle(self, deliveries: Iterable[Delivery]) -> None:
        """These are done with. One commit, where a position moved; the server has it when this returns, so that all see it."""
        for key, positions in by_lane(deliveries).items():
            lane = self.lanes.get(key)
            if lane is not None and lane.settle(positions):
                self._unwritten.add(key)
        self._write("open", self._unwritten)

    def give_back(self, deliveries: Iterable[Delivery]) -> None:
        """These come again."""
        for delivery in deliveries:
            lane = self.lanes.get((delivery.topic, delivery.partition))
            if lane is not None:
                lane.give_back(delivery)

    def tick(self, *, over: bool) -> bool:
        """Polls, so that the group can go on; not while something is in hand, unless that is over. Gives whether it polled."""
        if self._broken or (not over and any(lane.out for lane in self.lanes.values())):
            return False
        if len(self._ahead) >= AHEAD and not self._paused:
            self._client.pause(self._client.assignment())
            self._paused = True
        self._keep(self._poll(0))
        return True

    def _next(self, limit: int, wait: float) -> list[Message]:
        """Messages of partitions that are ours: those read ahead, or else from the client."""
        if self._ahead:
            found, self._ahead = self._ahead[:limit], self._ahead[limit:]
            return found
        if self._paused:
            self._client.resume(self._client.assignment())
            self._paused = False
        first = self._poll(wait)
        if first is None:
            return []
        epoch = self._epoch
        rest = self._client.consume(limit - 1, 0) if limit > 1 else []
        if not self._claim():
            return []
        return [first, *rest] if epoch == self._epoch else rest  # else the first comes again, to whom it belongs now

    def _poll(self, wait: float) -> Message | None:
        message = self._client.poll(wait)
        return message if self._claim() else None

    def _claim(self) -> bool:
        """Say of a new share that it is ours, before anything of it is handed out: so our death will be seen. Gives whether that worked."""
        if self._new_share:
            self._new_share = False
            try:
                self._write("open", self.lanes)
                self.assigned = True
            except KafkaException as error:
                self._trouble, self._broken = error, True
                return False
        return True

    def _keep(self, message: Message | None) -> None:
        if message is not None:
            self._ahead.append(message)

    def _hand_out(self, messages: Iterable[Message]) -> list[Delivery]:
        found = []
        for message in messages:
            error = message.error()
            if error is None:
                found.append(unpack(message))
            else:
                self._note(error)
        suspects: set[tuple[Key, int]] = set()
        deep: set[Key] = set()
        for key, positions in by_lane(found).items():
            lane = self.lanes.get(key)
            if lane is None:
                found = [delivery for delivery in found if (delivery.topic, delivery.partition) != key]
                continue
            suspects.update((key, position) for position in lane.take(positions))
            if len(lane.order) > SUSPECTS:
                deep.add(key)
        if deep:
            self._write("open", deep)  # more in hand than others would suspect if we died
        if suspects:
            found = [
                msgspec.structs.replace(d, redelivered=True) if ((d.topic, d.partition), d.position) in suspects else d
                for d in found
            ]
        return found

    def _again(self, limit: int) -> list[Delivery]:
        """What was given back, once more."""
        found: list[Delivery] = []
        for lane in self.lanes.values():
            if lane.returned:
                found += lane.retake(limit - len(found))
        return found

    # positions

    def _write(self, state: str, keys: Collection[Key]) -> None:
        """Store positions, with marks, in one commit. What the server refuses because it went elsewhere is no error."""
        if self._group is None or not keys or not self._client.memberid():  # no member any more: it went elsewhere
            self._unwritten.clear()
            return
        try:
            stored = self._aside.commit([self._place_of(key, state) for key in keys])
            refused = [place.error for place in stored if place.error is not None]
        except KafkaException as error:
            refused = [error.args[0]]
        for refusal in refused:
            if refusal.code() not in _ELSEWHERE:
                raise KafkaException(refusal)
        self._unwritten.difference_update(tuple(keys))

    def _place_of(self, key: Key, state: str) -> TopicPartition:
        lane = self.lanes[key] if state == "open" else self.lanes[key].left()
        mark = Mark(state, lane.suspects, lane.suspects_end, self._born.get(key, 0))
        if len(lane.order) > SUSPECTS:
            mark = mark._replace(suspects=max(mark.suspects, len(lane.order)), end=max(mark.end, lane.order[-1]))
        return TopicPartition(*key, lane.position + 1, str(mark))

    # what the client tells

    def _assigned(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        try:
            begun = begin(self._admin, self._subscription, [(p.topic, p.partition) for p in partitions])
            client.assign([TopicPartition(*key, lane.position + 1) for key, (lane, _) in begun.items()])
            self._drop()
            self.lanes = {key: lane for key, (lane, _) in begun.items()}
            self._born = {key: born for key, (_, born) in begun.items()}
            self._new_share = True
        except (KafkaException, BrokerError) as error:
            self._trouble, self._broken = error, True

    def _revoked(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        places = [self._place_of(key, "clean") for key in self.lanes] if client is self._client else []  # not one left behind
        try:
            if places:  # nobody waits for an answer, but it goes out before the group hears that these are free
                client.commit(offsets=places, asynchronous=True)
        except KafkaException:
            pass  # as in `leave`
        finally:
            self._lost(client, partitions)

    def _lost(self, client: Consumer, partitions: list[TopicPartition]) -> None:
        if client is self._client:
            self._drop()
        client.unassign()

    def _drop(self) -> None:
        """Nothing is ours. What is in hand is forgotten: it comes again, to whoever gets it."""
        self._epoch += 1
        self.lanes, self._born, self._ahead, self._paused, self._new_share = {}, {}, [], False, False
        self._unwritten.clear()

    def _note(self, error: KafkaError) -> None:
        code, why = error.code(), words(error)
        self._broken = self._broken or error.fatal()
        if code == KafkaError._ALL_BROKERS_DOWN:
            self._down = self._last or why
        elif code in _PASSING:
            self._last = why
        else:
            self._trouble = KafkaException(error)

    def _raise(self) -> None:
        trouble, self._trouble = self._trouble, None
        down, self._down = self._down, ""
        if trouble is not None:
            raise trouble
        if down:
            raise BrokerError(f"no answer from {self._place}: {down}. It is tried again")

    def _recover(self) -> None:
        """Leave, and join again; a listener goes on behind what it settled."""
        kept = {key: Lane(lane.position) for key, lane in self.lanes.items()} if self._group is None else {}
        self._drop()
        self._aside.close()
        self.assigned = self._broken = False
        self._client = self._begin()
        self._aside = Aside(self._client)
        if kept:
            self.lanes = kept
            self._client.assign([TopicPartition(*key, lane.position + 1) for key, lane in kept.items()])
