"""A service in which much waits, and the rows of what waits, as the code would write them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from itertools import islice
from typing import Any, NamedTuple

from benchmarks.by_hand import Wired, encode

from farandole import Choreography, Event, Service, all_of
from farandole.model.envelope import Message

__all__ = [
    "Noted",
    "Paid",
    "Placed",
    "Reserved",
    "Shipped",
    "Written",
    "fill",
    "forget",
    "joins",
    "message",
    "shop",
    "timers",
    "written",
]

HOUR = 3_600_000
PAGE = 20_000
SAID_AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
"""The time in every event: two of one number are the same to the byte."""
INBOX = ("reaction", "id", "state", "handled_at", "key", "topic", "body", "attempts", "due")
INSTANCES = ("reaction", "key", "state", "timer", "have", "since")
PARTS = ("reaction", "key", "id", "body")
ALL = {
    "farandole_inbox": (*INBOX, "blocks", "reason", "place", "error", "token", "receipt"),
    "farandole_instances": (*INSTANCES, "runner", "expected"),
    "farandole_parts": PARTS,
}


class Noted(Event, key="order", topic="desk"):
    order: str


class Placed(Event, key="order", topic="desk"):
    order: str


class Paid(Event, key="order", topic="desk"):
    order: str


class Reserved(Event, key="order", topic="desk"):
    order: str


class Shipped(Event, key="order", topic="desk"):
    order: str


def shop() -> Choreography:
    """One service: a plain reaction, a join, and a deadline."""
    service = Service("orders")

    @service.on(Noted)
    async def note(event: Noted) -> None:
        pass

    @service.on(all_of(Paid, Reserved), within=timedelta(hours=1))
    async def ship(paid: Paid, reserved: Reserved) -> None:
        pass

    @service.deadline(after=Placed, unless=Shipped, within=timedelta(hours=1))
    async def give_up(order: Placed) -> None:
        pass

    return Choreography("shop", service)


def message(kind: type[Event], number: int) -> Message:
    """An event. Ids grow with time; the keys of orders are in no order."""
    key = blake2b(str(number).encode(), digest_size=16).hexdigest()
    name = f"shop.{kind.__name__}.v1"
    place = ("Noted", "Placed", "Paid", "Reserved", "Shipped").index(kind.__name__)
    id = f"0198c0de-1234-7000-{8 + 0x1000 * place:04x}-{number:012x}"
    data = kind(order=key)  # type: ignore[call-arg]  # each has this field
    body = encode(Wired("1.0", id, "/desk", name, SAID_AT, "application/json", id, id, key, 1, data))
    return Message("shop.desk", key, id, name, body)


class Written(NamedTuple):
    """The rows that one event leaves behind: in the inbox, of an instance, of a part."""

    inbox: tuple[Any, ...]
    instance: tuple[Any, ...]
    part: tuple[Any, ...] | None


def timers(count: int, now: int, *, over: int = HOUR // 2) -> Iterator[Written]:
    """Deadlines that were started one after the other until now, in milliseconds, `over` some time."""
    for number in range(count):
        placed, at = message(Placed, number), now - over + over * number // count
        yield Written(
            ("orders.give_up", placed.id, "parked", at, placed.key, placed.topic, placed.body, 0, at + HOUR),
            ("orders.give_up", placed.key, "open", placed.id, "{}", at),
            None,
        )


def joins(count: int, now: int, *, over: int = HOUR // 2) -> Iterator[Written]:
    """Joins which have the first of two parts; it is their timer too."""
    for number in range(count):
        paid, at = message(Paid, number), now - over + over * number // count
        yield Written(
            ("orders.ship", paid.id, "parked", at, paid.key, paid.topic, paid.body, 0, at + HOUR),
            ("orders.ship", paid.key, "open", paid.id, '{"shop.Paid.v1":1}', at),
            ("orders.ship", paid.key, paid.id, paid.body),
        )


async def fill(store: Any, rows: Iterator[Written]) -> None:
    """Write such rows, many at a time."""
    while page := list(islice(rows, PAGE)):
        parts = [row.part for row in page if row.part is not None]
        tables = (
            ("farandole_inbox", INBOX, [row.inbox for row in page]),
            ("farandole_instances", INSTANCES, [row.instance for row in page]),
            ("farandole_parts", PARTS, parts),
        )
        if store.inline:
            async with store.begin(durable=False) as transaction:
                driver = transaction.resource("driver")
                for name, columns, values in tables:
                    marks = ", ".join("?" * len(columns))
                    driver.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", values)
        else:
            async with store.database.connection() as connection:
                for name, columns, values in tables:
                    await connection.copy_records_to_table(name, columns=columns, records=values)


async def forget(store: Any) -> None:
    """Empty the tables."""
    for name in ALL:
        if store.inline:
            async with store.begin() as transaction:
                transaction.resource("driver").execute(f"DELETE FROM {name}")
        else:
            async with store.database.connection() as connection:
                await connection.execute(f"DELETE FROM {name}")


async def written(store: Any) -> dict[str, list[tuple[Any, ...]]]:
    """All that stands in the tables, in the order of ids; times of the inbox and of instances as minutes from the first."""
    found = {}
    for name, columns in ALL.items():
        look = f"SELECT {', '.join(columns)} FROM {name}"
        if store.inline:
            rows = store.access.database.cursor.execute(look).fetchall()
        else:
            async with store.database.connection() as connection:
                rows = [tuple(row) for row in await connection.fetch(look)]
        times = [columns.index(time) for time in ("handled_at", "due", "since") if time in columns]
        first = min((row[times[0]] for row in rows if times), default=0)
        found[name] = sorted(
            tuple(
                round((value - first) / 60_000) if place in times and value is not None else value
                for place, value in enumerate(row)
            )
            for row in rows
        )
    return found
