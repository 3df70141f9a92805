"""Alerts reach people: at least once, whatever breaks; together where there are many; and without the secrets of URLs."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Self

import pytest
from tests.observe.records import alert
from tests.observe.watch.ground import Ear
from tests.runtime.faults import Heard

from farandole import World
from farandole.errors import ConfigurationError, FarandoleError, StoreError
from farandole.observe.record import MemoryRecord
from farandole.observe.watch import Teller, sinks_of, telling
from farandole.observe.watch.telling import LogSink
from farandole.observe.watch.webhook import Webhook
from farandole.stores.record import Alert
from farandole.testing.virtual import VirtualWorld


def stall(number: int, world: World) -> Alert:
    return alert(f"stalled {number}", f"i{number}", at=world.time(), text=f"checkout i{number} stalled\n  more")


def troubles(heard: Heard) -> list[str]:
    return [str(word[-1]) for word in heard.words if word[0] == "trouble"]


def teller(world: World, *sinks: Any, record: Any = None) -> tuple[Teller, Any, Heard]:
    heard = Heard()
    record = record or MemoryRecord(None)  # type: ignore[arg-type]
    return Teller(record, sinks, world, heard), record, heard


async def test_each_sink_is_told_of_each_once_when_it_opens_and_when_it_is_over(world: VirtualWorld) -> None:
    one, two = Ear(), Ear()
    telling, record, _ = teller(world, one, two)
    for _ in range(3):
        await telling.tell([stall(1, world), stall(2, world)], [])
    await world.sleep(1)
    await telling.tell([], ["stalled 1", "stalled 9"])
    await telling.close()
    for ear in (one, two):
        assert ear.brief == [("stalled", "open"), ("stalled", "open"), ("stalled", "over")]
        assert ear.texts[2] == "resolved: checkout i1 stalled"
    assert await record.owed(1e18, 1e18, 10) == []


async def test_many_of_a_kind_are_told_together(world: VirtualWorld) -> None:
    telling, record, _ = teller(world, ear := Ear())
    await telling.tell([stall(number, world) for number in range(200)], [])
    await telling.close()
    assert len(ear.told) == 200
    (text,) = ear.texts
    first, *rest = text.splitlines()
    assert first == "200 alerts 'stalled' of checkout, the first 10:"
    assert (rest[0], rest[-1], len(rest)) == ("  checkout i0 stalled", "  farandole workflows", 11)
    assert await record.owed(1e18, 1e18, 10) == []


async def test_a_sink_that_is_away_is_told_later_and_the_others_not_again(world: VirtualWorld, caplog: Any) -> None:
    away, well = Ear(), Ear()
    away.deaf = True
    telling, record, heard = teller(world, away, well)
    await telling.tell([stall(1, world)], [])
    await world.sleep(1)
    assert (away.told, len(well.told)) == ([], 1)
    assert troubles(heard) == ["ear took no alert: OSError"]
    assert "secret" not in caplog.text
    for _ in range(30):
        await world.sleep(10)
        await telling.retry()
    assert len(troubles(heard)) > 1
    away.deaf = False
    for _ in range(40):
        await world.sleep(10)
        await telling.retry()
    assert (len(away.told), len(well.told)) == (1, 1)
    assert await record.owed(1e18, 1e18, 10) == []
    await telling.close()


async def test_what_a_process_could_not_tell_another_one_tells(world: VirtualWorld) -> None:
    dying, record, _ = teller(world, Ear())
    await record.alert([stall(1, world)])  # and it died
    await dying.close()
    other, _, _ = teller(world, ear := Ear(), record=record)
    await other.retry()
    assert ear.told == []  # somebody may be about to
    await world.sleep(telling.OWED)
    await other.retry()
    await other.close()
    assert ear.brief == [("stalled", "open")]


async def test_a_record_that_cannot_note_that_people_were_told_loses_nothing(world: VirtualWorld, monkeypatch: Any) -> None:
    telling_one, record, heard = teller(world, ear := Ear())

    async def away(_: Any) -> None:
        raise StoreError("away")

    with monkeypatch.context() as patch:
        patch.setattr(record, "told", away)
        await telling_one.tell([stall(1, world)], [])
        await world.sleep(1)
        assert troubles(heard) == ["away"]
    await world.sleep(telling.OWED)
    await telling_one.retry()
    await telling_one.close()
    assert len(ear.told) == 1  # this process knows that it has them
    assert await record.owed(1e18, 1e18, 10) == []


async def test_where_nobody_is_to_be_told_alerts_are_kept_all_the_same(world: VirtualWorld) -> None:
    telling, record, _ = teller(world)
    await telling.tell([stall(1, world)], [])
    await telling.close()
    assert len(await record.alerts()) == 1
    assert await record.owed(1e18, 1e18, 10) == []


async def test_the_log_warns_and_says_when_it_is_over(world: VirtualWorld, caplog: Any) -> None:
    caplog.set_level(logging.INFO, "farandole.alerts")
    telling, _, _ = teller(world, LogSink())
    await telling.tell([stall(1, world)], [])
    await world.sleep(1)
    await telling.tell([], ["stalled 1"])
    await telling.close()
    assert [(one.name, one.levelname, one.getMessage()) for one in caplog.records] == [
        ("farandole.alerts", "WARNING", "checkout i1 stalled\n  more"),
        ("farandole.alerts", "INFO", "resolved: checkout i1 stalled"),
    ]


# --- webhooks


class Hook:
    """A web server that keeps what it was sent, and answers as told."""

    def __init__(self) -> None:
        self.answers = [200]
        self.heads: list[str] = []
        self.bodies: list[Any] = []
        self.port = 0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        length = next(int(line.split(":")[1]) for line in head.splitlines() if line.lower().startswith("content-length"))
        self.bodies.append(json.loads(await reader.readexactly(length)))
        self.heads.append(head)
        code = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        writer.write(f"HTTP/1.1 {code} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()


@pytest.mark.real_time
async def test_a_webhook_is_sent_the_text_and_the_alerts_as_json() -> None:
    async with Hook() as hook:
        (sink,) = sinks_of([f"http://me:s%20cret@127.0.0.1:{hook.port}/hooks/T0K3N?x=1"], "shop")
        one = alert("k", "i1", text="checkout i1 stalled ☹", at=5.0)
        await sink.tell([one], "checkout i1 stalled ☹")
    assert hook.heads[0].startswith("POST /hooks/T0K3N?x=1 HTTP/1.1\r\n")
    assert "Authorization: Basic bWU6cyBjcmV0" in hook.heads[0]
    assert hook.bodies[0] == {
        "text": "checkout i1 stalled ☹", "choreography": "shop", "status": "open", "rule": "stalled", "workflow": "checkout",
        "count": 1, "alerts": [{"key": "k", "rule": "stalled", "correlation_id": "i1", "workflow": "checkout",
                                "text": "checkout i1 stalled ☹", "at": 5.0, "resolved": None}],
    }  # fmt: skip


@pytest.mark.real_time
@pytest.mark.parametrize("code", [500, 404, 302])
async def test_a_webhook_that_answers_otherwise_took_nothing_and_its_secret_is_not_told(code: int) -> None:
    async with Hook() as hook:
        hook.answers = [code]
        sink = Webhook(f"http://me:secret@127.0.0.1:{hook.port}/T0K3N")
        with pytest.raises(FarandoleError) as error:
            await sink.tell([alert("k", "i1")], "x")
    assert str(error.value) == f"the webhook http://127.0.0.1/… took no alert: it answered {code}"
    assert repr(sink) == "<Webhook http://127.0.0.1/…>"


@pytest.mark.real_time
async def test_a_webhook_that_nobody_answers_says_only_why() -> None:
    async with Hook() as hook:
        port = hook.port
    with pytest.raises(FarandoleError, match=r"the webhook http://127.0.0.1/… took no alert: ConnectionRefusedError$"):
        await Webhook(f"http://127.0.0.1:{port}/T0K3N").tell([alert("k", "i1")], "x")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mail", "expected \"log\" or the URL of a webhook, got: 'mail'"),
        ("ftp://secret.example/x", "got: 'ftp'"),
        ("https:///T0K3N", "names no host"),
        ("https://host/a b", "has blanks"),
        ("https://host:port/T0K3N", "cannot be read"),
    ],
)
def test_who_cannot_be_told_is_refused_without_telling_a_secret(name: str, said: str) -> None:
    with pytest.raises(ConfigurationError) as error:
        sinks_of([name])
    assert said in str(error.value)
    assert "T0K3N" not in str(error.value)
