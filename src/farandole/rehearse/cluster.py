"""The simulated broker's side of the wire: what is stored, on its way, and forgotten; who owns which partition; healing.

A `Cluster` belongs to no process: each simulated process has a connection of its own to it (`connect`). Where a message is on its
way, it waits in a queue of its topic and key, so that delays reorder keys and never the messages of one.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from farandole.brokers.base import Capabilities, Delivery, Subscription
from farandole.brokers.checks import DEFAULT_PARTITIONS
from farandole.brokers.lane import Lane
from farandole.brokers.log import Group, Log, Member
from farandole.errors import ConfigurationError
from farandole.model.envelope import Message
from farandole.model.wire import partition_of
from farandole.rehearse.dice import Dice, Strike
from farandole.rehearse.faults import Faults
from farandole.rehearse.tasks import later
from farandole.testing.checkers import Hold
from farandole.world import World

if TYPE_CHECKING:
    from farandole.rehearse.broker import SimulatedBroker, SimulatedConsumer
    from farandole.rehearse.systematic import Director

__all__ = ["USUAL", "Cluster"]

Place = tuple[str, int, int]
"""Topic, partition, position."""

USUAL = Capabilities(
    assigns_partitions=True,
    replay=True,
    fenced_ack=True,
    redelivery_flag=True,
    shared=True,
    max_bytes=1024 * 1024,
    durability="every failover; a consumer's last acknowledgements may be forgotten in one",
)
"""What a broker of this field usually claims."""


class Cluster:
    """The simulated machines, their log, and all that goes wrong there.

    Parameters
    ----------
    world:
        The clock.
    faults:
        What may go wrong, or the dice that draw it; nothing by default.
    capabilities:
        What the adapter claims, and then does: without `assigns_partitions` members compete for messages, and those of one key may
        overtake each other; without `fenced_ack` a late acknowledgement settles; without `redelivery_flag` no delivery has it.
    keeps_acknowledged:
        Whether a publish that was acknowledged survives a failover. Where not, let `capabilities.durability` say so.
    partitions:
        Of each topic.

    Attributes
    ----------
    dice:
        Counts what struck (`dice.happened`).
    holds:
        Every change of a partition's owner, for `testing.checkers.two_owners`.
    delivered:
        Every delivery that reached a consumer, with the consumer's name (group and number), in order.
    forgotten:
        The ids of messages that a failover lost though their publishers may have been told that they are stored; a duplicate of one
        may still come.
    listeners:
        Are told of every message that is stored.
    receivers:
        Are told of every delivery, as it is added to `delivered`.
    director:
        Chooses which delivery comes next, in systematic exploration.

    Raises
    ------
    ConfigurationError
        The faults take what the broker claims to keep.
    """

    def __init__(
        self,
        world: World,
        faults: Faults | Dice | None = None,
        *,
        capabilities: Capabilities = USUAL,
        keeps_acknowledged: bool = True,
        partitions: int = DEFAULT_PARTITIONS,
    ) -> None:
        dice = faults if isinstance(faults, Dice) else Dice(faults or Faults(), world.token())
        if keeps_acknowledged and dice.faults.forgets.rate:
            raise ConfigurationError(
                "faults.forgets takes messages that were acknowledged, and this cluster keeps them. "
                "Say keeps_acknowledged=False, and what is kept in capabilities.durability"
            )
        self.world = world
        self.capabilities = capabilities
        self.dice = dice
        self.holds: list[Hold] = []
        self.delivered: list[tuple[str, Delivery]] = []
        self.forgotten: list[str] = []
        self.gone: set[Place] = set()
        self.takeovers = 0
        self.consumers: list[SimulatedConsumer] = []
        self.healed = asyncio.Event()
        self.listeners: list[Callable[[Message], None]] = []
        self.director: Director | None = None
        self.receivers: list[Callable[[str, Delivery], None]] = []
        self.log = Log(
            partitions,
            lambda name, count: _Group(name, count, self.holds) if capabilities.assigns_partitions else _Crowd(name, count),
        )
        self._under_way: dict[object, deque[tuple[float, object, Message]]] = {}
        self._stored: dict[object, list[Place]] = {}  # of the publishes that have no answer yet
        self._copies: list[asyncio.TimerHandle] = []
        self._listeners = itertools.count(1)
        self._starts: dict[tuple[str, str, int], int] = {}

    def connect(self, world: World | None = None) -> SimulatedBroker:
        """A connection, for a process whose world this is: an ordinary broker, not yet open."""
        from farandole.rehearse.broker import SimulatedBroker

        return SimulatedBroker(self, world or self.world)

    # ---- publishing ------------------------------------------------------------------------------------------------------

    def accept(self, messages: Sequence[Message]) -> object:
        """Take messages of one publish; gives what `answered` wants to know when its answer has arrived."""
        publish = object()
        self._stored[publish] = []
        for message in messages:
            lane = (message.topic, message.key) if self.capabilities.assigns_partitions else object()
            delay = strike.size if (strike := self.dice.strike("delay")) else 0.0
            queue = self._under_way.get(lane)
            if not queue and not delay:
                self._store(publish, message)
                continue
            queue = self._under_way.setdefault(lane, deque())
            now = self.world.monotonic()
            due = max(now + delay, queue[-1][0]) if queue else now + delay
            queue.append((due, publish, message))
            later(due - now, self._land, lane)
        return publish

    def answered(self, publish: object) -> None:
        """The publisher knows: from now on these messages are kept."""
        self._stored.pop(publish, None)

    def under_way(self, topics: Iterable[str]) -> int:
        """How many messages of these topics are on their way into the log."""
        wanted = set(topics)
        return sum(message.topic in wanted for queue in self._under_way.values() for _, _, message in queue)

    def _land(self, lane: object) -> None:
        """The first on its way arrives. All timers of a lane end in the order of its queue."""
        queue = self._under_way.get(lane)
        if queue:
            _, publish, message = queue.popleft()
            self._store(publish, message)
        if not queue:
            self._under_way.pop(lane, None)

    def _store(self, publish: object, message: Message) -> None:
        self._append(message)
        if publish in self._stored:
            number = partition_of(message.key, self.log.partitions)
            self._stored[publish].append((message.topic, number, len(self.log.topics[message.topic][number].entries)))
        if duplicate := self.dice.strike("duplicate"):
            copy: list[asyncio.TimerHandle] = []
            copy.append(later(duplicate.size, self._copy, copy, message))
            self._copies += copy

    def _copy(self, copy: list[asyncio.TimerHandle], message: Message) -> None:
        self._copies.remove(copy[0])
        self._append(message)

    def _append(self, message: Message) -> None:
        self.log.append([message], self.world.time())
        for listener in self.listeners:
            listener(message)

    def repeat(self, delivery: Delivery) -> None:
        """A message is stored once more."""
        self._append(Message(delivery.topic, delivery.key, delivery.id, delivery.type, delivery.body))

    def hand_over(self, name: str, found: Sequence[Delivery]) -> None:
        """Deliveries reached a consumer."""
        for delivery in found:
            self.delivered.append((name, delivery))
            for receiver in self.receivers:
                receiver(name, delivery)

    # ---- groups ----------------------------------------------------------------------------------------------------------

    def name_of(self, member: Member) -> str:
        """What a consumer is called in `holds` and `delivered`."""
        return member.group.name_of(member) if isinstance(member.group, _Named) else f"listener/{next(self._listeners)}"

    def begun(self, subscription: Subscription) -> None:
        """Remember where a group began: no failover takes it back behind that."""
        name = subscription.group
        group = self.log.groups.get(name) if name is not None else None
        if name is not None and group is not None:
            for (topic, number), lane in group.lanes.items():
                self._starts.setdefault((name, topic, number), lane.position)

    def lag(self, subscription: Subscription) -> int:
        """What the group has not settled, including what is on its way, without what is gone."""
        group = self.log.groups.get(subscription.group or "")
        lanes = group.lanes if group is not None else self.log.lanes(subscription)
        gone = sum(
            topic in subscription.topics and (topic, number) in lanes and position > lanes[topic, number].read
            for topic, number, position in self.gone
        )
        return self.log.lag(subscription) + self.under_way(subscription.topics) - gone

    # ---- failing over, and healing -----------------------------------------------------------------------------------------

    def fail_over(self, strike: Strike) -> None:
        """Another machine takes over, which has not heard of everything."""
        self.takeovers += 1
        chance = self.dice.chance(strike)
        for publish in list(self._stored):
            if chance.random() < 0.5:
                self._lose(publish)
            del self._stored[publish]
        for topic, partitions in self.log.topics.items():
            for number, partition in enumerate(partitions):
                if forgets := self.dice.strike("forgets"):
                    end = len(partition.entries)
                    for position in range(max(0, end - round(forgets.size)) + 1, end + 1):
                        self.gone.add((topic, number, position))
                        self.forgotten.append(partition.entries[position - 1].id)
        for consumer in self.consumers:
            consumer.hand.clear()
        for group in self.log.groups.values():
            for key, lane in group.lanes.items():
                start = self._starts.get((group.name, *key), 0)
                group.lanes[key] = _rewound(lane.left(), round(strike.size), start)
            group.balance()
            for member in group.members:
                member.bell.ring()

    def _lose(self, publish: object) -> None:
        """An unanswered publish leaves no trace: what of it is on its way, and what is in the log."""
        self.gone.update(self._stored[publish])
        for lane, queue in self._under_way.items():
            self._under_way[lane] = deque(entry for entry in queue if entry[1] is not publish)

    def heal(self) -> None:
        """End all faults: what is on its way arrives, who was cut off or counted as dead is back, and nothing strikes again."""
        self.dice.rest()
        self.healed.set()
        for handle in self._copies:
            handle.cancel()
        self._copies.clear()
        under_way, self._under_way = self._under_way, {}
        for queue in under_way.values():
            for _, publish, message in queue:
                self._store(publish, message)
        for consumer in self.consumers:
            consumer.come_back()


def _rewound(lane: Lane, count: int, start: int) -> Lane:
    """A lane that has forgotten its last acknowledgements; they come again, and may have been handled."""
    count = min(count, lane.position - start)
    if count <= 0:
        return lane
    return Lane(lane.position - count, lane.suspects + count, max(lane.suspects_end, lane.position))


class _Named(Group):
    """Its members have names, which they keep when they leave and come back."""

    def __init__(self, name: str, partitions: int) -> None:
        super().__init__(name, partitions)
        self._names: dict[Member, str] = {}

    def name_of(self, member: Member) -> str:
        return self._names.setdefault(member, f"{self.name}/{len(self._names) + 1}")


class _Group(_Named):
    """Writes down who gets and loses which partition."""

    def __init__(self, name: str, partitions: int, holds: list[Hold]) -> None:
        super().__init__(name, partitions)
        self._holds = holds
        self._had: dict[tuple[int, str], None] = {}

    def balance(self) -> None:
        super().balance()
        self._note()

    def leave(self, member: Member) -> None:
        super().leave(member)
        self._note()

    def _note(self) -> None:
        has = {(number, self.name_of(member)): None for member in self.members for number in sorted(member.owned)}
        self._holds += [Hold(self.name, number, name, begins=False) for number, name in self._had if (number, name) not in has]
        self._holds += [Hold(self.name, number, name, begins=True) for number, name in has if (number, name) not in self._had]
        self._had = has


class _Crowd(_Named):
    """A group whose members compete: each message goes to whoever fetches it."""

    def balance(self) -> None:
        for member in self.members:
            member.owned = set(self.partitions)
            member.refresh()
            member.bell.ring()

    def let_go(self, partition: int) -> None:
        """The others read on; what the one that left had in hand is given back by its consumer."""
