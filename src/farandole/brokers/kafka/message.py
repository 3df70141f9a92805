"""A message as Kafka carries it: packed for its partition, and read from whoever sent it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from confluent_kafka import Message as Record

from farandole.brokers.base import Delivery, PublishResult
from farandole.brokers.checks import refused
from farandole.brokers.cloudevents import STRUCTURED, Headers
from farandole.brokers.kafka import Settings
from farandole.brokers.kafka.admin import Topic
from farandole.model.envelope import Message
from farandole.model.wire import partition_of

__all__ = ["RESERVE", "Parcel", "pack", "unpack"]

RESERVE = 4096
"""Bytes of a message that are kept for key, headers and framing."""
_FRAME, _HEADER = 200, 40  # bytes, and a few, around a batch of one message; and around a header

_HEADERS = Headers("ce_")
_OURS = ["content-type", "farandole-id", "farandole-type", "farandole-key"]
_STRUCTURED = STRUCTURED.encode()


class Parcel(NamedTuple):
    """One message, addressed and packed; `place` is where it stands in the batch."""

    place: int
    topic: str
    partition: int
    key: bytes
    headers: Mapping[str, bytes]
    value: bytes


def pack(place: int, message: Message, topic: Topic | PublishResult, settings: Settings) -> Parcel | PublishResult:
    """A message on its way to its partition, or why it does not go."""
    if isinstance(topic, PublishResult):
        return topic
    limit = topic.limit
    if limit < settings.batch + _FRAME:
        return PublishResult(
            f"{settings.place}: {message.topic} takes {limit} bytes at once, and up to {settings.batch} would be sent: "
            f"add batch.size={max(1, limit - _FRAME)} to the URL, or raise the topic's max.message.bytes"
        )
    refusal = refused(message, limit - RESERVE)
    if refusal is not None:
        return refusal
    texts, value = _HEADERS.write(message, settings.mode)
    key, headers = message.key.encode(), {name: text.encode() for name, text in texts.items()}  # the client cuts text at U+0000
    size = len(value) + len(key) + sum(map(len, headers.values())) + _HEADER * len(headers)
    if size + _FRAME > limit:
        return PublishResult(f"{message.id}: {size} bytes with key and headers; {message.topic} takes {limit}", permanent=True)
    return Parcel(place, message.topic, partition_of(message.key, topic.partitions), key, headers, value)


def unpack(record: Record) -> Delivery:
    """The delivery in a record. Nothing that a foreign producer wrote makes this fail."""
    headers, body = record.headers() or (), record.value() or b""
    topic, partition, offset = record.topic() or "", record.partition() or 0, record.offset() or 0
    pairs = list(headers.items() if isinstance(headers, dict) else headers)
    if [name for name, _ in pairs] == _OURS and pairs[0][1] == _STRUCTURED:
        return Delivery(topic, partition, offset, body, _text(pairs[3][1]), _text(pairs[1][1]), _text(pairs[2][1]))
    arrived = _HEADERS.read({name: _text(value) for name, value in pairs}, body)
    return Delivery(topic, partition, offset, arrived.body, arrived.key or _text(record.key()), arrived.id, arrived.type)


def _text(value: bytes | str | None) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value or ""
