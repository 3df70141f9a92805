"""A gate before a Kafka server that can be shut, opened and frozen: a server that goes away and comes back, without touching it."""

from __future__ import annotations

import asyncio
import contextlib

from tests.wire import End, Wire

_COMMIT = (8).to_bytes(2, "big")
"""How a request begins that stores positions (the protocol's API key of OffsetCommit)."""


class Gate(Wire):
    """Passes frames on, and writes its own port wherever the server names itself.

    Parameters
    ----------
    server:
        `kafka://host:port`.
    """

    def __init__(self, server: str) -> None:
        self._host, _, port = server.partition("://")[2].partition("?")[0].partition(":")
        self._target = int(port)
        super().__init__(lambda: asyncio.open_connection(self._host, self._target))
        self.held_commit = asyncio.Event()  # a client sent one while it was frozen
        self.url = f"kafka://{self._host}:{self.port}"

    async def join(self, client: End, server: End) -> None:
        named, renamed = (self._host.encode() + port.to_bytes(4, "big") for port in (self._target, self.port))
        await asyncio.gather(self._frames(client, server), self._frames(server, client, (named, renamed)))

    async def _frames(self, source: End, sink: End, rename: tuple[bytes, bytes] = (b"", b"")) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await source.reader.readexactly(4)
                frame = await source.reader.readexactly(int.from_bytes(size, "big"))
                if frame.startswith(_COMMIT) and not rename[0] and not self._flowing.is_set():
                    self.held_commit.set()
                await self._flowing.wait()
                await sink.send(size + (frame.replace(*rename) if rename[0] else frame))
        sink.writer.transport.abort()
