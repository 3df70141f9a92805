"""A wire to PostgreSQL that breaks where a client says something, or where it is answered."""

from __future__ import annotations

import asyncio
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from tests.wire import End, Wire


class PostgresWire(Wire):
    """Passes everything on, until it is told to break.

    Parameters
    ----------
    url:
        Of the real server, on TCP or a local socket.

    Attributes
    ----------
    cut_at:
        Bytes of a client: when one sends them, all lose their connections.
    when:
        `before`: the server never sees them; `after`: it has answered, and the client never hears it.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        folder = dict(parse_qsl(parts.query)).get("host")
        if folder:
            super().__init__(lambda: asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432"))
        else:
            super().__init__(lambda: asyncio.open_connection(parts.hostname, parts.port))
        self.url = at_port(url, self.port)
        self.cut_at: bytes | None = None
        self.when: Literal["before", "after"] = "before"

    async def join(self, client: End, server: End) -> None:
        said = asyncio.Event()
        await asyncio.gather(self._ask(client, server, said), self._answer(server, client, said))

    async def _ask(self, client: End, server: End, said: asyncio.Event) -> None:
        async for data in self.pieces(client):
            if self.cut_at is not None and self.cut_at in data:
                self.cut_at = None
                said.set()
                if self.when == "before":
                    self.cut()
                    return
            await server.send(data)
        server.writer.close()

    async def _answer(self, server: End, client: End, said: asyncio.Event) -> None:
        async for data in self.pieces(server):
            if said.is_set():
                self.cut()
                return
            await client.send(data)
        client.writer.close()


def at_port(url: str, port: int) -> str:
    """The URL of the same database, at a port of this machine."""
    parts = urlsplit(url)
    options = [pair for pair in parts.query.split("&") if pair and not pair.startswith("host=")]
    return f"postgresql://postgres@127.0.0.1:{port}{parts.path}?{'&'.join(options)}"
