"""The envelope: CloudEvents' own cases, round trips, and bytes that mean harm."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from farandole import EnvelopeError
from farandole.model.envelope import ABSENT, Envelope, caused_id, decode, decode_batch, encode, hashed_id, repeated_key

MINIMAL: dict[str, Any] = {"specversion": "1.0", "id": "1", "source": "/shop/orders", "type": "shop.OrderPlaced.v1"}


def cases(shared: Path, name: str) -> list[dict[str, Any]]:
    tests: list[dict[str, Any]] = json.loads((shared / "conformance" / "cloudevents" / f"{name}.json").read_bytes())["tests"]
    return tests


def body(**changes: Any) -> bytes:
    return json.dumps(MINIMAL | changes).encode()


def refused(read: Callable[[bytes], object], junk: bytes) -> bool:
    """Whether it is refused with a word; any other error comes through."""
    try:
        read(junk)
    except EnvelopeError as error:
        return bool(str(error))
    return False


# --- CloudEvents' own cases


def test_every_valid_event_is_read_with_each_of_its_attributes(shared: Path) -> None:
    tests = cases(shared, "valid-events")
    assert len(tests) == 10
    for test in tests:
        event, envelope = test["event"], decode(json.dumps(test["event"]).encode())
        for name, value in event.items():
            if name == "time":
                assert envelope.time is None or envelope.time == datetime(2018, 4, 5, 17, 31, tzinfo=UTC), test["id"]
                assert (envelope.time is None) == (value is None), test["id"]
            elif name == "data":
                assert json.loads(bytes(envelope.data)) == value, test["id"]
            elif name in Envelope.__struct_fields__:
                assert getattr(envelope, name) == value, test["id"]
            else:
                assert (envelope.extensions or {})[name] == value, test["id"]


def test_every_invalid_event_is_refused(shared: Path) -> None:
    tests = cases(shared, "invalid-events")
    assert len(tests) == 25
    assert [test["id"] for test in tests if not refused(decode, json.dumps(test["event"]).encode())] == []


def test_every_valid_batch_is_read(shared: Path) -> None:
    tests = cases(shared, "valid-batches")
    assert len(tests) == 5
    for test in tests:
        found = decode_batch(json.dumps(test["batch"]).encode())
        assert [envelope.id for envelope in found] == [event["id"] for event in test["batch"]]


def test_every_invalid_batch_is_refused_whole(shared: Path) -> None:
    tests = cases(shared, "invalid-batches")
    assert len(tests) == 3
    assert [test["id"] for test in tests if not refused(decode_batch, json.dumps(test["batch"]).encode())] == []


# --- round trips

texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
times = st.datetimes(datetime(1, 1, 3), datetime(9999, 12, 29), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis wants naive bounds
envelopes = st.builds(
    Envelope,
    specversion=st.just("1.0"),
    id=texts,
    source=texts,
    type=texts,
    time=st.none() | times,
    subject=st.none() | texts,
    datacontenttype=st.none() | st.just("application/json"),
    correlationid=st.none() | texts,
    causationid=st.none() | texts,
    partitionkey=st.none() | st.text(st.characters(exclude_categories=["Cs"])),
    traceparent=st.none() | texts,
    depth=st.integers(0, 40),
    data=st.just(ABSENT) | values.map(lambda value: msgspec.Raw(encode(value))),
)


@given(envelopes)
def test_what_is_written_is_read_again_with_the_same_data_bytes(envelope: Envelope) -> None:
    again = decode(encode(envelope))
    assert again == envelope
    assert bytes(again.data) == bytes(envelope.data)


@given(st.fixed_dictionaries({"data": values}), st.permutations(list(MINIMAL)), st.sampled_from([None, 1]))
def test_any_other_way_of_writing_the_same_event_reads_the_same(
    data: dict[str, Any], order: list[str], indent: int | None
) -> None:
    foreign = json.dumps({name: MINIMAL[name] for name in order} | data, indent=indent).encode()
    envelope = decode(foreign)
    assert (envelope.id, envelope.source, envelope.type) == ("1", "/shop/orders", "shop.OrderPlaced.v1")
    assert json.loads(bytes(envelope.data)) == data["data"]


@given(st.binary(max_size=60))
@example(b"")
@example(b"\xff\xfe")
@example(b'{"specversion":"1.0"')
@example(b"[]")
@example(b"null")
@example(b'"text"')
@example(b'{"":1}')
def test_bytes_that_are_no_event_raise_one_kind_of_error_only(junk: bytes) -> None:
    for read in (decode, decode_batch):
        assert refused(read, junk) or read(junk) == []  # an empty batch is the only event-free thing that is fine


def test_data_keeps_its_bytes_whatever_they_mean() -> None:
    odd = b'{"a" : 1.50,"b":[ ], "c":"\\u0041"}'
    assert bytes(decode(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + odd + b" }").data) == odd


def test_data_may_be_null_absent_or_base64() -> None:
    assert bytes(decode(body(data=None)).data) == b"null"
    assert bytes(decode(body()).data) == b""
    assert decode(body(data_base64="TWE=")).data_base64 == "TWE="


def test_several_causes_are_told_apart() -> None:
    assert decode(body(causationid="a,b")).causes == ("a", "b")
    assert decode(body()).causes == ()


# --- what a message must teach


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"id": ""}, r"length >= 1 - at `\$\.id`"),
        ({"time": "2018-04-05T17:31:00"}, r"at `\$\.time`"),
        ({"depth": -1}, r"at `\$\.depth`"),
        ({"depth": 2**70}, r"at `\$\.depth`"),
        ({"data": 1, "data_base64": "TWE="}, "data or data_base64, not both"),
        ({"data_base64": 5}, r"at `\$\.data_base64`"),
        ({"Odd": "x"}, "attribute 'Odd': names are lower-case letters and digits only"),
        ({"odd\ud800": "x"}, r"attribute|surrogate"),
        ({"ext": 1.5}, "extension attribute 'ext': expected a string, a boolean or an integer of 32 bits"),
        ({"ext": 2**31}, "extension attribute 'ext'"),
        ({"ext": {}}, "extension attribute 'ext'"),
        ({"extensions": {"a": "b"}}, "extension attribute 'extensions'"),
    ],
)
def test_an_error_names_the_attribute(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(EnvelopeError, match=words):
        decode(body(**changes))


def test_an_extension_that_is_null_is_absent() -> None:
    assert decode(body(ext=None, other=True)).extensions == {"other": True}
    assert decode(body(extensions="a word like others")).extensions == {"extensions": "a word like others"}


# --- bytes that mean harm


@pytest.mark.parametrize(
    "repeated",
    [
        b'{"specversion":"1.0","id":"1","id":"2","source":"s","type":"t"}',
        b'{"specversion":"1.0","id":"1","id":"2","source" :"s","type":"t"}',
        b'{"specversion":"1.0","id":"1","\\u0069d":"2","source":"s","type":"t"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":1,"data":2}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","ext":"1","ext":"2"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","ext":"1","data":{"a":{"b":1,"b":1}}}',
    ],
)
def test_a_key_that_stands_twice_is_refused(repeated: bytes) -> None:
    with pytest.raises(EnvelopeError, match="stands twice in one JSON object"):
        decode(repeated)


@pytest.mark.parametrize("opening", [b"[", b'{"a":', b'[{"a":'])
@pytest.mark.parametrize("attribute", [b'"data":', b'"ext":', b'"id":'])
def test_nesting_of_a_hundred_thousand_levels_is_an_error_and_not_a_crash(opening: bytes, attribute: bytes) -> None:
    deep = b'{"specversion":"1.0","id":"1","source":"s","type":"t",' + attribute + opening * 100_000
    with pytest.raises(EnvelopeError):
        decode(deep)
    with pytest.raises(EnvelopeError):
        decode_batch(b"[" + deep)
    with pytest.raises(EnvelopeError):
        repeated_key(deep)


def test_nesting_that_is_well_formed_is_refused_all_the_same() -> None:
    for data in (b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 100_000 + b"1" + b"}" * 100_000):
        with pytest.raises(EnvelopeError, match="nested too deep"):
            decode(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + data + b"}")
        with pytest.raises(EnvelopeError, match="nested too deep"):
            repeated_key(data)


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"01", b"+1", b"1.", b"0x1"])
def test_numbers_that_json_does_not_know_are_refused(number: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + number + b"}")


def test_a_huge_integer_in_the_data_passes_as_bytes() -> None:
    huge = b"9" * 10_000
    assert bytes(decode(b'{"id":"1","specversion":"1.0","source":"s","type":"t","data":' + huge + b"}").data) == huge


@pytest.mark.parametrize("attribute", [b'"id"', b'"ext"', b'"subject"'])
def test_a_lone_surrogate_in_an_attribute_is_refused(attribute: bytes) -> None:
    with pytest.raises(EnvelopeError):
        decode(b'{"specversion":"1.0","source":"s","type":"t",' + attribute + b':"\\ud800"}')


def test_text_that_is_not_utf8_is_refused() -> None:
    with pytest.raises(EnvelopeError):
        decode(b'{"specversion":"1.0","id":"\xff","source":"s","type":"t"}')
    with pytest.raises(EnvelopeError):
        decode(b'{"specversion":"1.0","id":"1","source":"s","type":"t","ext":"\xff"}')


def test_a_repeated_key_is_found_at_any_depth_and_its_absence_as_well() -> None:
    assert repeated_key(b'[{"a":1},{"a":2,"b":{"c":1,"c":2}}]') == "c"
    assert repeated_key(b'[{"a":1},{"a":2,"b":{"c":1}}]') is None
    assert repeated_key(b'{"\\ud800":1,"\\ud800":2}') == "\ud800"
    with pytest.raises(EnvelopeError, match="no CloudEvent"):
        repeated_key(b"{")


# --- ids

CAUSE = "01890a5d-ac96-774b-bcce-b302099a8057"


def test_a_caused_id_is_a_version_8_uuid_with_the_time_of_its_cause() -> None:
    made = UUID(caused_id(CAUSE, None, "payments charge 0"))
    assert (made.version, made.variant) == (8, UUID(CAUSE).variant)
    assert str(made)[:13] == CAUSE[:13]


def test_the_same_cause_and_label_give_the_same_id_and_any_other_another() -> None:
    one = caused_id(CAUSE, None, "a")
    assert caused_id(CAUSE, None, "a") == one
    assert caused_id(CAUSE, None, "b") != one


def test_a_caused_event_can_be_a_cause_in_turn() -> None:
    assert caused_id(caused_id(CAUSE, None, "a"), None, "b")[:13] == CAUSE[:13]


@pytest.mark.parametrize(
    "foreign", ["1", "", "x" * 36, "zzzzzzzz-zzzz-7zzz-8zzz-zzzzzzzzzzzz", "c4c4f3b4-0000-4000-8000-000000000000"]
)
def test_a_cause_without_a_time_in_its_id_lends_its_own_time(foreign: str) -> None:
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    stamp = f"{int(moment.timestamp() * 1000):012x}"
    assert caused_id(foreign, moment, "a").replace("-", "")[:12] == stamp
    assert caused_id(foreign, moment.astimezone(timezone(timedelta(hours=5))), "a") == caused_id(foreign, moment, "a")
    assert caused_id(foreign, None, "a").startswith("00000000-0000-8")


def test_the_first_and_last_moments_of_the_calendar_give_ids_too() -> None:
    for moment in (
        datetime.min.replace(tzinfo=timezone(timedelta(hours=14))),
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))),
    ):
        assert UUID(caused_id("1", moment, "a")).version == 8


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_named_id_is_a_version_8_uuid_and_repeats(label: str) -> None:
    assert UUID(hashed_id(label)).version == 8
    assert hashed_id(label) == hashed_id(label)
    assert hashed_id(label) != hashed_id(label + "x")
