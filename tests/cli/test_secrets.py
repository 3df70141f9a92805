"""What is sensitive is in no log, record, page, reason or output, however an event fails.

Not looked at: the event topics of the broker and the databases of the services. They hold the events themselves, which is their job.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from tests.cli.kit import Project
from tests.runtime.kit import log_of

import farandole
from farandole.brokers import open_broker
from farandole.brokers.base import PublishResult
from farandole.errors import CommandRefused, EmissionError
from farandole.host import Options
from farandole.model.envelope import Envelope, Message, encode
from farandole.observe import listeners
from farandole.observe.lines import JsonLines, TextLines
from farandole.observe.observer import Listener
from farandole.observe.rows import fates_topic
from farandole.observe.traces import Traces
from farandole.testing import virtual
from farandole.web.health import health_app
from farandole.web.observe import observe_app

SOURCE = """
from datetime import timedelta
from typing import Annotated, Literal
import msgspec
from farandole import Choreography, Command, Event, Policy, Reject, Retry, Sensitive, Service, Skip, Workflow, all_of

class Card(msgspec.Struct):
    number: Annotated[str, Sensitive]
    owners: list[str]

class Member(Event, key="email", topic="members"):
    email: Annotated[str, Sensitive]

class Joined(Member):
    card: Card
    pin: Annotated[int, Sensitive]
    kind: Annotated[Literal["gold", "grey"], Sensitive]
    labels: Annotated[dict[str, str], Sensitive]

class Told(Member):
    kind: Annotated[Literal["gold", "grey"], Sensitive] = "gold"

class Greeted(Member): ...
class Left(Member): ...
class Lost(Member): ...

class Join(Command):
    email: Annotated[str, Sensitive]
    card: Card
    pin: Annotated[int, Sensitive]
    labels: Annotated[dict[str, str], Sensitive]
    way: str = "well"

def quoting(event):
    return f"{event.email} {event.card.number} {event.pin} {event.card!r} {event.labels} {list(event.labels)[0]!r} {event!r}"

members = Service("members")

@members.command
async def join(command: Join) -> Joined:
    if command.way == "refused":
        raise Reject(quoting(command))
    if command.way == "exploding":
        raise ValueError(quoting(command))
    if command.way == "leaving":
        raise SystemExit(quoting(command))
    kind = command.email if command.way == "ill-typed" else "gold"
    return Joined(email=command.email, card=command.card, pin=command.pin, kind=kind, labels=command.labels)

late, dead, people, skips, says, breaks = (Service(name) for name in ("late", "dead", "people", "skips", "says", "breaks"))
once = Policy(retry=Retry(attempts=1))

@late.on(Joined, policy=Policy(retry=Retry(attempts=3, delay=3600, longest=3600)))
async def waits(event: Joined) -> None:
    raise OSError(quoting(event))

@dead.on(Joined, policy=once)
async def dies(event: Joined) -> None:
    raise KeyError(event.card.number, event.card.owners)

@people.on(Joined, policy=Policy(retry=Retry(attempts=1), task=True))
async def asks(event: Joined) -> None:
    raise RuntimeError(quoting(event))

@skips.on(Joined)
async def passes(event: Joined) -> None:
    raise Skip(quoting(event))

@says.on(Joined, policy=once)
async def tells(event: Joined) -> Told | Lost:
    raise OSError(quoting(event))

@tells.exhausted
async def lost(event: Joined) -> Lost:
    return Lost(email=event.email)

@breaks.on(Joined, policy=once)
async def ill(event: Joined) -> Told | Greeted:
    return Told(email=event.email, kind=event.email)

@breaks.on(Joined, policy=once)
async def greet(event: Joined) -> Greeted:
    return Greeted(email=event.email)

@breaks.on(all_of(Greeted, Left))
async def never(greeted: Greeted, left: Left) -> None: ...

membership = Workflow("membership", starts=Joined, succeeds=Left, fails=Lost, within=timedelta(seconds=1))
shop = Choreography("shop", members, late, dead, people, skips, says, breaks, workflows=[membership])

from farandole.rehearse import Rehearsal

rehearsal = Rehearsal(shop)

@rehearsal.scenario
async def work(stage):
    await stage.send(Join(email="hush-mail", card=Card(number="hush-card", owners=["hush-owner"]), pin=31415926535, labels={"hush-label": "hush-value"}))

@shop.invariant
async def nobody_is_lost(world):
    assert not world.events(Lost), world.events(Lost)
"""

SECRETS = ("hush-mail", "hush-card", "hush-owner", "hush-label", "hush-value", "31415926535", "hush-foreign")
ONE = {"card": {"number": "hush-card", "owners": ["hush-owner"]}, "pin": 31415926535, "labels": {"hush-label": "hush-value"}}


def leaks(where: str, text: str | bytes) -> list[str]:
    """Which secrets are in a text, with what stands around them."""
    text = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return [f"{where}: …{text[max(0, m.start() - 120) : m.end() + 20]}…" for s in SECRETS if (m := re.search(re.escape(s), text))]


class Ear(Listener):
    """Writes down all that listeners hear of runs and troubles, but for the events themselves."""

    def __init__(self) -> None:
        self.words: list[str] = []

    def ran(self, runs: Sequence[Any]) -> None:
        self.words += [f"{run.reaction} {run.state} {run.reason} {run.error} {run.place}" for run in runs]

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        self.words.append(f"failed {reaction} {event_id} {state} {reason}")

    def trouble(self, who: str, error: BaseException) -> None:
        self.words.append(f"trouble {who} {error}")


class Refusing:
    """The broker, which takes no event of one type."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    async def publish(self, batch: Sequence[Message]) -> Sequence[PublishResult]:
        return [
            PublishResult("too large", permanent=True)
            if message.type == "shop.Lost.v1"
            else (await self._inner.publish([message]))[0]
            for message in batch
        ]


FOREIGN = (
    b'{"specversion":"1.0","id":"f1","source":"/x","type":"shop.Joined.v1","partitionkey":"hush-foreign","data":{"email":"hush-foreign',
    b"hush-foreign",
    *(
        encode(
            Envelope(
                specversion="1.0",
                id=id,
                source="/x",
                type=type,
                partitionkey="hush-foreign",
                correlationid=id,
                data=msgspec.Raw(data),
            )
        )
        for id, type, data in (
            ("f2", "shop.Joined.v1", encode(ONE | {"email": "hush-foreign", "kind": "hush-foreign"})),
            ("f3", "shop.Joined.v1", encode(ONE | {"email": "hush-foreign", "kind": ["hush-foreign"]})),
            ("f4", "shop.Stolen.v1", b'"hush-foreign"'),
            ("f5", "shop.Joined.v7", b'"hush-foreign"'),
            ("f6", "shop.Joined.v1", b'{"email":"hush-foreign","labels":{"hush-label":"1","hush-label":"2"}}'),
        )
    ),
)


async def fail_in_all_ways(module: Any, world: virtual.VirtualWorld) -> dict[str, Any]:
    """Joins that end in every way; gives what was seen meanwhile."""
    broker, ear = open_broker("sqlite:///.farandole/broker.db", world), Ear()
    await broker.open()
    seen: dict[str, Any] = {"ear": ear.words, "errors": [], "pages": []}
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    others = [name for name in listeners.NAMES if name != "traces"]
    card = module.Card(number="hush-card", owners=["hush-owner"])
    more = {"email": "hush-mail", "card": card, "pin": 31415926535, "labels": {"hush-label": "hush-value"}}
    async with farandole.open(
        module.shop,
        broker=Refusing(broker),
        database="sqlite:///.farandole/{service}.db",
        record="sqlite:///.farandole/record.db",
        world=world,
        options=Options(),
        observe=[*others, Traces(provider), ear],
    ) as app:
        seen["instance"] = (await app.send(module.Join(**more))).correlation_id
        for way, error in (("refused", CommandRefused), ("leaving", CommandRefused), ("ill-typed", EmissionError)):
            with pytest.raises(error) as raised:
                await app.send(module.Join(**more, way=way))
            seen["errors"] += [str(raised.value), repr(raised.value), str(getattr(raised.value, "reason", ""))]
        with pytest.raises(ValueError, match="hush-mail"):  # the caller's own
            await app.send(module.Join(**more, way="exploding"))
        for index, body in enumerate(FOREIGN):
            await broker.publish([Message("shop.members", "hush-foreign", f"f{index}", "", body)])
        await world.sleep(15.0)
        seen["status"] = str(await app.status(seen["instance"]))
        for made, paths in (
            (health_app(app), ("/healthz", "/readyz", "/lag", "/metrics")),
            (observe_app(app), ("/overview", "/workflows", f"/workflows/{seen['instance']}", "/workflows/email=x", "/alerts")),
        ):
            async with httpx.AsyncClient(transport=httpx.ASGITransport(app=made), base_url="http://test") as client:
                seen["pages"] += [(await client.get(path)).text for path in paths]
        seen["states"] = {fate.state for fate in await app.record.fates_of(seen["instance"])}
    seen["fates"] = [encode(event) for event in await log_of(broker, fates_topic("shop"))]
    seen["spans"] = [span.to_json() for span in spans.get_finished_spans()]
    await broker.close()
    return seen


@pytest.fixture
def failed(
    project: Callable[..., Project], caplog: pytest.LogCaptureFixture
) -> tuple[Project, dict[str, Any], list[logging.LogRecord]]:
    made = project(SOURCE)
    toml = made.folder / "farandole.toml"
    toml.write_text(toml.read_text() + 'record = "sqlite:///.farandole/record.db"\n')
    with caplog.at_level(logging.DEBUG):
        seen = virtual.run(fail_in_all_ways(made.module(), virtual.VirtualWorld()))
    return made, seen, list(caplog.records)


def test_no_sink_shows_what_is_sensitive(
    failed: tuple[Project, dict[str, Any], list[logging.LogRecord]],
) -> None:
    project, seen, records = failed
    found: list[str] = []
    # It did fail in all these ways, and was told of.
    states = " ".join(seen["ear"])
    assert seen["states"] >= {"done", "parked", "dead", "skipped", "exhausted"}
    for words in ("refused", "(relay) dead", "(envelope) dead", "members.join refused", "EmissionError"):
        assert words in states, words
    assert "stalled" in seen["status"]
    assert any(f"stalled membership {seen['instance']}" in page for page in seen["pages"])
    assert any(one.name == "farandole.alerts" and one.levelname == "WARNING" for one in records)
    # Lines of logs, as text and as JSON, with all their attributes.
    lines = [line for one in records for line in (TextLines().format(one), JsonLines().format(one), repr(vars(one)))]
    assert sum("farandole.events" in line for line in lines) > 20
    found += [leak for line in lines for leak in leaks("log", line)]
    assert any("farandole_" in page for page in seen["pages"]), "metrics"
    for sink in ("ear", "errors", "pages", "fates", "spans"):
        assert seen[sink]
        found += [leak for text in seen[sink] for leak in leaks(sink, text)]
    found += leaks("status", seen["status"])
    # The record's file, byte for byte.
    files = sorted(Path(project.folder, ".farandole").glob("record.db*"))
    assert files
    assert b"shop.Joined.v1" in files[0].read_bytes()
    found += [leak for path in files for leak in leaks(path.name, path.read_bytes())]
    # What commands print.
    app, instance = project.app, seen["instance"]
    tasks = project.json("tasks", "list")
    assert tasks
    for tokens in (
        ("trace", instance, app),
        ("trace", instance, app, "--data"),
        ("trace", instance, app, "--table"),
        ("trace", instance, app, "--mermaid"),
        ("dead", "list"),
        ("dead", "show", "--limit", "100"),
        ("dead", "retry", "--all", "--dry-run"),
        ("tasks", "list"),
        ("tasks", "show", tasks[0]["id"]),
        ("status", app),
        ("workflows", app),
        ("workflows", app, "--stalled"),
        ("db", "status"),
    ):
        for extra in ((), ("--json",)):
            if extra and (tokens[0] == "db" or tokens[-1] in ("--table", "--mermaid")):
                continue
            code, out, err = project.run(*tokens, *extra)
            assert code == 0, (tokens, err)
            assert out
            found += leaks(" ".join((*tokens, *extra)), out + err)
    letters = project.json("dead", "show", "--limit", "100")
    assert {letter["service"] for letter in letters} >= {"dead", "people", "breaks", "says"}
    assert found == []


def test_the_story_of_a_rehearsal_shows_nothing_either(project: Callable[..., Project]) -> None:
    made = project(SOURCE.replace("3600", "0.1"))
    code, out, err = made.run("rehearse", f"{made.name}:rehearsal", "--seeds", "1", "--jobs", "1")
    assert code == 1
    assert "nobody_is_lost" in out and "Joined (***1)" in out
    assert leaks("story", out + err) == []
