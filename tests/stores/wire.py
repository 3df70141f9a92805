"""A wire to a server that can be cut, at a moment of the test's choice."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Literal
from urllib.parse import parse_qsl, urlsplit


class Wire:
    """Passes everything on, until it is told to break.

    Parameters
    ----------
    url:
        Of the real server, on TCP or a local socket.

    Attributes
    ----------
    cut_at:
        Bytes of a client: what sends them loses its connection.
    when:
        `before`: the server never sees them; `after`: it has answered, and the client never hears it.
    """

    def __init__(self, url: str) -> None:
        self._parts = urlsplit(url)
        self.cut_at: bytes | None = None
        self.when: Literal["before", "after"] = "before"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = 0

    @property
    def url(self) -> str:
        """Of the server, through this wire."""
        options = [pair for pair in self._parts.query.split("&") if pair and not pair.startswith("host=")]
        return f"postgresql://postgres@127.0.0.1:{self.port}{self._parts.path}?{'&'.join(options)}"

    async def open(self) -> None:
        """Listen; after `close` at the same place."""
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Cut everything, and listen no more."""
        if self._server is not None:
            self._server.close()
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._writers.clear()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        folder = dict(parse_qsl(self._parts.query)).get("host")
        if folder:
            there = await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432")
        else:
            there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        self._writers |= {writer, there[1]}
        cut = asyncio.Event()
        for source, sink, ours in ((reader, there[1], True), (there[0], writer, False)):
            task = asyncio.create_task(self._pass(source, sink, cut, ours=ours))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cut: asyncio.Event, *, ours: bool) -> None:
        with suppress(ConnectionError, RuntimeError):
            while data := await source.read(65536):
                if ours and self.cut_at is not None and self.cut_at in data:
                    self.cut_at = None
                    cut.set()
                    if self.when == "before":
                        break
                elif not ours and cut.is_set():
                    break
                sink.write(data)
        for writer in list(self._writers) if cut.is_set() else [sink]:
            writer.transport.abort()
