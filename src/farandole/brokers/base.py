"""The contract of a broker. An adapter is one file that keeps these sentences; the conformance suite holds it to them.

1. `publish` returns one result per message, in order. A result without error means: durable as `Capabilities.durability` says.
   After a message that may be tried again, none of the same topic and key in the batch is published: it would overtake.
2. Every group gets every message of its topics that was published since the group began (see `Subscription.start`).
3. Messages of one topic and key reach a group in the order of publication, one consumer at a time: a partition has one owner.
4. What was fetched and not acknowledged comes again, to the same or another consumer of the group; never is a message lost.
5. What may have been in the hands of a consumer that died comes with `redelivered=True`.
6. A late acknowledgement (after the partition went elsewhere) changes nothing, and raises nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import msgspec

from farandole.model.envelope import Message

__all__ = ["BeginsGroups", "Broker", "Capabilities", "Consumer", "Delivery", "PublishResult", "Subscription"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What an adapter claims; what is claimed is tested.

    Attributes
    ----------
    assigns_partitions:
        It gives each partition to one consumer of a group at a time.
    replay:
        A new group can begin at the beginning, at an offset or at a time.
    fenced_ack:
        A late acknowledgement is refused.
    redelivery_flag:
        It tells which messages may have been handled before.
    shared:
        Several processes can use it at once.
    max_bytes:
        The largest body that it takes.
    durability:
        What an acknowledged publish survives, in words.
    """

    assigns_partitions: bool
    replay: bool
    fenced_ack: bool
    redelivery_flag: bool
    shared: bool
    max_bytes: int
    durability: str


@dataclass(frozen=True, slots=True)
class PublishResult:
    """What became of one message: `error` is None, or why not; `permanent` errors are not worth another try."""

    error: str | None = None
    permanent: bool = False


@dataclass(frozen=True, slots=True)
class Subscription:
    """Who wants what.

    Attributes
    ----------
    group:
        The consumer group: its members share the partitions, and its position is kept.
        None: a listener of its own, without a kept position.
    topics:
        The topics, at least one.
    start:
        Where a group (or topic of it) begins that has no position yet: `"beginning"`, `"end"`, an offset, or a time (aware).
    """

    group: str | None
    topics: tuple[str, ...]
    start: Literal["beginning", "end"] | int | datetime = "beginning"


class Delivery(msgspec.Struct, frozen=True, gc=False):
    """One message as it came.

    Attributes
    ----------
    topic, key, id, type, body:
        As published. Those of a foreign producer may be empty, but for the body.
    partition, position:
        Where it stands; positions of one partition and topic grow.
    redelivered:
        A consumer that died may have begun to handle it.
    """

    topic: str
    partition: int
    position: int
    body: bytes
    key: str = ""
    id: str = ""
    type: str = ""
    redelivered: bool = False


class Consumer(Protocol):
    """One member of a group."""

    async def fetch(self, limit: int, wait: float) -> Sequence[Delivery]:
        """Up to `limit` messages, at once if there are any; else wait up to `wait` seconds for the first. May be empty."""
        ...

    async def ack(self, deliveries: Sequence[Delivery]) -> None:
        """These are settled. Only after the commit that settled them; in any order."""
        ...

    async def release(self, deliveries: Sequence[Delivery]) -> None:
        """Give these back unhandled: they come again, in order, to this or another member. Settled ones are left alone."""
        ...

    def wake(self) -> None:
        """Make a waiting `fetch` return now."""
        ...

    async def close(self) -> None:
        """Leave the group. What was fetched and not acknowledged goes to others. Twice is fine."""
        ...


@runtime_checkable
class Broker(Protocol):
    """A connection to a broker."""

    capabilities: Capabilities

    async def open(self) -> None:
        """Connect, and make ready what is missing."""
        ...

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        """Publish; a result per message, in order. Raises `BrokerError` only where nothing of the batch was published."""
        ...

    async def subscribe(self, subscription: Subscription) -> Consumer:
        """Join a group."""
        ...

    async def lag(self, subscription: Subscription) -> int:
        """How many messages of these topics the group (all members together) has not acknowledged. Does not join it."""
        ...

    async def close(self) -> None:
        """Disconnect. Twice is fine; use after it raises `BrokerClosed`."""
        ...


@runtime_checkable
class BeginsGroups(Protocol):
    """A broker without a history: what is published before a group began is lost to it. So hosts begin all groups that they know of."""

    async def begin(self, subscription: Subscription) -> None:
        """Make what a group needs, so that what is published from now on waits for it. Does not join it."""
        ...
