"""The relay: publishes what the outbox holds, in order per key, at least once, under the same ids.

A commit only wakes it. It holds buckets of keys by lease, reads their rows in sequence, publishes a window, and deletes what the
broker has acknowledged. There is no cursor: a row that commits late is still there.
"""

from __future__ import annotations

from collections.abc import Sequence

from farandole.bell import Bell
from farandole.brokers.base import Broker, PublishResult
from farandole.errors import BrokerError, StoreError
from farandole.runtime import runs
from farandole.runtime.away import AWAY
from farandole.runtime.signals import Signals
from farandole.stores.base import OutboxRow, Store
from farandole.world import World

__all__ = ["Relay"]

WINDOW = 500
LEASE = 10.0
POLL = 1.0


class Relay:
    """Publishes one service's outbox."""

    def __init__(self, service: str, store: Store, broker: Broker, world: World, signals: Signals, *, poll: float = POLL) -> None:
        self._poll = poll
        self._service = service
        self._store = store
        self._broker = broker
        self._world = world
        self._signals = signals
        self._token = world.token()
        self._buckets: list[int] = []
        self._renew_at = 0.0
        self._resting: dict[int, float] = {}
        self._failures: dict[int, int] = {}
        self._troubles = 0
        self._stopping = False
        self.bell = Bell()

    def wake(self) -> None:
        """Something was committed to the outbox."""
        self.bell.ring()

    def stop(self) -> None:
        """Publish what is there, then stop."""
        self._stopping = True
        self.bell.ring()

    async def run(self) -> None:
        """Until `stop`."""
        try:
            while True:
                published = await self._step()
                if published == 0:
                    if self._stopping:
                        return
                    await self.bell.wait(self._pause())
                else:
                    await self._world.sleep(0)  # an inline broker never suspends: let the others have their turn
        finally:
            try:
                await self._store.release_buckets(self._token)
            except StoreError as error:  # the lease runs out by itself
                self._signals.trouble(f"{self._service} relay", error)

    async def _step(self) -> int:
        """Publish one window; give how many messages the broker has now."""
        self.bell.still()
        try:
            await self._hold()
            buckets = self._awake()
            rows = await self._store.outbox(buckets, WINDOW) if buckets else []
            if not rows:
                return 0
            self._world.point("relay.publish:before")
            began = self._world.monotonic()
            results = await self._broker.publish([row.message for row in rows])
            self._world.point("relay.publish:after")
            done = await self._settle(rows, results)
            if self._signals.listens:
                sent = [row.message for row, result in zip(rows, results, strict=True) if result.error is None]
                self._signals.sent(self._service, sent, began)
        except (StoreError, BrokerError) as error:
            self._signals.trouble(f"{self._service} relay", error)
            self._troubles += 1
            if not self._stopping:
                await self._world.sleep(AWAY.wait(self._troubles, self._world.random()))
                self.wake()
            return 0
        self._troubles = 0
        if done:
            self._signals.published(self._service, done)
        return done

    async def _hold(self) -> None:
        """Keep the buckets' leases alive; they are renewed at half time."""
        now = self._world.monotonic()
        if now >= self._renew_at:
            self._buckets = await self._store.lease_buckets(self._token, LEASE)
            self._renew_at = now + LEASE / 2

    def _awake(self) -> Sequence[int]:
        """The buckets held, without those that rest after a failure."""
        if not self._resting:
            return self._buckets
        now = self._world.monotonic()
        self._resting = {bucket: until for bucket, until in self._resting.items() if until > now}
        return [bucket for bucket in self._buckets if bucket not in self._resting]

    async def _settle(self, rows: Sequence[OutboxRow], results: Sequence[PublishResult]) -> int:
        """Delete what the broker has; a key stops at its first failure, so that nothing of it is overtaken."""
        done: list[int] = []
        failed: set[int] = set()
        for row, result in zip(rows, results, strict=True):
            if result.error is None:
                if row.bucket not in failed:
                    done.append(row.seq)
            elif result.permanent:
                await self._store.unpublishable(row, result.error)
                self._signals.failed("(relay)", row.message.id, "dead", result.error)
                if self._signals.listens:
                    self._signals.ran([runs.of_message(row.message, result.error)])
            else:
                failed.add(row.bucket)
                self._signals.trouble(f"{self._service} relay", BrokerError(result.error))
        if done:
            await self._store.published(done)
        now = self._world.monotonic()
        for bucket in {row.bucket for row in rows}:
            if bucket in failed:
                self._failures[bucket] = self._failures.get(bucket, 0) + 1
                self._resting[bucket] = now + AWAY.wait(self._failures[bucket], self._world.random())
            else:
                self._failures.pop(bucket, None)
        return len(done)

    def _pause(self) -> float:
        if not self._resting:
            return self._poll
        return max(0.0, min(self._poll, min(self._resting.values()) - self._world.monotonic()))
