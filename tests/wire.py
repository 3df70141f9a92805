"""A way to a server that can be cut, shut and frozen, at a moment of the test's choice."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import NamedTuple, Self


class End(NamedTuple):
    """One side of a connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, data: bytes) -> None:
        """Where nobody is there any more, nothing."""
        try:
            self.writer.write(data)
            await self.writer.drain()
        except OSError:
            return


class Wire:
    """Listens on this machine, and passes everything on; what is special about a wire, `join` of its subclass says.

    The port belongs to it from the beginning to the end, also while it is shut: then nobody listens there, and no other
    process can get it.

    Parameters
    ----------
    reach:
        Opens a connection to the server.
    """

    def __init__(self, reach: Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]) -> None:
        self._reach = reach
        self._place = _bound(0)
        self.port: int = self._place.getsockname()[1]
        self._listening = False
        self._visits: set[asyncio.Task[None]] = set()
        self._ends: set[End] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()

    def open(self) -> None:
        """Let connections through (again)."""
        self._place.listen()
        asyncio.get_running_loop().add_reader(self._place, self._accept)
        self._listening = True

    def cut(self) -> None:
        """End all connections without a goodbye."""
        for end in self._ends:
            end.writer.transport.abort()

    def shut(self) -> None:
        """Cut, and let nothing through."""
        self._listen_no_more()
        self._place = _bound(self.port)

    def freeze(self) -> None:
        """Connections stay, new ones are taken, and nothing passes: as before a server that hangs."""
        self._flowing.clear()

    def thaw(self) -> None:
        """Let pass what waited."""
        self._flowing.set()

    async def __aenter__(self) -> Self:
        self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self._listen_no_more()
        await asyncio.gather(*self._visits, return_exceptions=True)
        await asyncio.sleep(0)  # a transport that was aborted closes its socket a turn later

    async def join(self, client: End, server: End) -> None:
        """Carry what both say, until the connection is over."""
        await asyncio.gather(self.carry(client, server), self.carry(server, client))

    async def carry(self, source: End, sink: End) -> None:
        async for data in self.pieces(source):
            await sink.send(data)
        sink.writer.close()

    async def pieces(self, source: End) -> AsyncIterator[bytes]:
        """What comes from there, as it may pass, until the connection is over, however it ended."""
        try:
            while data := await source.reader.read(65536):
                await self._flowing.wait()
                yield data
        except OSError:
            return

    def _accept(self) -> None:
        try:
            connection, _ = self._place.accept()
        except OSError:  # it has gone already
            return
        visit = asyncio.create_task(self._visit(connection))
        self._visits.add(visit)
        visit.add_done_callback(self._visits.discard)
        visit.add_done_callback(lambda _: connection.close())  # also where it was cancelled before it began

    async def _visit(self, connection: socket.socket) -> None:
        ends: list[End] = []
        try:
            for way in (lambda: asyncio.open_connection(sock=connection), self._reach):
                ends.append(End(*await way()))
                self._ends.add(ends[-1])
            await self.join(*ends)
        except OSError:  # the server is not there
            return
        finally:
            for end in ends:
                end.writer.transport.abort()
                self._ends.discard(end)

    def _listen_no_more(self) -> None:
        if self._listening:
            asyncio.get_running_loop().remove_reader(self._place)
            self._listening = False
        self._place.close()
        for visit in self._visits:
            visit.cancel()


def _bound(port: int) -> socket.socket:
    """A place where nobody listens yet."""
    place = socket.socket()
    place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    place.setblocking(False)
    place.bind(("127.0.0.1", port))
    return place
