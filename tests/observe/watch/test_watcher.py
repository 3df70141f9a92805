"""The watcher: what it keeps, that it goes on where it was, that several are one too many at most, and that nobody pays for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.observe.told import says
from tests.observe.watch.ground import LIMIT, RUNNING, Ear, Packed, Paid, Place, shop
from tests.runtime.faults import Heard
from tests.runtime.kit import opened, publish_raw

from farandole import App, World
from farandole.brokers.memory import connect
from farandole.errors import ConfigurationError, StoreError
from farandole.graph.of_code import graph_of
from farandole.model.envelope import Envelope, encode
from farandole.observe.record import MemoryRecord
from farandole.observe.status import Statuses
from farandole.observe.watch import Teller, Watcher, watcher
from farandole.observe.watch.look import quick_standing, standing_of
from farandole.runtime.signals import Signals
from farandole.stores import open_record
from farandole.stores.record import Entry, Fate, Standing
from farandole.testing.virtual import VirtualWorld


@asynccontextmanager
async def watched(world: VirtualWorld, ear: Ear, **more: Any) -> AsyncIterator[App]:
    options = {"record": "sqlite://", "observe": ["fates"], "services": RUNNING} | more
    async with opened(options.pop("choreography", None) or shop(), world, alerts=[ear], **options) as app:
        yield app


async def place(app: App, kind: str = "fine", order_id: str = "o-1") -> str:
    return (await app.send(Place(order_id=order_id, kind=kind))).correlation_id


async def states(app: App) -> list[tuple[str, str, str]]:
    return [(one.key, one.state, one.waits_for) for one in await app.workflows()]


# --- what it keeps


async def test_standings_follow_the_events_without_anybody_asking(world: VirtualWorld) -> None:
    async with watched(world, Ear()) as app:
        good, bad = await place(app), await place(app, "dead", "o-2")
        await world.sleep(3)
        found = await app.record.standing_of([good, bad])
        assert (found[good].state, found[good].workflow, found[good].field, found[good].key) == (
            "succeeded", "checkout", "order_id", "o-1",
        )  # fmt: skip
        assert (found[bad].state, found[bad].waits_for, found[bad].service) == ("running", "Paid", "payments")
        assert found[bad].reason == "a dead letter of payments: the card is stolen"
        assert found[bad].due == found[bad].began + LIMIT  # type: ignore[operator]
        assert await app.overview() == {("checkout", "succeeded"): 1, ("checkout", "running"): 1}


async def test_workflows_are_chosen_by_workflow_state_and_age(world: VirtualWorld) -> None:
    from datetime import timedelta

    async with watched(world, Ear()) as app:
        await place(app, "dead", "old")
        await world.sleep(60)
        await place(app, "dead", "new")
        await place(app, "fine", "good")
        await world.sleep(2)
        assert {one.key for one in await app.workflows()} == {"old", "new", "good"}
        assert {one.key for one in await app.workflows(state="running")} == {"old", "new"}
        assert {one.key for one in await app.workflows(state=("stalled", "succeeded"))} == {"good"}
        assert {one.key for one in await app.workflows(since=timedelta(seconds=50))} == {"new", "good"}
        assert len(await app.workflows(limit=1)) == 1
        assert await app.workflows(workflow="") == []
        for words, said in [
            ({"workflow": "chekout"}, "shop has no workflow 'chekout'. Did you mean checkout?"),
            ({"state": "stall"}, "no workflow is ever 'stall'. Did you mean stalled?"),
            ({"limit": 0}, "limit: expected at least 1, got: 0"),
        ]:
            with pytest.raises(ConfigurationError) as error:
                await app.workflows(**words)  # type: ignore[arg-type]
            assert str(error.value) == said


async def test_a_record_in_memory_is_looked_at_when_somebody_asks_and_nobody_is_alerted(world: VirtualWorld) -> None:
    async with opened(shop(), world, services=RUNNING) as app:
        await place(app)
        await app.idle()
        assert await app.record.counts() == {}
        assert await states(app) == [("o-1", "succeeded", "")]
        await place(app, "down", "o-2")
        await app.idle()
        await world.sleep(LIMIT + 1)
        assert ("o-2", "stalled", "Paid") in await states(app)
        assert await app.alerts() == []


async def test_a_record_in_memory_is_watched_where_alerts_are_asked_for(world: VirtualWorld) -> None:
    async with watched(world, ear := Ear(), record="memory://") as app:
        await place(app, "dead")
        await world.sleep(LIMIT + 2)
        assert ear.brief == [("stalled", "open")]


# --- alerts


async def test_a_stall_is_alerted_with_its_chain_and_is_over_when_the_workflow_ends(world: VirtualWorld) -> None:
    async with watched(world, ear := Ear()) as app:
        id = await place(app, "join")
        await world.sleep(LIMIT - 5)
        assert ear.told == []
        await world.sleep(10)
        (alert,) = ear.told
        assert ear.texts == [alert.text]
        first, *chain = alert.text.splitlines()
        assert first == f"checkout {id} (order_id=o-1) stalled since 08:01:30 UTC: the join waits for Packed"
        assert sorted(line.split()[1] for line in chain[:-1]) == ["Bulky", "Paid", "Placed"]
        assert chain[-1] == f"  farandole trace {id}"
        assert [one.key for one in await app.alerts()] == [alert.key]
        body = Envelope(
            specversion="1.0", id="p", source="/machines/1", type="shop.Packed.v1", correlationid=id, partitionkey="o-1",
            data=msgspec.Raw(encode(Packed(order_id="o-1"))),
        )  # fmt: skip
        await publish_raw(app.broker, encode(body), topic="shop.machines", key="o-1", id="p", type="shop.Packed.v1")
        await world.sleep(5)
        assert ear.brief == [("stalled", "open"), ("stalled", "over")]
        assert ear.texts[1] == f"resolved: {first}"
        assert (await app.alerts(), [one.key for one in await app.alerts(resolved=True)]) == ([], [alert.key])


async def test_a_workflow_that_can_go_no_further_is_alerted_of_after_a_moment(world: VirtualWorld) -> None:
    from farandole import Choreography, Command, Event, Service, Workflow

    class Asked(Event, key="id"):
        id: str

    class Answered(Event, key="id"):
        id: str

    class Ask(Command):
        id: str

    one, two = Service("one"), Service("two")

    @one.command
    async def ask(command: Ask) -> Asked:
        return Asked(id=command.id)

    @two.on(Asked)
    async def answer(asked: Asked) -> Answered | None:
        return None

    flow = Workflow("talk", starts=Asked, succeeds=Answered)
    async with watched(world, ear := Ear(), choreography=Choreography("shop", one, two, workflows=[flow]), services=None) as app:
        await app.send(Ask(id="1"))
        await world.sleep(1)
        assert ear.told == []
        await world.sleep(5)
        assert "two.answer answered Asked with nothing" in ear.texts[0]


async def test_a_missed_service_level_is_alerted_while_the_workflow_runs_and_is_over_when_the_event_comes(
    world: VirtualWorld,
) -> None:
    async with watched(world, ear := Ear(), choreography=shop(level=30)) as app:
        id = await place(app, "parked")
        fine = await place(app, "fine", "o-2")
        await world.sleep(29)
        assert ear.told == []
        await world.sleep(3)
        (alert,) = ear.told
        assert (alert.rule, alert.correlation_id) == ("Paid after Placed", id)
        assert "Paid did not come by 08:00:30 UTC (Paid after Placed): failed 2 times" in alert.text
        found = await app.record.standing_of([id, fine])
        assert (found[id].state, found[fine].state) == ("running", "succeeded")
        cause = next(entry.id for entry in await app.record.events_of(id) if entry.type == "shop.Placed.v1")
        body = Envelope(
            specversion="1.0", id="p", source="/shop/payments", type="shop.Paid.v1", correlationid=id, partitionkey="o-1",
            causationid=cause, time=world.now(), data=msgspec.Raw(encode(Paid(order_id="o-1"))),
        )  # fmt: skip
        await publish_raw(app.broker, encode(body), topic="shop.payments", key="o-1", id="p", type="shop.Paid.v1")
        await world.sleep(3)
        assert ear.brief == [("Paid after Placed", "open"), ("Paid after Placed", "over")]


async def test_while_the_recorder_is_behind_nothing_counts_as_late_that_may_have_come(
    world: VirtualWorld, monkeypatch: Any
) -> None:
    async with watched(world, ear := Ear()) as app:
        recorder = app._recorder
        assert recorder is not None
        await place(app, "dead", "first")
        await world.sleep(1)
        keeps, recorder._keep_all = recorder._keep_all, _away  # type: ignore[method-assign]
        await place(app, "fine", "second")  # it ends, but nobody records it
        await world.sleep(LIMIT + 60)
        assert ear.told == []
        monkeypatch.setattr(recorder, "_keep_all", keeps)
        await world.sleep(30)
        assert [alert.text.split("order_id=")[1].split(")")[0] for alert in ear.told] == ["first"]


async def _away(deliveries: Any) -> None:
    raise StoreError("the disk is full")


# --- restarts, and several


async def test_it_goes_on_where_it_was_and_alerts_nobody_twice(world: VirtualWorld, tmp_path: Path) -> None:
    url, ear = f"sqlite:///{tmp_path}/record.db", Ear()
    options = {"record": url, "database": f"sqlite:///{tmp_path}/{{service}}.db", "broker": connect("memory://", world)}
    await options["broker"].open()  # type: ignore[attr-defined]
    async with watched(world, ear, **options) as app:
        await place(app, "dead", "one")
        await world.sleep(LIMIT + 2)
        assert len(ear.told) == 1
    async with watched(world, ear, **options, watch=False) as app:
        await place(app, "dead", "two")
        await world.sleep(LIMIT + 2)
        assert len(ear.told) == 1
    async with watched(world, ear, **options) as app:
        stood = await app.record.stood()
        await world.sleep(3)
        assert sorted(alert.text.split("order_id=")[1].split(")")[0] for alert in ear.told) == ["one", "two"]
        assert await app.record.stood() > stood
        await world.sleep(200)
        assert len(ear.told) == 2


async def test_several_watchers_alert_once(world: VirtualWorld, tmp_path: Path) -> None:
    options = {"record": f"sqlite:///{tmp_path}/record.db", "broker": connect("memory://", world)}
    await options["broker"].open()  # type: ignore[attr-defined]
    ears = [Ear(), Ear()]
    async with watched(world, ears[0], **options) as app, watched(world, ears[1], **options, services=(), watch=True) as other:
        for number in range(8):
            await place(app, "dead", f"o-{number}")
        await world.sleep(LIMIT + 5)
        assert sorted(alert.key for ear in ears for alert in ear.told) == sorted(one.key for one in await other.alerts())
        assert len(await app.alerts()) == 8


@pytest.mark.real_time
@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_two_that_look_at_the_same_at_once_alert_once_on_every_database(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:///{tmp_path}/record.db" if kind == "sqlite" else request.getfixturevalue("schema")
    real, ears = World(), [Ear(), Ear()]
    records = [open_record(url, real) for _ in ears]
    for record in records:
        await record.open()
    old = [msgspec.structs.replace(says("orders", "Placed", id=f"e{n}"), time=real.time() - 1000) for n in range(40)]
    await records[0].append([msgspec.structs.replace(entry, correlation_id=f"i{entry.id}") for entry in old])
    tellers = [Teller(record, [ear], real, Signals()) for record, ear in zip(records, ears, strict=True)]
    statuses = Statuses(graph_of(shop()))
    watchers = [Watcher(Source(r), statuses, real, Signals(), t) for r, t in zip(records, tellers, strict=True)]
    await asyncio.gather(*(one.step() for one in watchers))
    await asyncio.gather(*(one.close() for one in tellers))
    assert sorted(alert.correlation_id for ear in ears for alert in ear.told) == sorted(f"i{entry.id}" for entry in old)
    assert await records[0].counts() == {("checkout", "stalled"): 40}
    assert await records[1].owed(real.time() + 1, real.time(), 100) == []
    await records[0].append(
        [msgspec.structs.replace(says("orders", "Confirmed", id="end"), correlation_id="ie0", time=real.time())]
    )
    assert not await watchers[1].step()
    await tellers[1].close()
    assert ears[1].brief[-1] == ("stalled", "over")
    for record in records:
        await record.close()


# --- those who follow


async def test_changes_are_told_as_they_happen_here_and_in_a_process_that_only_reads(world: VirtualWorld, tmp_path: Path) -> None:
    options = {"record": f"sqlite:///{tmp_path}/record.db", "broker": connect("memory://", world)}
    await options["broker"].open()  # type: ignore[attr-defined]
    here: list[Standing] = []
    there: list[Standing] = []

    async def follow(app: App, into: list[Standing]) -> None:
        async with aclosing(app.watch()) as changes:
            async for standing in changes:
                into.append(standing)  # noqa: PERF401 - one by one, as they come

    async with watched(world, Ear(), **options) as app, opened(shop(), world, services=(), **options) as reader:
        await place(app, "fine", "before")
        await world.sleep(5)
        tasks = [asyncio.create_task(follow(app, here)), asyncio.create_task(follow(reader, there))]
        await world.sleep(2)
        await place(app, "dead", "o-1")
        await world.sleep(LIMIT + 5)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert reader.troubles == {}
    for told in (here, there):
        assert {one.key for one in told} == {"o-1"}
        assert [one.state for one in told][-1] == "stalled"
        assert told[0].state == "running"
        assert len({(one.state, one.waits_for, one.reason) for one in told}) == len(told)


# --- at nobody's expense


async def test_while_the_record_is_away_services_go_on_and_it_comes_back_by_itself(world: VirtualWorld, monkeypatch: Any) -> None:
    heard = Heard()
    async with watched(world, ear := Ear(), signals=heard, observe=None) as app:
        record = app.record
        await place(app, "dead", "o-1")
        await world.sleep(2)

        async def away(*_: Any) -> Any:
            raise StoreError("the database is away")

        with monkeypatch.context() as patch:
            patch.setattr(type(record), "stood", away)
            patch.setattr(type(record), "append", away)
            await place(app, "fine", "o-2")
            await world.sleep(60)
            await app.broker.lag(next(iter(app._assembly.hosted.values())).subscriptions[0])
            assert (await app.store("orders").status()).outbox == 0
            assert "the database is away" in app.troubles["watcher"]
        await world.sleep(LIMIT + 60)
        assert app.troubles == {}
        assert {one.key: one.state for one in await app.workflows()} == {"o-1": "stalled", "o-2": "succeeded"}
        assert ear.brief == [("stalled", "open")]


# --- a record by hand


class Source:
    """A record that a test fills."""

    def __init__(self, record: Any) -> None:
        self.record = record

    async def ready(self) -> None:
        pass

    async def is_behind(self) -> bool:
        return False


def by_hand(world: VirtualWorld, ear: Ear, record: Any = None) -> tuple[Any, Watcher]:
    record = record or MemoryRecord(None)  # type: ignore[arg-type]
    teller = Teller(record, [ear], world, Signals())
    return record, Watcher(Source(record), Statuses(graph_of(shop())), world, Signals(), teller)


async def test_events_of_strangers_are_shown_as_what_they_are(world: VirtualWorld) -> None:
    record, looking = by_hand(world, Ear())
    strange = [
        says("orders", "Placed", "command", id="a"),
        says("nobody", "Unheard", "a", "missing", id="b"),
        says("payments", "Paid", "c", id="c"),  # its own cause
        says("payments", "Paid", "e", id="d"),
        says("payments", "Paid", "d", id="e"),  # a circle
        says("orders", "Placed", id="f", at=-10_800.0),
        says("orders", "Placed", id="g", at=10_800.0),
        says("orders", "Placed", id="h", at=1e14),
    ]
    for number, entry in enumerate(strange):
        await record.append([msgspec.structs.replace(entry, correlation_id=f"i{number}")])
    await record.append([msgspec.structs.replace(entry, id=f"{entry.id}2", correlation_id="all") for entry in strange])
    assert not await looking.step()
    await world.sleep(LIMIT + 5)
    assert not await looking.step()
    found = {one.correlation_id: one for one in await record.standings(limit=100)}
    assert {id: one.state for id, one in found.items()} == {
        "i0": "stalled", "i1": "ended", "i2": "ended", "i3": "ended", "i4": "ended",
        "i5": "stalled", "i6": "running", "i7": "running", "all": "stalled",
    }  # fmt: skip


async def test_an_instance_that_cannot_be_read_keeps_no_other_from_being_looked_at(world: VirtualWorld, monkeypatch: Any) -> None:
    record, looking = by_hand(world, Ear())
    await record.append([msgspec.structs.replace(says("orders", "Placed", id=f"e{n}"), correlation_id=f"i{n}") for n in range(3)])
    of = Statuses.of

    def breaks(self: Statuses, entries: list[Entry], now: float, fates: Any = ()) -> Any:
        if entries[0].correlation_id == "i1":
            raise RecursionError("too deep")
        return of(self, entries, now, fates)

    monkeypatch.setattr(Statuses, "of", breaks)
    await looking.step()
    assert "RecursionError: too deep" in str(looking.trouble)
    found = {one.correlation_id: one for one in await record.standings()}
    assert found["i1"].reason == "cannot be told: RecursionError: too deep"
    assert (found["i0"].workflow, found["i2"].workflow) == ("checkout", "checkout")


async def test_an_instance_of_very_many_events_is_looked_at_seldom_and_in_the_end(world: VirtualWorld, monkeypatch: Any) -> None:
    monkeypatch.setattr(watcher, "MANY", 10)
    record, looking = by_hand(world, Ear())

    async def more(first: int, count: int) -> None:
        await record.append([says("orders", "Placed", id=f"e{number}") for number in range(first, first + count)])

    await more(0, 400)
    await looking.step()
    (one,) = await record.standings()
    assert one.number == 400
    await more(400, 10)
    assert not await looking.step()
    assert (await record.standings())[0].number == 400
    await world.sleep(3)
    assert not await looking.step()
    assert (await record.standings())[0].number == 410


async def test_what_was_told_of_an_instance_makes_it_looked_at_again_and_without_it_age_does(world: VirtualWorld) -> None:
    record, looking = by_hand(world, Ear())
    await record.append([says("orders", "Placed", id="a")])
    await looking.step()
    dead = Fate(id="a", correlation_id="c", reaction="payments.charge", state="dead", reason="no card", at=world.time())
    await record.tell([dead])
    await looking.step()
    assert (await record.standings())[0].reason == ""
    looking.hear([dead])
    await looking.step()
    assert (await record.standings())[0].reason == "a dead letter of payments: no card"
    await record.tell([msgspec.structs.replace(dead, state="parked", reason="again", at=dead.at + 1)])  # nobody heard of it
    await world.sleep(61)
    await looking.step()
    assert (await record.standings())[0].reason.endswith("the last at 08:00:01: again")


def test_a_quick_look_at_a_success_gives_what_a_long_one_does() -> None:
    graph = graph_of(shop())
    start = msgspec.structs.replace(says("orders", "Placed", "command", id="a"), number=1)
    paid = msgspec.structs.replace(says("payments", "Paid", "a", at=1), number=2)
    end = msgspec.structs.replace(says("orders", "Confirmed", "Paid", at=2), number=3)
    whole = standing_of(Statuses(graph).of([start, paid, end], 1_800_000_010.0))
    assert quick_standing(graph, None, [start, paid, end]) == whole
    known = standing_of(Statuses(graph).of([start, paid], 1_800_000_001.0))
    assert quick_standing(graph, known, [end]) == whole
    assert quick_standing(graph, None, [end]) is None  # what began it is not seen
    assert quick_standing(graph, msgspec.structs.replace(known, state="failed"), [end]) is None
    assert quick_standing(graph_of(shop(level=3)), known, [end]) is None
