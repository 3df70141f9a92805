"""CloudEvents over brokers with headers: both modes, byte for byte, and what foreigners send."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from farandole.brokers.cloudevents import STRUCTURED, Arrived, Headers
from farandole.errors import EnvelopeError
from farandole.model.envelope import Envelope, Message, decode, encode

KAFKA, NATS = Headers("ce_"), Headers("ce-", quoted=True)
EVENT = Envelope(
    specversion="1.0", id="018f-1", source="/shop/orders", type="shop.OrderPlaced.v1", time=datetime(2026, 1, 2, 3, 4, 5, 600, UTC),
    datacontenttype="application/json", correlationid="c-1", causationid="a,b", partitionkey="Grüße 100% 🔑", depth=3,
    data=msgspec.Raw(b'{"total":12,"name":"\xc3\xa9"}'),
)  # fmt: skip


def message(event: Envelope | dict[str, object]) -> Message:
    body = encode(event) if isinstance(event, Envelope) else json.dumps(event).encode()
    return Message("shop.orders", "Grüße 100% 🔑", "018f-1", "shop.OrderPlaced.v1", body)


@pytest.mark.parametrize("headers", [KAFKA, NATS])
@pytest.mark.parametrize("mode", ["structured", "binary"])
def test_our_own_events_come_back_byte_for_byte(headers: Headers, mode: str) -> None:
    sent = message(EVENT)
    named, body = headers.write(sent, mode)
    assert headers.read(named, body) == Arrived(sent.body, sent.id, sent.type, sent.key)
    assert (body == sent.body) == (mode == "structured")


def test_structured_mode_says_so() -> None:
    headers, _ = KAFKA.write(message(EVENT))
    assert headers["content-type"] == STRUCTURED


def test_binary_mode_has_the_attributes_as_headers_and_the_data_alone_as_body() -> None:
    headers, body = KAFKA.write(message(EVENT), "binary")
    assert headers == {
        "ce_specversion": "1.0", "ce_id": "018f-1", "ce_source": "/shop/orders", "ce_type": "shop.OrderPlaced.v1",
        "ce_time": "2026-01-02T03:04:05.000600Z", "ce_correlationid": "c-1", "ce_causationid": "a,b",
        "ce_partitionkey": "Grüße 100% 🔑", "ce_depth": "3", "content-type": "application/json",
    }  # fmt: skip
    assert body == bytes(EVENT.data)


def test_quoted_headers_are_plain_ascii() -> None:
    for mode in ("structured", "binary"):
        headers, _ = NATS.write(message(EVENT), mode)
        assert all(value.isascii() and " " not in value for value in headers.values())


@pytest.mark.parametrize(
    "data",
    [
        {"datacontenttype": "text/plain", "data": "Grüße"},
        {"datacontenttype": "application/octet-stream", "data_base64": "AP8="},
        {"datacontenttype": "application/vnd.x+json; charset=utf-8", "data": [1]},
        {},
        {"data": None},
        {"data": 1},
        {"extra": "yes", "flag": "true", "subject": "a b"},
    ],
)
@pytest.mark.parametrize("headers", [KAFKA, NATS])
def test_foreign_events_keep_their_meaning_in_binary_mode(headers: Headers, data: dict[str, object]) -> None:
    sent = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t.T.v1", "partitionkey": "k", **data}
    found = json.loads(headers.read(*headers.write(message(sent), "binary")).body)
    found.pop("datacontenttype", None) if "datacontenttype" not in sent else None
    assert found == sent
    decode(json.dumps(found).encode())


def test_what_is_no_event_goes_as_it_is_in_either_mode() -> None:
    for mode in ("structured", "binary"):
        for body in (b"", b"\x00\xff", b"{}", b"[1]"):
            sent = Message("t", "k", "i", "T", body)
            assert KAFKA.read(*KAFKA.write(sent, mode)) == Arrived(body, "i", "T", "k")


def test_names_of_headers_may_have_any_case_and_older_prefixes_are_read() -> None:
    amqp = Headers("cloudEvents_", "cloudEvents:")
    sent = {"cloudEvents:specversion": "1.0", "CLOUDEVENTS:ID": "7", "cloudEvents:source": "/x", "cloudEvents:type": "x.Y.v1"}
    arrived = amqp.read({**sent, "Content-Type": "application/json"}, b'{"a":1}')
    assert (arrived.id, arrived.type) == ("7", "x.Y.v1")
    assert json.loads(arrived.body)["data"] == {"a": 1}


@pytest.mark.parametrize("body", [b"{", b'1,"depth":9', b"\xff"])
def test_json_data_that_is_no_json_is_found_when_the_event_is_read(body: bytes) -> None:
    headers = {"ce_specversion": "1.0", "ce_id": "1", "ce_source": "/", "ce_type": "t", "content-type": "text/json"}
    arrived = KAFKA.read(headers, body)
    assert (arrived.id, arrived.body) == ("1", body)
    with pytest.raises(EnvelopeError, match="no CloudEvent"):
        decode(arrived.body)
