"""Health over HTTP, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
import re
import socket
from pathlib import Path
from typing import cast

import pytest
from tests.ports import free_port

import farandole
from farandole import Breaker, Choreography, Command, Event, Service
from farandole.errors import ConfigurationError
from farandole.web.health import serve


class Ring(Command):
    name: str


class Rang(Event, key="name"):
    name: str


bells, ears = Service("bells"), Service("ears")


@bells.command
async def ring(command: Ring) -> Rang:
    return Rang(name=command.name)


@ears.on(Rang)
async def hear(rang: Rang) -> None: ...


town = Choreography("town", bells, ears)


async def get(port: int, path: str) -> tuple[int, dict[str, object]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


@pytest.mark.real_time
async def test_a_running_host_is_healthy_ready_and_tells_its_lag(tmp_path: Path):
    port = free_port()
    urls = {"broker": f"sqlite:///{tmp_path}/broker.db", "database": f"sqlite:///{tmp_path}/{{service}}.db"}
    async with farandole.open(town, **urls) as app, serve(app, str(port)):
        assert await get(port, "/healthz") == (200, {"status": "ok"})
        assert await get(port, "/readyz") == (200, {"status": "ready", "reasons": []})
        assert await get(port, "/lag") == (200, {"total": 0, "services": {"bells": {}, "ears": {"town.ears": 0}}})
        await app.stores["bells"].close()
        status, found = await get(port, "/readyz")
        assert status == 503
        assert str(found["reasons"]).startswith("['bells: the store")
        app.stop()
        assert (await get(port, "/readyz"))[0] == 503
        assert await get(port, "/healthz") == (200, {"status": "stopping"})


@pytest.mark.real_time
async def test_a_port_that_is_taken_or_none_is_told(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with farandole.open(town, broker="memory://", database="sqlite://") as app:
            with pytest.raises(ConfigurationError, match="Address already in use"):
                async with serve(app, f"127.0.0.1:{taken.getsockname()[1]}"):
                    pass
            with pytest.raises(ConfigurationError, match="expected a port"):
                async with serve(app, "here"):
                    pass


@pytest.mark.real_time
async def test_what_a_breaker_leaves_alone_is_named_and_the_process_stays_ready() -> None:
    class Gateway:
        def ring(self) -> None:
            raise ConnectionError("no bell")

    tower = Service("tower")
    tower.provide(Gateway, Gateway, breaker=Breaker(failures=1, rest=60))

    @tower.command
    async def pull(command: Ring, gateway: Gateway) -> Rang:
        gateway.ring()
        return Rang(name=command.name)

    port = free_port()
    town = Choreography("town", tower)
    async with farandole.open(town, broker="memory://", database="sqlite://") as app, serve(app, str(port)):
        assert "resting" not in (await get(port, "/readyz"))[1]
        with pytest.raises(ConnectionError):
            await app.send(Ring(name="big"))
        status, told = await get(port, "/readyz")
        assert (status, told["status"]) == (200, "ready")
        [resting] = cast(list[str], told["resting"])
        assert re.fullmatch(r"tower: Gateway until \d\d:\d\d:\d\d UTC", resting)
