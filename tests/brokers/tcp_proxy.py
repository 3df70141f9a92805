"""A way to a server that can be cut, for tests of what happens then."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Self


class Proxy:
    """Listens on `port` of this machine, and passes everything on."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._ways: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.port = 0
        self.carried = 0  # bytes towards the server
        self.cut_after: int | None = None  # of these; then everything is cut

    async def open(self) -> None:
        """Let connections through (again)."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None) -> None:
        self.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self) -> None:
        """End all connections without a goodbye."""
        for writer in self._ways:
            writer.transport.abort()
        self._ways.clear()

    def close(self) -> None:
        """Cut, and let nothing through."""
        if self._server is not None:
            self._server.close()
            self._server = None
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        self._ways |= {writer, back}
        for source, target, counted in ((reader, back, True), (there, writer, False)):
            task = asyncio.create_task(self._pass(source, target, counted=counted))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _pass(self, source: asyncio.StreamReader, target: asyncio.StreamWriter, *, counted: bool) -> None:
        try:
            while data := await source.read(65536):
                if counted and self.cut_after is not None and self.carried + len(data) > self.cut_after:
                    target.write(data[: self.cut_after - self.carried])
                    await target.drain()
                    self.cut_after = None
                    self.cut()
                    return
                self.carried += len(data) if counted else 0
                target.write(data)
                await target.drain()
        except OSError:
            pass
        finally:
            target.close()
            self._ways.discard(target)
