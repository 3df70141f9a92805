"""The wire that other tests cut: nothing of it is left when it is over."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from tests.wire import Wire

pytestmark = pytest.mark.real_time


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(100):
            writer.write(data)
    writer.close()


@asynccontextmanager
async def wired() -> AsyncIterator[Wire]:
    """A wire to somebody who says everything again."""
    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Wire(lambda: asyncio.open_connection("127.0.0.1", port)) as wire:
            yield wire


async def called(wire: Wire) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", wire.port)


async def test_it_passes_everything_on_and_ends_with_its_client():
    async with wired() as wire:
        reader, writer = await called(wire)
        writer.write(b"hello")
        assert await reader.readexactly(5) == b"hello"
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()


async def test_a_cut_ends_all_connections_and_the_next_one_goes_through():
    async with wired() as wire:
        lost = await called(wire)
        lost[1].write(b"1")
        await lost[0].readexactly(1)
        wire.cut()
        with suppress(ConnectionError):
            assert await lost[0].read() == b""
        lost[1].close()
        reader, writer = await called(wire)
        writer.write(b"2")
        assert await reader.readexactly(1) == b"2"
        writer.close()


async def test_where_it_is_shut_nobody_listens_until_it_is_open_again():
    async with wired() as wire:
        for _ in range(3):
            wire.shut()
            with pytest.raises(ConnectionRefusedError):
                await called(wire)
        wire.open()
        reader, writer = await called(wire)
        writer.write(b"3")
        assert await reader.readexactly(1) == b"3"
        writer.close()


async def test_what_comes_while_it_is_frozen_passes_once_it_is_not():
    async with wired() as wire:
        reader, writer = await called(wire)
        wire.freeze()
        writer.write(b"later")
        coming = asyncio.create_task(reader.readexactly(5))
        assert not (await asyncio.wait([coming], timeout=0.05))[0]
        wire.thaw()
        assert await coming == b"later"
        writer.close()


async def nowhere() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    raise ConnectionRefusedError


async def never() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.get_running_loop().create_future()


@pytest.mark.parametrize("reach", [nowhere, never])
def test_a_connection_that_is_still_on_its_way_to_the_server_is_closed_with_the_wire(reach):
    async def visit(turns: int) -> None:
        async with Wire(reach) as wire:
            _, writer = await called(wire)
            for _ in range(turns):
                await asyncio.sleep(0)
        writer.close()

    for turns in range(8):
        asyncio.run(visit(turns))
    gc.collect()  # what was left open says so here
