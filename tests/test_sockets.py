"""A server that vanishes without a word is noticed."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest
from tests.servers import server

from farandole.brokers.postgres import PostgresBroker, connect
from farandole.sockets import AFTER, notice_silence
from farandole.stores import open_store
from farandole.world import World

pytestmark = pytest.mark.real_time


def watched(transport: asyncio.BaseTransport) -> bool:
    ours = transport.get_extra_info("socket")
    return bool(ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE))


async def test_a_connection_asks_whether_its_other_side_is_still_there():
    async with await asyncio.start_server(lambda reader, writer: writer.close(), "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert not watched(writer.transport)
        notice_silence(writer.transport)
        assert watched(writer.transport)
        if hasattr(socket, "TCP_KEEPIDLE"):
            assert writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == AFTER
        await reader.read()  # until the server's side is closed
        writer.close()


async def test_what_is_no_tcp_connection_is_left_as_it_is(tmp_path: Path):
    async with await asyncio.start_unix_server(lambda reader, writer: writer.close(), tmp_path / "here"):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "here")
        notice_silence(writer.transport)
        assert not watched(writer.transport)
        await reader.read()  # until the server's side is closed
        writer.close()


@pytest.mark.servers  # the one from the wheel is reached by a local socket
async def test_the_connections_to_postgresql_do(schema: str):
    server("postgres")
    store = open_store(schema, World())
    await store.open()
    async with store.begin() as transaction:
        assert watched(transaction.resource("driver")._con._transport)
    await store.close()
    broker = connect(schema, World())
    assert isinstance(broker, PostgresBroker)
    await broker.open()
    async with broker._pool.acquire() as connection:
        assert watched(connection._con._transport)
    await broker.close()
