"""The figures of a business, from events. Pure: what an event changes in a measure, and what is to be shown of one.

Events may come in any order: what is known of an instance is the earliest beginning, the earliest end and the sum of its values, and totals
change by what changes there.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from hashlib import blake2b

import msgspec

from farandole.errors import EnvelopeError
from farandole.model.envelope import decode
from farandole.model.measure import Measure
from farandole.model.wire import Wire
from farandole.stores.measures import Part, Tally
from farandole.stores.record import Entry

__all__ = ["Figure", "Rule", "rules_of"]


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """What a measure says now.

    Attributes
    ----------
    name, kind, doc:
        The measure's.
    value:
        Of `open`: how many instances. Of `time`: the mean, in seconds. Of `share`: from 0 to 1. Of `sum`: the sum. None: there is nothing to
        say yet.
    begun, done:
        How many instances it began in, and ended in.
    total:
        Of `time`: all seconds together.
    buckets:
        Of `time`: how many took at most so long, by the bound in seconds; "+Inf" is all.
    """

    name: str
    kind: str
    doc: str
    value: float | None
    begun: int
    done: int
    total: float = 0.0
    buckets: dict[str, int] = {}

    def quantile(self, share: float) -> float | None:
        """The bound of the bucket in which this share of a time lies: it took no longer. None: nothing ended, or it is beyond all bounds."""
        for bound, count in self.buckets.items():
            if self.done and count >= share * self.done:
                return None if bound == "+Inf" else float(bound)
        return None


class Rule:
    """One measure, as events see it.

    Parameters
    ----------
    measure:
        As it is declared.
    wire:
        What its events are called.
    """

    def __init__(self, measure: Measure, wire: Wire) -> None:
        self.measure = measure
        self.begins = frozenset(wire.by_class[cls].type for cls in measure.since)
        self.ends = frozenset(wire.by_class[cls].type for cls in measure.until)
        self._fields: dict[str, str] = {}
        for cls in measure.since if measure.field else ():
            fields = {field.name: field.encode_name for field in msgspec.structs.fields(cls)}
            self._fields[wire.by_class[cls].type] = fields[measure.field]
        said = [measure.kind, *sorted(self.begins), "-", *sorted(self.ends), measure.field, *map(str, measure.buckets)]
        self.id = f"{measure.name}@{blake2b(' '.join(said).encode(), digest_size=6).hexdigest()}"
        """Another definition is another measure, which counts from the beginning of the record."""

    def part(self, known: Part | None, correlation_id: str, entries: Iterable[Entry]) -> Part | None:
        """What is known of an instance with these events too; None: they are none of its business."""
        began, ended, value = (None, None, 0.0) if known is None else (known.began, known.ended, known.value)
        touched = False
        for entry in entries:
            time = math.inf if entry.time is None else entry.time
            if entry.type in self.begins:
                touched = True
                began = time if began is None else min(began, time)
                value += self._value(entry)
            elif entry.type in self.ends:
                touched = True
                ended = time if ended is None else min(ended, time)
        if not touched:
            return None
        return Part(measure=self.id, correlation_id=correlation_id, began=began, ended=ended, value=value)

    def _value(self, entry: Entry) -> float:
        """What an event adds: nothing where its data is not there, or is not what it should be."""
        field = self._fields.get(entry.type)
        if field is None:
            return 0.0
        try:
            data = msgspec.json.decode(bytes(decode(entry.body).data) or b"{}")
            value = float(data.get(field) or 0)
        except (EnvelopeError, msgspec.DecodeError, AttributeError, TypeError, ValueError, OverflowError):
            return 0.0
        return value if math.isfinite(value) else 0.0

    def counted(self, tally: Tally, before: Part | None, after: Part) -> Tally:
        """The totals after what is known of an instance has changed."""
        buckets = list(tally.buckets or (0,) * (len(self.measure.buckets) + 1))
        begun, done, total = tally.begun, tally.done, tally.total
        for part, sign in ((before, -1), (after, 1)):
            if part is None or part.began is None:
                continue
            begun += sign
            done += sign * (part.ended is not None)
            if self.measure.kind == "sum":
                total += sign * part.value
            elif self.measure.kind == "time" and (seconds := _seconds(part)) is not None:
                total += sign * seconds
                buckets[bisect_left(self.measure.buckets, seconds)] += sign
        return msgspec.structs.replace(tally, begun=begun, done=done, total=total, buckets=tuple(buckets))

    def figure(self, tally: Tally | None, open_now: tuple[int, float]) -> Figure:
        """What is to be shown.

        Parameters
        ----------
        open_now:
            In how many instances it began and did not end, and what their values add up to.
        """
        tally = tally or Tally(measure=self.id)
        measure, timed = self.measure, sum(tally.buckets)
        value: float | None = float(open_now[0])
        done = tally.done
        if measure.kind == "time":
            value, done = (tally.total / timed if timed else None), timed
        elif measure.kind == "share":
            value = tally.done / tally.begun if tally.begun else None
        elif measure.kind == "sum":
            value = open_now[1] if self.ends else tally.total
        return Figure(
            name=measure.name, kind=measure.kind, doc=measure.doc, value=value, begun=tally.begun, done=done,
            total=tally.total if measure.kind == "time" else 0.0, buckets=_cumulative(measure, tally),
        )  # fmt: skip


def rules_of(measures: Sequence[Measure], wire: Wire) -> list[Rule]:
    """The measures of a choreography, as events see them."""
    return [Rule(measure, wire) for measure in measures]


def _seconds(part: Part) -> float | None:
    """How long it took; nothing is shorter than no time, whatever two clocks say."""
    if part.began is None or part.ended is None or math.isinf(part.began) or math.isinf(part.ended):
        return None
    return max(0.0, part.ended - part.began)


def _cumulative(measure: Measure, tally: Tally) -> dict[str, int]:
    if measure.kind != "time":
        return {}
    counts = tally.buckets or (0,) * (len(measure.buckets) + 1)
    return {bound: sum(counts[: place + 1]) for place, bound in enumerate((*(f"{one:g}" for one in measure.buckets), "+Inf"))}
