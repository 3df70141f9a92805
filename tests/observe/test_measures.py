"""Measures: counted from the record in any order, each event once, kept over restarts, by one of several processes at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.observe.test_metrics import counted, figures
from tests.observe.test_observer import Packed, Paid, Place, Placed, Shipped, shop
from tests.observe.told import says

import farandole
from farandole import Choreography, ConfigurationError, Measure, StoreError, World
from farandole.host import Options, record_of
from farandole.model.wire import Wire
from farandole.observe import figures as counting
from farandole.observe.figures import Figures
from farandole.observe.measures import Figure, Rule, rules_of
from farandole.observe.record import MemoryRecord, Reading
from farandole.stores import open_record
from farandole.stores.measures import Part, Tally
from farandole.stores.record import Entry, Record
from farandole.stores.sqlite import measures as sqlite

MEASURES = [
    Measure.open("unpaid", since=Placed, until=(Paid, Shipped)),
    Measure.time("placed_to_paid", Placed, Paid, buckets=(1.0, 10.0)),
    Measure.share("paid", of=Placed, reach=Paid),
]
SHOP = Choreography("shop", *shop().services.values(), measures=MEASURES)
WIRE = Wire(SHOP)
SUMS = [Measure.sum("worth", Placed, "cents", until=Shipped), Measure.sum("turnover", Placed, "cents")]
BARE = shop()
SUMMED = Choreography("shop", *shop().services.values(), measures=[*MEASURES, *SUMS])


def event(id: str, instance: str, name: str, at: float | None = 0.0, **data: Any) -> Entry:
    entry = says("orders", name, id=id, at=at or 0.0, **data)
    return msgspec.structs.replace(entry, correlation_id=instance, **({"time": None} if at is None else {}))


async def told(record: Record, choreography: Choreography = SHOP, **more: Any) -> dict[str, Figure]:
    counted = Figures(choreography, record, more.pop("world", World()))
    return {figure.name: figure for figure in await counted.now(**more)}


Open = Callable[[], AbstractAsyncContextManager[Any]]


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def kept(request: pytest.FixtureRequest, world: World) -> Open:
    """Opens an empty record, on each kind of database."""
    url = {"sqlite": "sqlite://", "memory": "memory://"}.get(request.param) or request.getfixturevalue("schema")

    @asynccontextmanager
    async def record() -> AsyncIterator[Record]:
        made, _ = record_of(url, world, Reading(WIRE))
        await made.open()
        yield made
        await made.close()

    return record


# --- pure: any order, any pieces

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["a", "b"]),
        st.sampled_from(["Placed", "Paid", "Shipped", "Packed"]),
        st.one_of(st.none(), st.integers(0, 30)),
        st.integers(-5, 5),
    ),
    max_size=12,
)


def count(rules: Sequence[Rule], pieces: Sequence[Sequence[Entry]]) -> dict[str, tuple[Tally, Figure]]:
    found = {}
    for rule in rules:
        tally, parts = Tally(measure=rule.id), dict[str, Part]()
        for piece in pieces:
            for instance in {entry.correlation_id for entry in piece}:
                was = parts.get(instance)
                part = rule.part(was, instance, [entry for entry in piece if entry.correlation_id == instance])
                if part is not None:
                    tally, parts[instance] = rule.counted(tally, was, part), part
        waiting = [part for part in parts.values() if part.began is not None and part.ended is None]
        found[rule.id] = tally, rule.figure(tally, (len(waiting), sum(part.value for part in waiting)))
    return found


@given(STEPS, st.randoms(use_true_random=False), st.integers(1, 4))
def test_events_in_any_order_and_any_pieces_give_the_same_figures(steps: Any, chance: Any, size: int) -> None:
    rules = rules_of(SUMMED.measures, Wire(SUMMED))
    entries = [event(str(n), instance, name, at, cents=cents) for n, (instance, name, at, cents) in enumerate(steps)]
    whole = count(rules, [entries])
    mixed = chance.sample(entries, len(entries))
    assert count(rules, [mixed[n : n + size] for n in range(0, len(mixed), size)]) == whole


def test_the_figures_are_what_one_would_count_by_hand() -> None:
    rules = {rule.measure.name: rule for rule in rules_of(SUMMED.measures, Wire(SUMMED))}
    entries = [
        event("1", "a", "Placed", 0, cents=100), event("2", "a", "Paid", 5), event("3", "a", "Paid", 9), event("4", "a", "Shipped", 20),
        event("5", "b", "Paid", 30), event("6", "b", "Placed", 31, cents=7), event("7", "b", "Placed", 32, cents=3),
        event("8", "c", "Placed", None, cents=50), event("9", "c", "Paid", 12),
        event("10", "d", "Placed", 0, cents=5), event("11", "e", "Paid", 1), event("12", "f", "Packed", 1),
    ]  # fmt: skip
    found = {name: count([rule], [entries])[rule.id][1] for name, rule in rules.items()}
    assert (found["unpaid"].value, found["unpaid"].begun) == (1, 4)
    assert found["paid"].value == 0.75
    took = found["placed_to_paid"]  # 5 s; no time at all, since b's clock was wrong; c does not say when it began
    assert (took.value, took.total, took.done, took.buckets) == (2.5, 5.0, 2, {"1": 1, "10": 2, "+Inf": 2})
    assert (took.quantile(0.5), took.quantile(0.9)) == (1.0, 10.0)
    assert found["worth"].value == 65
    assert found["turnover"].value == 165


@pytest.mark.parametrize("body", [b"", b"{}", b"no json", b"[]"])
def test_an_event_whose_data_is_not_there_adds_nothing(body: bytes) -> None:
    (rule,) = rules_of([SUMMED.measures[-1]], Wire(SUMMED))
    assert count([rule], [[msgspec.structs.replace(event("1", "a", "Placed"), body=body)]])[rule.id][1].value == 0
    for value in ("***", None, "nan", 1e999, [1], {"a": 1}, "12.5"):
        entry = event("1", "a", "Placed", cents=value)
        assert count([rule], [[entry]])[rule.id][1].value == (12.5 if value == "12.5" else 0)


def test_nothing_is_shown_where_there_is_nothing_to_say() -> None:
    for rule in rules_of(MEASURES, WIRE):
        figure = rule.figure(None, (0, 0.0))
        assert figure.value == (0 if figure.kind == "open" else None)
        assert figure.quantile(0.5) is None


# --- from a record


async def test_the_record_is_counted_once_however_often_somebody_asks(kept: Open) -> None:
    async with kept() as record:
        await record.append(
            [event("1", "a", "Placed", 0), event("2", "b", "Placed", 0), event("3", "a", "Paid", 4), event("1", "a", "Placed")]
        )
        found = await told(record)
        assert (found["unpaid"].value, found["paid"].value, found["placed_to_paid"].value) == (1, 0.5, 4)
        assert await told(record) == found
        await record.append([event("1", "a", "Placed", 0), event("3", "a", "Paid", 4), event("4", "b", "Paid", 16)])
        found = await told(record)
        assert (found["unpaid"].value, found["paid"].value, found["placed_to_paid"].value) == (0, 1, 10)


async def test_two_who_count_at_once_count_each_event_once(kept: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(counting, "BATCH", 7)
    async with kept() as record:
        await record.append([event(f"p{n}", f"i{n}", "Placed") for n in range(100)])
        await record.append([event(f"q{n}", f"i{n}", "Paid", 2) for n in range(0, 100, 2)])
        first, second, third = await asyncio.gather(told(record), told(record), told(record))
        assert first["unpaid"].begun == 100
        assert first == second == third == await told(record)
        assert (first["unpaid"].value, first["paid"].value) == (50, 0.5)


async def test_a_step_that_another_process_has_taken_is_not_kept(kept: Open) -> None:
    async with kept() as record:
        measures = record.measures
        assert await measures.keep(
            0, [Tally(measure="m", upto=5, begun=1, buckets=(1, 0))], [Part(measure="m", correlation_id="a", began=1.5)]
        )
        assert not await measures.keep(0, [Tally(measure="m", upto=9)], [Part(measure="m", correlation_id="b")])
        assert not await measures.keep(5, [Tally(measure="m", upto=9), Tally(measure="n", upto=9)], [])
        tallies = await measures.tallies()
        assert tallies["m"] == Tally(measure="m", upto=5, begun=1, buckets=(1, 0))
        assert tallies.get("n", Tally(measure="n")) == Tally(measure="n")
        assert await measures.parts_of(["m"], ["a", "b"]) == [Part(measure="m", correlation_id="a", began=1.5)]
        assert await measures.open_parts() == {"m": (1, 0.0)}
        whole = Part(measure="m", correlation_id="Ö\0☃", began=float("inf"), ended=2.0, value=0.1)
        assert await measures.keep(5, [Tally(measure="m", upto=6)], [whole])
        assert await measures.parts_of(["m", "x"], ["Ö\0☃"]) == [whole]


async def test_a_measure_that_is_new_or_other_than_before_begins_at_the_beginning(
    kept: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BATCH", 3)
    async with kept() as record:
        await record.append([event(str(n), str(n), "Placed") for n in range(5)])
        old = Choreography("shop", *shop().services.values(), measures=MEASURES[:1])
        assert (await told(record, old))["unpaid"].value == 5
        await record.append([event(f"more {n}", str(n), "Packed") for n in range(5)])
        other = Measure.open("unpaid", since=Placed, until=Packed)
        new = Choreography("shop", *shop().services.values(), measures=[other, *MEASURES[1:]])
        found = await told(record, new)
        assert (found["unpaid"].value, found["paid"].begun) == (0, 5)
        assert (await told(record, old))["unpaid"].value == 5  # processes of the former version still see theirs
        assert (await told(record, SHOP))["paid"].begun == 5


async def test_who_is_impatient_gets_what_there_is_and_the_rest_is_counted_next_time(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "BATCH", 10)
    record = MemoryRecord(Reading(WIRE))
    await record.append([event(str(n), str(n), "Placed") for n in range(100)])

    class Slow(type(world)):  # type: ignore[misc]
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds or 0.1)

    counted = Figures(SHOP, record, Slow())
    (unpaid, *_) = await counted.now(patience=0.45)
    assert (unpaid.value, counted.is_behind) == (50, True)
    (unpaid, *_) = await counted.now()
    assert (unpaid.value, counted.is_behind) == (100, False)


class Watched:
    """A record that remembers from where it was read."""

    def __init__(self, record: Record) -> None:
        self.measures, self._since = record.measures, record.since
        self.looked: list[int] = []

    async def since(self, number: int, limit: int) -> list[Entry]:
        self.looked.append(number)
        return await self._since(number, limit)


async def test_what_was_counted_survives_a_restart_and_is_not_counted_again(tmp_path: Path, world: World) -> None:
    url = f"sqlite:///{tmp_path}/record.db"
    for turn in (1, 2):
        record = open_record(url, world)
        await record.open()
        await record.append([event(f"{turn}", f"i{turn}", "Placed"), event(f"{turn} paid", f"i{turn}", "Paid", 3 * turn)])
        watched = Watched(record)
        found = await told(watched)  # type: ignore[arg-type]
        assert (found["paid"].begun, found["placed_to_paid"].total) == (turn, 3 * turn * (turn + 1) / 2)
        assert watched.looked == [2 * turn - 2, 2 * turn]
        await record.close()


async def test_what_the_record_has_forgotten_is_forgotten_here_too(kept: Open) -> None:
    async with kept() as record:
        await record.append([event(str(n), str(n), "Placed") for n in range(3)])
        assert (await told(record))["unpaid"].value == 3
        rule = rules_of(MEASURES, WIRE)[0].id
        await record.measures.keep(
            3, [Tally(measure=rule, upto=3)], [Part(measure=rule, correlation_id="never recorded", began=1.0)]
        )
        assert (await record.measures.open_parts())[rule][0] == 4
        forgotten = [await record.measures.tidy(4) for _ in range(6)]
        assert sum(forgotten) == 1
        assert (await record.measures.open_parts())[rule][0] == 3


async def test_no_statement_reads_the_parts_from_end_to_end(world: World) -> None:
    record = open_record("sqlite://", world)
    await record.open()
    connection = record.access.database.cursor  # type: ignore[attr-defined]
    for name, statement in sqlite.SQL.all.items():
        plan = [row[-1] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement.sql}", [None] * statement.sql.count("?"))]
        wrong = [step for step in plan if step.startswith("SCAN") and "VIRTUAL" not in step and "USING" not in step]
        assert name == "tallies" or wrong == [], (name, plan)
    await record.close()


# --- in an app


async def test_an_app_tells_its_figures_and_so_do_its_metrics(world: World) -> None:
    async with counted(SUMMED, world, record="sqlite://") as (app, metrics):
        for number in range(3):
            await app.send(Place(order_id=str(number)))
        await app.idle()
        found = await app.figures()
        assert (found["unpaid"].value, found["paid"].value, found["worth"].value) == (0, 1, 0)
        shown = await figures(metrics)
    assert shown["farandole_measure_unpaid shop"] == 0
    assert shown["farandole_measure_paid shop"] == 1
    assert (shown["farandole_measure_paid_of_total shop"], shown["farandole_measure_paid_reached_total shop"]) == (3, 3)
    assert shown["farandole_measure_placed_to_paid_seconds_count shop"] == 3
    assert shown["farandole_scrape_errors measures"] == 0


async def test_a_record_that_is_away_breaks_no_scrape(world: World) -> None:
    async with counted(SUMMED, world, record="sqlite://") as (app, metrics):
        await app.record.close()
        app.recorder._open = app.recorder.ready = lambda *_: _raise()
        shown = await figures(metrics)
    assert (shown["farandole_scrape_errors record"], shown["farandole_scrape_errors measures"]) == (1, 1)
    assert shown["farandole_dead_letters orders"] == 0


async def _raise() -> None:
    raise StoreError("away")


async def test_where_nothing_is_recorded_figures_say_what_to_do(world: World) -> None:
    async with farandole.open(
        SHOP, broker="memory://", database="sqlite://", record="none", world=world, options=Options()
    ) as app:
        with pytest.raises(ConfigurationError, match="nothing records the events of shop here"):
            await app.figures()
