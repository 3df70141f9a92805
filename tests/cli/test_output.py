"""What is printed, and what is not: spans of time, foreign text, sensitive values however deep."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import pytest

from farandole import Choreography, Event, Sensitive, Service
from farandole.cli.output import ago, data_of, envelope_of, plain
from farandole.model.envelope import Envelope
from farandole.model.wire import Wire


class Address(msgspec.Struct):
    city: str
    street: Annotated[str, Sensitive]


class Moved(Event, of="town.people"):
    when: datetime
    address: Address
    former: list[Address]
    by_year: dict[int, Address]
    tags: frozenset[str]
    visits: dict[int, int]


people = Service("people")


@people.on(Moved)
async def note(event: Moved) -> None: ...


WIRE = Wire(Choreography("village", people))


def moved(data: bytes, type: str = "town.Moved.v1") -> Envelope:
    return Envelope(specversion="1.0", id="1", source="/town/people", type=type, data=msgspec.Raw(data))


def test_what_holds_a_sensitive_value_is_blotted_out() -> None:
    address = {"city": "Arles", "street": "hidden"}
    data = {"when": "2026-01-01T00:00:00Z", "address": address, "former": [address], "by_year": {"1999": address}} | {
        "tags": ["a"],
        "visits": {"1999": 3},
    }
    assert data_of(moved(msgspec.json.encode(data)), WIRE) == {
        "when": "2026-01-01T00:00:00Z",
        "address": "***",
        "former": "***",
        "by_year": "***",
        "tags": ["a"],
        "visits": {"1999": 3},
    }


@pytest.mark.parametrize("envelope", [moved(b"{}"), moved(b""), moved(b"{}", "town.Left.v1")])
def test_data_that_cannot_be_read_is_not_shown(envelope: Envelope) -> None:
    assert data_of(envelope, WIRE) is None


def test_bytes_that_are_no_event_have_no_envelope() -> None:
    assert envelope_of(b"hello") is None
    known = envelope_of(b'{"specversion":"1.0","id":"1","source":"/x","type":"t","time":"2026-01-01T00:00:00Z"}')
    assert known is not None
    assert known.time == datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "-"),
        (0, "0 ms"),
        (0.0204, "20 ms"),
        (1.5, "1.5 s"),
        (119, "119.0 s"),
        (120, "2.0 min"),
        (7200, "2.0 h"),
        (86400 * 3, "3.0 d"),
        (-5, "-5.0 s"),
    ],
)
def test_a_span_of_time_is_told_in_few_letters(seconds: float | None, text: str) -> None:
    assert ago(seconds) == text


def test_foreign_text_is_shown_without_what_steers_a_terminal() -> None:
    assert plain("a\x1b[31mb\u202ec\n") == r"a\x1b[31mb\u202ec\n"
    assert plain("Ö ☃") == "Ö ☃"
