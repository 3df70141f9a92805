"""A virtual clock: an event loop in which waiting takes no time, and a world that keeps to it.

    async def test_a_retry_comes_after_a_minute() -> None:
        ...

    run(test_a_retry_comes_after_a_minute())

The loop jumps to the next timer whenever nothing is ready. Sockets still work: what has arrived comes before any jump, and while
somebody may still answer, it waits for the answer (but not for ever: a database answers late when the one who holds a lock waits for
the clock).
"""

from __future__ import annotations

import asyncio
import random
import selectors
from asyncio.selector_events import _SelectorSocketTransport  # type: ignore[attr-defined]
from collections.abc import Coroutine
from typing import Any, TypeVar

from farandole.world import World

__all__ = ["VirtualWorld", "run"]

T = TypeVar("T")


PATIENCE = 0.3
"""How long, in real seconds, the clock stands still for an answer."""
FIRST = 60.0
"""And for a connection, and the first answer on it: a busy machine takes its time to start a server's process, and nobody holds a lock yet."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where the real selector would wait, it looks once and moves the clock instead."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.asked: set[_Transport | _Connecting] = set()  # those on which something was sent, and nothing has come since

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:  # only threads and sockets can wake us: really wait for them
            return super().select(60.0) or _stuck()
        if self.asked:
            ready = super().select(PATIENCE if all(transport.heard for transport in self.asked) else FIRST)
            if ready:
                return ready
            self.asked.clear()
        self.now += timeout
        return ready


def _stuck() -> Any:
    raise RuntimeError("the program waits for something that never comes: no timer is set and nothing is ready")


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps from timer to timer."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    async def sock_connect(self, sock: Any, address: Any) -> None:
        connecting = _Connecting()
        self._jumping.asked.add(connecting)
        try:
            await super().sock_connect(sock, address)
        finally:
            self._jumping.asked.discard(connecting)

    def _make_socket_transport(
        self, sock: Any, protocol: Any, waiter: Any = None, *, extra: Any = None, server: Any = None
    ) -> Any:
        return _Transport(self, sock, protocol, waiter, extra, server)


class _Connecting:
    """A connection that is not there yet."""

    heard = False


class _Transport(_SelectorSocketTransport):  # type: ignore[misc]
    """asyncio's own, which notes who waits for an answer."""

    heard = False

    def write(self, data: Any) -> None:
        self._loop._jumping.asked.add(self)
        super().write(data)

    def _read_ready(self) -> None:
        self._loop._jumping.asked.discard(self)
        self.heard = True
        super()._read_ready()

    def _call_connection_lost(self, exc: Any) -> None:
        self._loop._jumping.asked.discard(self)  # whatever comes, comes no more
        super()._call_connection_lost(exc)


class VirtualWorld(World):
    """A world with a seed: its clock is the running loop's, its chance and ids repeat.

    Parameters
    ----------
    seed:
        Any integer; the same seed gives the same chance, tokens and ids.
    start:
        The wall-clock time when the loop's clock is 0, in seconds since 1970.
    """

    virtual = True

    def __init__(self, seed: int = 0, start: float = 1_800_000_000.0) -> None:
        self._chance = random.Random(seed)
        self._start = start

    def time(self) -> float:
        return self._start + self.monotonic()

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def random(self) -> float:
        return self._chance.random()

    def token(self) -> str:
        return self._chance.randbytes(8).hex()

    def entropy(self, size: int) -> bytes:
        return self._chance.randbytes(size)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a virtual clock."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
