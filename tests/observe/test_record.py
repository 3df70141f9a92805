"""The record: every event once, found by instance, id and business key, without what is sensitive, and at nobody's expense."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest
from tests.observe.records import READING, event
from tests.runtime.faults import FlakyBroker, Heard
from tests.runtime.kit import Choreography, Paid, Place, Placed, Service, Workflow, opened, ordering, publish_raw
from tests.servers import server

import farandole
from farandole import Command, Event, Sensitive
from farandole.brokers.memory import connect
from farandole.errors import BrokerError, ConfigurationError, NewerDatabase, StoreError, UnknownInstance, UnknownScheme
from farandole.host import record_of
from farandole.model.envelope import decode
from farandole.observe.record import MemoryRecord, memory
from farandole.stores import open_record
from farandole.stores.postgres import record as postgres
from farandole.stores.postgres.migrate import latest
from farandole.stores.record import Entry, Record
from farandole.stores.sqlite import record as sqlite
from farandole.testing.virtual import VirtualWorld

Open = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, world: VirtualWorld) -> Open:
    """Opens an empty record, on each kind of database."""
    url = {"sqlite": "sqlite://", "memory": "memory://"}.get(request.param) or request.getfixturevalue("schema")

    @asynccontextmanager
    async def record() -> AsyncIterator[Record]:
        made, _ = record_of(url, world, READING)
        await made.open()
        yield made
        await made.close()

    return record


# --- what every record does


async def test_events_come_back_as_they_were_in_the_order_of_the_record(kept: Open) -> None:
    entries = [
        event(2, causationid="x,y"),
        event(1, time=None, field="", key=""),
        event(3, "other", "Ö\0\ue000☃", body=b"\0\xff"),
    ]
    async with kept() as record:
        assert await record.append(entries) == 3
        found = await record.events_of("flow") + await record.events_of("other")
        assert [entry.number for entry in found] == [1, 2, 3]
        assert [Entry(**{name: getattr(one, name) for name in Entry.__struct_fields__[:-1]}) for one in found] == entries
        assert await record.event("e3") == found[2]
        assert found[0].causes == ("x", "y")
        assert found[1].causes == ()
        assert (await record.event("nobody"), await record.events_of("nobody")) == (None, [])


async def test_an_event_that_comes_again_is_kept_once(kept: Open) -> None:
    async with kept() as record:
        assert await record.append([event(1), event(1), event(2)]) == 2
        assert await record.append([event(2), event(3)]) == 1
        assert await record.append([]) == 0
        assert [entry.id for entry in await record.events_of("flow")] == ["e1", "e2", "e3"]


async def test_instances_are_found_by_their_business_key_the_latest_first(kept: Open) -> None:
    async with kept() as record:
        await record.append([event(1, "a"), event(2, "b"), event(3, "b", type="shop.B.v1"), event(4, "c", "4712"), event(5, "a")])
        assert await record.instances_of("order_id", "4711") == ["a", "b"]
        assert await record.instances_of("order_id", "4711", limit=1) == ["a"]
        assert await record.instances_of("order_id", "4711", "shop.B.v1") == ["b"]
        assert await record.instances_of("customer_id", "4711") == []
        await record.append([event(6, "d", field="", key="x")])
        assert await record.instances_of("", "x") == []


async def test_the_latest_event_of_each_instance_is_known(kept: Open) -> None:
    async with kept() as record:
        await record.append([event(1, "a"), event(2, "Ö"), event(3, "a")])
        assert await record.latest_of(["a", "Ö", "nobody"]) == {"a": 3, "Ö": 2}
        assert await record.latest_of([]) == {}


async def test_what_came_since_is_read_in_pieces(kept: Open) -> None:
    async with kept() as record:
        await record.append([event(number) for number in range(5)])
        read, number = [], 0
        while some := await record.since(number, 2):
            read += [entry.id for entry in some]
            number = some[-1].number
        assert read == [f"e{number}" for number in range(5)]


@pytest.mark.parametrize("url", ["sqlite", "postgres"])
async def test_instances_are_forgotten_as_a_whole_when_nothing_came_for_long(
    url: str, world: VirtualWorld, request: pytest.FixtureRequest
) -> None:
    record = open_record("sqlite://" if url == "sqlite" else request.getfixturevalue("schema"), world)
    await record.open()
    await record.append([event(1, "old"), event(2, "live"), event(3, "old"), event(4, "old too")])
    await world.sleep(100)
    await record.append([event(5, "live")])
    assert await record.purge(1000, 2) == 0
    assert await record.purge(50, 2) == 2
    assert await record.purge(50, 2) == 1  # it went on behind what it had looked at
    assert [entry.id for entry in await record.since(0, 10)] == ["e2", "e5"]
    assert await record.append([event(1, "again")]) == 1
    await record.close()


async def test_a_record_in_memory_forgets_the_oldest_instances_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "REMEMBERED", 2)
    record = MemoryRecord(READING)
    await record.append([event(1, "a", "1"), event(2, "b", "2"), event(3, "a", "1"), event(4, "c", "3")])
    assert [len(await record.events_of(name)) for name in "abc"] == [2, 0, 1]
    assert await record.event("e2") is None
    assert (await record.instances_of("order_id", "2"), await record.instances_of("order_id", "1")) == ([], ["a"])
    assert [entry.id for entry in await record.since(0, 10)] == ["e1", "e3", "e4"]
    monkeypatch.setattr(memory, "BYTES", 10)
    await record.append([event(5, "d", body=b"x" * 20)])
    assert [entry.id for entry in await record.since(0, 10)] == ["e5"]  # the latest stays, however large
    assert await record.append([event(1, "a")]) == 1


async def test_no_question_reads_the_record_from_end_to_end(world: VirtualWorld) -> None:
    record = open_record("sqlite://", world)
    await record.open()
    connection = record.access.database.cursor  # type: ignore[attr-defined]
    for statement in sqlite.SQL.all.values():
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", [None] * statement.sql.count("?"))]
        assert not [line for line in plan if line.startswith("SCAN farandole_record") and "INDEX" not in line], (
            statement.name,
            plan,
        )
        if statement.name == "instances_of":
            assert any("farandole_record_key (key=? AND field=?)" in line for line in plan), plan
    await record.close()


async def test_a_server_answers_by_its_indexes(schema: str, world: VirtualWorld) -> None:
    record = open_record(schema, world)
    await record.open()
    for part in range(20):
        await record.append([event(number, f"f{number // 5}", f"k{number}") for number in range(part * 250, part * 250 + 250)])
    async with record.database.connection() as connection:  # type: ignore[attr-defined]
        await connection.execute("ANALYZE farandole_record")
        for name, values in {"event": ["e7"], "events_of": ["f7"], "latest_of": [["f7", "f8"]], "since": [4000, 10]}.items():
            plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {postgres.SQL.all[name].sql}", *values))
            assert "Seq Scan" not in plan, plan
        asked = ["k7", "order_id", None, 10]
        plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN {postgres.SQL.instances_of.sql}", *asked))
        assert "key_field_number_idx" in plan, plan
    await record.close()


async def test_a_record_that_is_not_open_says_so(kept: Open, world: VirtualWorld) -> None:
    async with kept() as record:
        if isinstance(record, MemoryRecord):
            return
        await record.open()
        await record.close()
        await record.close()
        with pytest.raises(StoreError, match="is not open, or away"):
            await record.append([event(1)])


async def test_a_record_on_a_file_may_lie_beside_other_tables_and_is_opened_again(tmp_path: Path, world: VirtualWorld) -> None:
    url = f"sqlite:///{tmp_path}/shop.db"
    for number in range(2):
        record = open_record(url, world)
        await record.open()
        await record.append([event(number)])
        await record.close()
    record = open_record(url, world)
    await record.open()
    assert len(await record.events_of("flow")) == 2
    record.access.database.cursor.execute("INSERT INTO farandole_record_schema VALUES (99)")  # type: ignore[attr-defined]
    await record.close()
    with pytest.raises(NewerDatabase, match="has schema 99"):
        await record.open()
    assert not record.is_open


async def test_wrong_urls_are_refused_with_a_remedy(world: VirtualWorld, tmp_path: Path) -> None:
    with pytest.raises(UnknownScheme, match="no database answers to"):
        record_of("mysql://x", world, READING)
    with pytest.raises(ConfigurationError, match="expected retention to be such as"):
        record_of("sqlite:///x.db?retention=long", world, READING)
    assert record_of("sqlite:///x.db?retention=7d", world, READING)[1] == 7 * 86_400
    assert record_of("sqlite:///x.db?retention=forever&synchronous=normal", world, READING)[1] is None
    (tmp_path / "text.db").write_text("no database, but a text that is long enough to be taken for one" * 20)
    with pytest.raises(ConfigurationError, match=r"text\.db"):
        await open_record(f"sqlite:///{tmp_path}/text.db", world).open()


async def test_a_server_whose_tables_nobody_may_change_is_checked(schema: str, world: VirtualWorld) -> None:
    strict = open_record(f"{schema}&migrate=no", world)
    with pytest.raises(ConfigurationError, match=f"has schema 0; this version needs {latest('record')}"):
        await strict.open()
    record = open_record(schema, world)
    await record.open()
    await strict.open()
    await strict.append([event(1)])
    assert len(await record.events_of("flow")) == 1
    await strict.close()
    await record.close()


@pytest.mark.real_time
async def test_two_that_append_the_same_at_once_keep_each_event_once_and_in_order(schema: str) -> None:
    records = [open_record(schema, farandole.World()) for _ in range(2)]
    await asyncio.gather(*(record.open() for record in records))
    batches = [[event(number + 50 * part) for number in range(50)] for part in range(6)]
    counts = await asyncio.gather(*(record.append(batch) for batch in batches for record in records))
    assert sum(counts) == 300
    numbers = [entry.number for entry in await records[0].since(0, 1000)]
    assert len(numbers) == 300
    assert numbers == sorted(set(numbers))
    for record in records:
        await record.close()


# --- what is written to it


class Registered(Event, key="email"):
    email: Annotated[str, Sensitive]
    name: str


class Welcomed(Event, key="name"):
    name: str
    age: Annotated[int, Sensitive]
    note: str = ""


class Register(Command):
    email: Annotated[str, Sensitive]
    name: str


members, greeters = Service("members", cleared="*"), Service("greeters", cleared="*")


@members.command
async def register(command: Register) -> Registered:
    return Registered(email=command.email, name=command.name)


@greeters.on(Registered)
async def welcome(event: Registered) -> Welcomed:
    return Welcomed(name=event.name, age=42)


club = Choreography("club", members, greeters, workflows=[Workflow("joining", starts=Registered, succeeds=Welcomed)])


@pytest.mark.parametrize("where", ["memory", "sqlite", "postgres"])
async def test_what_is_sensitive_never_reaches_the_record(
    where: str, world: VirtualWorld, request: pytest.FixtureRequest
) -> None:
    url = {"memory": "memory://", "sqlite": "sqlite://"}.get(where) or request.getfixturevalue("schema")
    async with opened(club, world, record=url) as app:
        receipt = await app.send(Register(email="ann@home.example", name="Ann"))
        outcome = await app.outcome(receipt.correlation_id, timeout=5)
        assert (outcome.name, outcome.age) == ("Ann", "***")
        assert "***" in repr(outcome)
        registered, welcomed = await app.record.events_of(receipt.correlation_id)
        assert b"home.example" not in registered.body
        assert (registered.key, welcomed.key) == ("***", "Ann")
        assert b'"age":"***"' in welcomed.body


async def test_events_of_unknown_types_keep_their_envelope_and_no_data(world: VirtualWorld) -> None:
    async with opened(club, world) as app:
        body = b'{"specversion":"1.0","id":"x","source":"/s","type":"club.Odd.v1","secret":"1","data":{"password":"hunter2"}}'
        await publish_raw(app.broker, body, topic="club.members")
        more = (
            b'{"specversion":"1.0","id":"y","source":"/s","type":"club.Welcomed.v1","data":{"name":"Ann","age":1,"card":"4111"}}'
        )
        await publish_raw(app.broker, more, topic="club.greeters")
        wrong = b'{"specversion":"1.0","id":"z","source":"/s","type":"club.Welcomed.v1","data":{"password":"hunter2"}}'
        await publish_raw(app.broker, wrong, topic="club.greeters")
        await publish_raw(app.broker, b'{"specversion":"1.0","id":"\\ud800","source":"/s","type":"t"}', topic="club.greeters")
        await world.sleep(1)
        bodies = [entry.body for name in "xyz" for entry in await app.record.events_of(name)]
        assert len(bodies) == 3
        assert not any(word in body for body in bodies for word in (b"hunter2", b"4111", b"secret"))
        assert [decode(body).id for body in bodies] == ["x", "y", "z"]
        assert len(await app.record.since(0, 10)) == 3  # what is no Unicode is passed over


# --- the recorder


CHECKOUT = Workflow("checkout", starts=Placed, succeeds=Paid)


def checkout() -> Choreography:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> Paid:
        return Paid(order_id=order.order_id)

    return Choreography("shop", ordering(), payments, workflows=[CHECKOUT])


async def test_an_outcome_is_known_to_who_opens_later_and_to_another_process(tmp_path: Path, world: VirtualWorld) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    async with opened(checkout(), world, record=url) as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.idle()  # recorded as well
        assert len(await app.record.events_of(receipt.correlation_id)) == 2
    async with opened(checkout(), world, record=url, services=[]) as later:  # another log: nothing of it is heard again
        assert await later.outcome(receipt.correlation_id, timeout=1) == Paid(order_id="o-1")
        assert (await later.status(receipt.correlation_id)).state == "succeeded"
        assert [status.state async for status in later.follow(receipt.correlation_id)] == ["succeeded"]


async def test_who_records_nothing_is_told_of_what_others_record(tmp_path: Path, world: VirtualWorld) -> None:
    urls = {
        "record": f"sqlite:///{tmp_path}/record.db",
        "broker": "memory://shared",
        "database": f"sqlite:///{tmp_path}/{{service}}.db",
    }
    async with opened(checkout(), world, services=[], **urls) as door:
        receipt = await door.send(Place(order_id="o-1"))
        waiting = asyncio.create_task(door.outcome(receipt.correlation_id, timeout=60))
        await world.sleep(5)
        assert not waiting.done()
        async with opened(checkout(), world, **urls):
            assert await waiting == Paid(order_id="o-1")


async def test_a_record_that_is_switched_on_later_knows_what_the_log_still_has(world: VirtualWorld) -> None:
    broker = connect("memory://", world)
    await broker.open()
    async with opened(checkout(), world, broker=broker, record="none") as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.idle()
        with pytest.raises(ConfigurationError, match="nothing records the events of shop here"):
            await app.status(receipt.correlation_id)
    async with opened(checkout(), world, broker=broker, record="sqlite://") as app:
        await app.idle()
        assert (await app.status(receipt.correlation_id)).state == "succeeded"


class Away(MemoryRecord):
    """A record whose database goes away and comes back."""

    shared = True
    down = True

    async def open(self) -> None:
        if self.down:
            raise ConfigurationError("cannot connect to the record")

    @property
    def is_open(self) -> bool:
        return not self.down

    async def append(self, entries: Any) -> int:
        if self.down:
            raise StoreError("the record is away")
        return await super().append(entries)

    async def events_of(self, correlation_id: str) -> list[Entry]:
        if self.down:
            raise StoreError("the record is away")
        return await super().events_of(correlation_id)


async def test_services_never_notice_that_the_record_is_away_and_it_catches_up(world: VirtualWorld) -> None:
    record, heard = Away(READING), Heard()
    async with opened(checkout(), world, record=record, signals=heard) as app:
        receipts = [await app.send(Place(order_id=f"o-{number}")) for number in range(3)]
        before = world.monotonic()
        await app.idle()
        assert world.monotonic() - before < 2
        assert app.counters["handled"] == 3
        with pytest.raises(StoreError, match="the record is away"):
            await app.status(receipts[0].correlation_id)
        waiting = asyncio.create_task(app.outcome(receipts[0].correlation_id))
        await world.sleep(60)
        assert not waiting.done()
        assert len([word for word in heard.of("trouble") if word[0] == "record"]) in range(
            6, 24
        )  # more and more seldom, of the recorder and of who waits
        record.down = False
        assert await waiting == Paid(order_id="o-0")
        assert [await app.outcome(one.correlation_id, timeout=30) for one in receipts] == [
            Paid(order_id=f"o-{n}") for n in range(3)
        ]
        await app.idle()
        record.down = True
        await app.send(Place(order_id="o-9"))
        await world.sleep(5)
        record.down = False
        await world.sleep(15)
        assert len(await record.since(0, 100)) == 8
        assert ("record", "the record is away") in heard.of("trouble")


async def test_a_group_that_cannot_be_joined_yet_stops_nobody_and_is_joined_later(world: VirtualWorld) -> None:
    broker, heard = FlakyBroker(world), Heard()
    await broker.open()
    subscribe = broker.subscribe

    async def refused(subscription: Any) -> Any:
        if subscription.group == "shop.@record" and world.monotonic() < 5:
            raise BrokerError("no such topic")
        return await subscribe(subscription)

    broker.subscribe = refused  # type: ignore[method-assign]
    async with opened(checkout(), world, broker=broker, record="sqlite://", signals=heard) as app:
        receipt = await app.send(Place(order_id="o-1"))
        assert await app.outcome(receipt.correlation_id, timeout=30) == Paid(order_id="o-1")
        assert ("record", "no such topic") in heard.of("trouble")


async def test_what_could_not_be_acknowledged_is_recorded_once(world: VirtualWorld) -> None:
    broker = FlakyBroker(world)
    await broker.open()
    async with opened(checkout(), world, broker=broker, record="sqlite://") as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.idle()
        broker.down = True
        await world.sleep(3)
        broker.down = False
        await app.send(Place(order_id="o-2"))
        await app.idle()
        assert len(await app.record.events_of(receipt.correlation_id)) == 2
        assert len(await app.record.since(0, 100)) == 4


async def test_old_instances_are_forgotten_as_the_url_says(tmp_path: Path, world: VirtualWorld) -> None:
    async with opened(checkout(), world, record=f"sqlite:///{tmp_path}/record.db?retention=3m") as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.outcome(receipt.correlation_id)
        await world.sleep(90)
        assert (await app.status(receipt.correlation_id)).is_over
        await world.sleep(240)
        with pytest.raises(UnknownInstance):
            await app.status(receipt.correlation_id)


async def test_who_stops_waiting_is_forgotten(world: VirtualWorld) -> None:
    async with opened(checkout(), world) as app:
        waiting = [asyncio.create_task(app.outcome("x")) for _ in range(2)]
        await world.sleep(1)
        assert len(app._observer._bells["x"]) == 2
        assert app._observer._looking is None, "in memory, nobody else records"
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert app._observer._bells == {}


async def test_a_choreography_that_says_nothing_has_nothing_to_record(world: VirtualWorld) -> None:
    async with opened(Choreography("quiet", Service("alone")), world, record="memory://") as app:
        assert await app.record.since(0, 10) == []


# --- app.status and app.follow


async def test_an_instance_is_followed_to_its_end(world: VirtualWorld) -> None:
    async with opened(checkout(), world) as app:
        receipt = await app.send(Place(order_id="o-1"))
        told = [status async for status in app.follow(receipt.correlation_id)]
        assert told[-1].state == "succeeded"
        assert [len(status.events) for status in told] == sorted({len(status.events) for status in told})
        assert [entry.type for entry in told[-1].events] == ["shop.Placed.v1", "shop.Paid.v1"]


async def test_an_instance_that_stands_still_is_followed_to_its_limit(world: VirtualWorld) -> None:
    silent = Service("silent")

    @silent.on(Placed)
    async def never(order: Placed) -> Paid:
        raise farandole.Skip("not today")

    flow = Workflow("checkout", starts=Placed, succeeds=Paid, within=timedelta(minutes=5))
    async with opened(Choreography("shop", ordering(), silent, workflows=[flow]), world) as app:
        receipt = await app.send(Place(order_id="o-1"))
        following = app.follow(receipt.correlation_id)
        states = [(await anext(following)).state for _ in range(2)]
        assert states == ["running", "stalled"]
        assert world.monotonic() == pytest.approx(300, abs=2)
        await following.aclose()


async def test_an_instance_that_nobody_knows_is_a_lookup_error(world: VirtualWorld) -> None:
    async with opened(checkout(), world) as app:
        with pytest.raises(LookupError, match="no event of 'nobody' is recorded"):
            await app.status("nobody")


# --- on servers


@pytest.mark.servers
@pytest.mark.real_time
@pytest.mark.parametrize(
    ("broker", "option"),
    [("kafka", ""), ("nats", "?prefix={}"), ("rabbitmq", ""), ("redis", "?prefix={}"), ("postgres", "?schema={}")],
)
@pytest.mark.parametrize("where", ["memory", "sqlite"])
async def test_every_broker_knows_the_group_of_the_record(broker: str, option: str, where: str, tmp_path: Path) -> None:
    run = f"record{secrets.token_hex(4)}"
    shop = Choreography(run, *checkout().services.values(), workflows=[CHECKOUT])
    record = "memory://" if where == "memory" else f"sqlite:///{tmp_path}/record.db"
    urls = {"broker": server(broker) + option.format(run), "database": f"sqlite:///{tmp_path}/{{service}}.db", "record": record}
    async with opened(shop, farandole.World(), **urls) as app:
        receipts = [await app.send(Place(order_id=f"o-{number}")) for number in range(5)]
        for receipt in receipts:
            await app.outcome(receipt.correlation_id, timeout=60)
            assert (await app.status(receipt.correlation_id)).state == "succeeded"
        assert len(await app.record.since(0, 100)) == 10
