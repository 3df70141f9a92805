"""Wake-up between processes, and what remains where it does not work."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Subscription
from farandole.brokers.wakeup import Wakeup, folder_of
from farandole.model.envelope import Message
from farandole.testing.virtual import VirtualWorld


def pair(file: Path, told: list[set[bytes]]) -> tuple[Wakeup, Wakeup]:
    one, two = Wakeup(file, "one", told.append), Wakeup(file, "two", told.append)
    one.open()
    two.open()
    return one, two


async def test_one_tells_the_other_and_not_itself(tmp_path: Path, world: VirtualWorld) -> None:
    told: list[set[bytes]] = []
    one, two = pair(tmp_path / "b.db", told)
    one.tell(b"news")
    await world.sleep(0.1)
    assert told == [{b"news"}]
    one.close()
    one.close()
    two.tell(b"news")
    two.close()
    assert list(folder_of(tmp_path / "b.db").iterdir()) == []


async def test_the_address_of_a_dead_one_is_removed(tmp_path: Path) -> None:
    one, two = pair(tmp_path / "b.db", [])
    stale = folder_of(tmp_path / "b.db") / "stale"
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(stale))
    dead.close()
    one.tell(b"news")
    assert not stale.exists()
    one.close()
    two.close()


async def test_one_that_does_not_look_holds_nobody_up(tmp_path: Path, world: VirtualWorld) -> None:
    told: list[set[bytes]] = []
    one, two = pair(tmp_path / "b.db", told)
    for _ in range(5000):
        one.tell(b"news")
    await world.sleep(0.1)
    assert told
    one.close()
    two.close()


async def test_a_path_too_long_for_a_socket_still_works(tmp_path: Path, world: VirtualWorld) -> None:
    file = tmp_path / ("long" * 30) / "b.db"
    told: list[set[bytes]] = []
    one, two = pair(file, told)
    assert sorted(path.name for path in folder_of(file).iterdir()) == ["one", "two"]
    one.tell(b"news")
    await world.sleep(0.1)
    assert told == [{b"news"}]
    one.close()
    two.close()
    assert list(folder_of(file).iterdir()) == []


async def test_a_publish_sends_one_datagram_to_each_process(tmp_path: Path, world: VirtualWorld) -> None:
    broker = open_broker(f"sqlite:///{tmp_path}/b.db", world)
    await broker.open()
    await broker.subscribe(Subscription("g", ("t",)))
    peer = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    peer.bind(str(folder_of(tmp_path.resolve() / "b.db") / "peer"))
    peer.setblocking(False)
    await broker.publish([Message("t", f"k{n}", f"{n}", "T", b"") for n in range(50)])
    assert peer.recv(100) == b"news"
    with pytest.raises(BlockingIOError):
        peer.recv(100)
    peer.close()
    await broker.close()


@pytest.mark.parametrize("trouble", ["no such sockets", "no readers", "no folder"])
async def test_without_sockets_polling_stays(
    tmp_path: Path, world: VirtualWorld, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    if trouble == "no such sockets":
        monkeypatch.delattr(socket, "AF_UNIX")
    elif trouble == "no folder":
        folder_of(tmp_path.resolve() / "b.db").write_text("a file is in the way")
    else:

        def refuse(*_: object) -> None:
            raise NotImplementedError

        monkeypatch.setattr(asyncio.get_running_loop(), "add_reader", refuse)
    brokers = [open_broker(f"sqlite:///{tmp_path}/b.db", world) for _ in range(2)]
    for broker in brokers:
        await broker.open()
    consumer = await brokers[0].subscribe(Subscription("g", ("t",)))
    waiting = asyncio.create_task(consumer.fetch(10, 30))
    await world.sleep(1)
    began = world.monotonic()
    await brokers[1].publish([Message("t", "k", "1", "T", b"")])
    assert [d.id for d in await waiting] == ["1"]
    assert 0 < world.monotonic() - began < 1
    for broker in brokers:
        await broker.close()


@pytest.mark.parametrize("publisher", [0, 1])
async def test_a_publish_here_or_elsewhere_wakes_at_once(tmp_path: Path, world: VirtualWorld, publisher: int) -> None:
    brokers = [open_broker(f"sqlite:///{tmp_path}/b.db", world) for _ in range(2)]
    for broker in brokers:
        await broker.open()
    consumer = await brokers[0].subscribe(Subscription("g", ("t",)))
    waiting = asyncio.create_task(consumer.fetch(10, 30))
    await world.sleep(1)
    began = world.monotonic()
    await brokers[publisher].publish([Message("t", "k", "1", "T", b"")])
    assert [d.id for d in await waiting] == ["1"]
    assert world.monotonic() == began
    for broker in brokers:
        await broker.close()
