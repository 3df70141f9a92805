"""Where workflows are, asked over a real socket."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from tests.observe.watch.ground import RUNNING, Place, shop
from tests.web.test_health import free_port

import farandole
from farandole.errors import StoreError
from farandole.web.health import serve
from farandole.web.observe import observe_app


async def ask(port: int, path: str) -> tuple[int, Any]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    head, _, body = (await reader.read()).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split()[1]), json.loads(body)


async def until_recorded(app: farandole.App, id: str, state: str) -> None:
    async with aclosing(app.follow(id)) as statuses:
        async for status in statuses:
            if status.state == state and status.reason:
                return
            if status.is_over:
                return


@pytest.mark.real_time
async def test_every_question_has_an_answer_and_every_wrong_one_says_what_to_write(tmp_path: Path, monkeypatch: Any) -> None:
    port, place = free_port(), f"sqlite:///{tmp_path}/"
    urls = {"broker": f"{place}broker.db", "database": place + "{service}.db", "record": f"{place}record.db"}
    async with farandole.open(shop(level=1000), services=RUNNING, **urls) as app, serve(app, str(port), observe_app):
        good = (await app.send(Place(order_id="o-1"))).correlation_id
        bad = (await app.send(Place(order_id="o-2", kind="dead"))).correlation_id
        async with asyncio.timeout(30):
            await until_recorded(app, good, "succeeded")
            await until_recorded(app, bad, "running")
        counts = [{"workflow": "checkout", "state": state, "count": 1} for state in ("running", "succeeded")]
        assert await ask(port, "/overview") == (200, {"choreography": "shop", "counts": counts, "alerts": 0})
        code, found = await ask(port, "/workflows?state=running,stalled&workflow=checkout&since=1h&limit=5")
        assert (code, [(one["correlation_id"], one["key"], one["waits_for"], one["service"]) for one in found["workflows"]]) == (
            200, [(bad, "o-2", "Paid", "payments")],
        )  # fmt: skip
        assert found["workflows"][0]["reason"] == "a dead letter of payments: the card is stolen"
        for id in (bad, "order_id=o-2"):
            code, one = await ask(port, f"/workflows/{id}")
            assert (code, one["state"], one["is_over"], [event["key"] for event in one["events"]]) == (
                200,
                "running",
                False,
                ["o-2", "o-2"],
            )
            assert one["began"].startswith("20")
            assert [level["name"] for level in one["levels"]] == ["Paid after Placed"]
        assert await ask(port, "/alerts") == (200, {"alerts": []})
        assert await ask(port, "/alerts?resolved=true&limit=3") == (200, {"alerts": []})
        assert await ask(port, "/healthz") == (200, {"status": "ok"})
        assert await ask(port, "/readyz") == (200, {"status": "ready", "reasons": []})
        for path, code, said in [
            ("/workflows/nobody", 404, "no event of 'nobody' is recorded"),
            ("/workflows/nobody/events", 404, "no event of 'nobody' is recorded"),
            ("/workflows/order_id=o-9", 404, "no event with order_id = 'o-9' is recorded"),
            ("/workflows/x%00%ff%2e%2e/y", 404, "is recorded"),
            ("/workflows?state=stuck", 422, "no workflow is ever 'stuck'. Known are:"),
            ("/workflows?workflow=chekout", 422, "Did you mean checkout?"),
            ("/workflows?since=soon", 422, "since: expected a duration such as"),
            ("/workflows?since=99999999999w", 422, "since: "),
            ("/workflows?limit=0", 422, "limit: expected a number from 1 to 1000, got: '0'"),
            ("/workflows?limit=1001", 422, "limit: expected"),
            ("/workflows?limit=%C2%B2", 422, "limit: expected"),
            ("/workflows?stat=x", 422, "there is no parameter 'stat' here. Known are: workflow, state, since, limit"),
            ("/alerts?resolved=yes", 422, "resolved: expected true or false, got: 'yes'"),
            ("/overview?x=1", 422, "Known are: none"),
        ]:
            got, found = await ask(port, path)
            assert (got, said in found["error"]) == (code, True), (path, got, found)

        async def away(*_: Any, **__: Any) -> Any:
            raise StoreError("the disk is full")

        monkeypatch.setattr(type(app.record), "alerts", away)
        assert await ask(port, "/alerts") == (503, {"error": "the disk is full"})
        assert await ask(port, "/readyz") == (503, {"status": "not ready", "reasons": ["record: the disk is full"]})
        app.stop()
        assert await ask(port, "/healthz") == (200, {"status": "stopping"})


@pytest.mark.real_time
async def test_an_instance_is_followed_as_server_sent_events_until_it_is_over(tmp_path: Path) -> None:
    port, place = free_port(), f"sqlite:///{tmp_path}/"
    urls = {"broker": f"{place}broker.db", "database": place + "{service}.db", "record": f"{place}record.db"}
    async with farandole.open(shop(), services=("orders",), **urls) as app, serve(app, str(port), observe_app):
        id = (await app.send(Place(order_id="o-1"))).correlation_id
        async with asyncio.timeout(30):
            await anext(app.follow(id))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /workflows/{id}/events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            assert "content-type: text/event-stream" in head
            assert b'"state":"running"' in await reader.readuntil(b"\n\n")
            async with farandole.open(shop(), services=("payments", "stock"), **urls):
                rest = (await reader.read()).decode()
        writer.close()
    events = [line.partition(": ")[2] for line in rest.splitlines() if line.startswith("event: ")]
    assert events[-1] == "over"
    assert set(events[:-1]) == {"status"}
    assert '"state":"succeeded"' in rest.split("event: status")[-1]


@pytest.mark.real_time
async def test_a_stream_that_somebody_reads_does_not_keep_the_host_from_stopping(tmp_path: Path) -> None:
    port, place = free_port(), f"sqlite:///{tmp_path}/"
    urls = {"broker": f"{place}broker.db", "database": place + "{service}.db", "record": f"{place}record.db"}
    async with asyncio.timeout(30):
        async with farandole.open(shop(), services=("orders",), **urls) as app, serve(app, str(port), observe_app):
            id = (await app.send(Place(order_id="o-1"))).correlation_id
            await anext(app.follow(id))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(f"GET /workflows/{id}/events HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            await reader.readuntil(b"\n\n")
        writer.close()
