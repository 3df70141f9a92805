"""What one look at an instance gives: its standing, the alerts that are due, and those that are over. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from farandole.graph import Graph, Workflow, short
from farandole.observe.status import Expected, Status, first_of
from farandole.stores.record import Alert, Entry, Fate, Standing
from farandole.words import clock

__all__ = ["alerts_of", "is_news", "is_sure", "keys_of", "line", "quick_standing", "standing_of"]

AGAIN = 60.0
"""An instance that is not over is looked at again after so many seconds at least, and then whenever it is twice as old: what was told of it may
have got lost."""
_CHAIN = 12


def standing_of(status: Status) -> Standing:
    """A status in one line."""
    waits = [one for one in status.possible if one.missing] if status.state == "stalled" else []
    first = first_of(status.expected or waits) if status.expected or waits else None
    entry = status.events[0]
    return Standing(
        correlation_id=status.correlation_id,
        workflow=status.workflow or "",
        state=status.state,
        since=status.since,
        began=status.began,
        due=status.due,
        changes_at=_changes_at(status),
        field=entry.field,
        key=entry.key,
        waits_for=_waits_for(first),
        service=short(first.service) if first is not None and not first.missing else "",
        reason=_reason(status),
        number=max(one.number for one in status.events),
    )


def quick_standing(graph: Graph, known: Standing | None, entries: Sequence[Entry]) -> Standing | None:
    """The standing of an instance that succeeded just now, without looking at all of it; None: it must be looked at.

    Parameters
    ----------
    known:
        Where it was; None: nothing of it was seen before these.
    entries:
        What came of it since then, in order.
    """
    if known is not None and known.state not in ("running", "stalled"):
        return None
    if known is not None:
        flow, first, began = graph.workflow.get(known.workflow), known, known.began
    else:
        pairs = ((flow, entry) for entry in entries for flow in graph.workflows if entry.type in flow.starts)
        flow, start = next(pairs, (None, entries[0]))
        first, began = entries[0], start.time  # type: ignore[assignment]
    if flow is None or flow.expects:
        return None
    end = next((entry for entry in entries if entry.type in flow.outcomes), None)
    if end is None or end.type not in flow.succeeds:
        return None
    return Standing(
        correlation_id=end.correlation_id,
        workflow=flow.name,
        state="succeeded",
        since=end.time,
        began=began,
        due=None if began is None or flow.within is None else began + flow.within,
        field=first.field,
        key=first.key,
        number=entries[-1].number,
    )


def alerts_of(status: Status, standing: Standing, at: float) -> list[Alert]:
    """What somebody should know of an instance now.

    Parameters
    ----------
    at:
        When it was noticed, in seconds since 1970.
    """
    found = []
    if status.state == "stalled":
        since = f" since {clock(status.since)} UTC" if status.since is not None else ""
        found.append((stall_key(status), "stalled", f"stalled{since}: {standing.reason}"))
    for level in status.levels:
        if level.due <= status.now:
            words = " or ".join(map(short, level.types))
            why = f": {status.reason}" if status.reason else ""
            said = f"{words} did not come by {clock(level.due)} UTC ({level.name}){why}"
            found.append((level_key(status, level.name, level.cause), level.name, said))
    return [Alert(key=key, rule=rule, correlation_id=status.correlation_id, workflow=status.workflow or "", text=_text(status, said), at=at)
            for key, rule, said in found]  # fmt: skip


def keys_of(status: Status, flow: Workflow | None, known: Standing | None) -> list[str]:
    """The keys of all alerts that there may be of an instance."""
    keys = [stall_key(status)] if known is not None and known.state == "stalled" else []
    for one in flow.expects if flow is not None else ():
        keys += [level_key(status, one.name, entry.id) for entry in status.events if entry.type == one.after]
    return keys


def stall_key(status: Status) -> str:
    """What tells the stall of this instance from all other alerts."""
    return f"stalled {status.workflow or ''} {status.correlation_id}"


def level_key(status: Status, name: str, cause: str) -> str:
    """What tells this missed service level from all other alerts."""
    return f"late {status.workflow or ''} {status.correlation_id} {cause} {name}"


def is_news(fate: Fate) -> bool:
    """Whether it may change where an instance is, though no event comes of it."""
    return fate.state in ("skipped", "parked", "dead", "exhausted") or (fate.state == "done" and not fate.emitted)


def is_sure(status: Status) -> bool:
    """Whether it does not stall, or does by a limit that has passed; otherwise it stalls since nothing is outstanding, as far as that is known."""
    dues = [status.due, *(one.due for one in status.expected)]
    return status.state != "stalled" or any(due is not None and due <= status.now for due in dues)


def line(text: str) -> str:
    """Text that a stranger wrote, in one line that steers no terminal and no log."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _waits_for(first: Expected | None) -> str:
    """In words: an answer, or what a join misses."""
    if first is None:
        return ""
    return " and ".join(map(short, first.missing)) if first.missing else " or ".join(map(short, first.types))


def _changes_at(status: Status) -> float | None:
    moments = [] if status.changes_at is None else [status.changes_at]
    if not status.is_over:
        times = [entry.time for entry in status.events if entry.time is not None]
        age = status.now - max(times) if times else 0.0
        moments.append(status.now + max(AGAIN, age))
    return min(moments, default=None)


def _reason(status: Status) -> str:
    if status.state != "stalled":
        late = [level.name for level in status.levels if level.due <= status.now]
        return status.reason or (f"late: {', '.join(late)}" if late else "")
    if status.reason or not status.expected:
        return status.reason or "no reaction that could end it is outstanding"
    first = first_of(status.expected)
    causes = {entry.id: short(entry.type) for entry in status.events}
    answered = " and ".join(causes.get(cause, cause) for cause in first.causes)
    return f"{'.'.join(first.reaction.split('.')[1:])} did not answer {answered} in time, and nothing was told of why"


def _text(status: Status, said: str) -> str:
    first = status.events[0]
    key = f" ({first.field}={first.key})" if first.field else ""
    lines = [f"{status.workflow or 'an instance of no workflow'} {status.correlation_id}{key} {said}"]
    events = [
        f"  {clock(one.time) if one.time is not None else '?'} {short(one.type)} from {one.source}" for one in status.events
    ]
    if len(events) > _CHAIN:
        events = [*events[:4], f"  … {len(events) - _CHAIN} more", *events[4 - _CHAIN :]]
    lines += events + [f"  expected: {one.tell(status.now)}" for one in status.expected[:4]]
    lines.append(f"  farandole trace {status.correlation_id}")
    return "\n".join(map(line, lines))
