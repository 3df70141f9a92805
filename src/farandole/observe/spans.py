"""Trace contexts in and out of envelopes, and what spans are called.

Sources: W3C Trace Context (level 2), OpenTelemetry's semantic conventions 1.44 for messaging (in development there, so that their names stand
here as our own) and for CloudEvents.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Link, NonRecordingSpan, Span, SpanContext, TraceFlags, set_span_in_context

from farandole.graph import short
from farandole.model.envelope import Envelope

__all__ = ["ROOT", "SCHEMA", "Told", "above", "linked", "names_of", "passed_on", "read", "told_of", "write"]

SCHEMA = "https://opentelemetry.io/schemas/1.44.0"
ROOT = Context()
"""Nothing above: the context in which a trace begins. Whatever the loop's task has inherited does not count."""

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:(?!\Z)-.*)?", re.DOTALL)


class Told(msgspec.Struct, gc=False):
    """What of an event's bytes matters here."""

    type: str = ""
    traceparent: str | None = None

    @property
    def context(self) -> SpanContext | None:
        """The span in which it was made."""
        return read(self.traceparent)


_read_told = msgspec.json.Decoder(Told).decode


@lru_cache(4096)
def read(traceparent: str | None) -> SpanContext | None:
    """The span that a `traceparent` names; None where it is none, as whoever wrote it may have made a mistake."""
    match = _FORM.fullmatch(traceparent) if traceparent else None
    if match is None or (match[1] == "00" and len(match[0]) != 55):
        return None
    found = SpanContext(int(match[2], 16), int(match[3], 16), is_remote=True, trace_flags=TraceFlags(int(match[4], 16)))
    return found if found.is_valid else None


def told_of(body: bytes) -> Told:
    """What an event's bytes say of it; nothing, where they are none: what is wrong with them, others will say."""
    try:
        return _read_told(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return Told()


def write(span: Span) -> str | None:
    """The `traceparent` of a span; None where there is no trace, as with an SDK that is switched off."""
    one = span.get_span_context()
    return f"00-{one.trace_id:032x}-{one.span_id:016x}-{one.trace_flags:02x}" if one.is_valid else None


def passed_on(span: Span, traceparent: str | None) -> str | None:
    """The `traceparent` for what follows from a span that nobody records: as it came, or as it was decided where the trace begins."""
    one, came = span.get_span_context(), read(traceparent)
    return traceparent if one is came else write(span) or traceparent


def above(span: Span | SpanContext | None) -> Context:
    """The context of what happens below a span."""
    if span is None:
        return ROOT
    return set_span_in_context(NonRecordingSpan(span) if isinstance(span, SpanContext) else span, ROOT)


def linked(contexts: Iterable[SpanContext | None]) -> list[Link]:
    """A link to each, once."""
    return [Link(one) for one in {one.span_id: one for one in contexts if one is not None}.values()]


def names_of(envelopes: Sequence[Envelope]) -> str:
    """What came, for people: `PaymentCompleted + InventoryReserved`."""
    return " + ".join(dict.fromkeys(short(envelope.type) for envelope in envelopes))
