"""A gate before a Kafka server that can be closed, opened and frozen: a server that goes away and comes back, without touching it."""

from __future__ import annotations

import asyncio
import contextlib
import socket


def free_port() -> int:
    """A port where nobody listens."""
    with socket.socket() as ours:
        ours.bind(("127.0.0.1", 0))
        port: int = ours.getsockname()[1]
        return port


class Gate:
    """Passes frames on, and writes its own port wherever the server names itself.

    Parameters
    ----------
    server:
        `kafka://host:port`.
    """

    def __init__(self, server: str) -> None:
        self._host, _, port = server.partition("://")[2].partition("?")[0].partition(":")
        self._target, self.port = int(port), free_port()
        self._listening: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.url = f"kafka://{self._host}:{self.port}"

    async def open(self) -> None:
        self._listening = await asyncio.start_server(self._visit, "127.0.0.1", self.port)

    async def close(self) -> None:
        """Nobody listens any more, and all connections break."""
        if self._listening is not None:
            self._listening.close()
            self._listening = None
        for writer in tuple(self._open):
            writer.transport.abort()

    async def freeze(self) -> None:
        """Connections stay, and nothing passes."""
        self._flowing.clear()

    async def thaw(self) -> None:
        self._flowing.set()

    async def _visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        theirs, ours = await asyncio.open_connection(self._host, self._target)
        self._open |= {writer, ours}
        with contextlib.suppress(asyncio.CancelledError):  # the test is over
            await asyncio.gather(self._pass(reader, ours, answers=False), self._pass(theirs, writer, answers=True))
        self._open -= {writer, ours}

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        named, renamed = (self._host.encode() + port.to_bytes(4, "big") for port in (self._target, self.port))
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                size = await reader.readexactly(4)
                frame = await reader.readexactly(int.from_bytes(size, "big"))
                await self._flowing.wait()
                writer.write(size + (frame.replace(named, renamed) if answers else frame))
                await writer.drain()
        writer.transport.abort()
