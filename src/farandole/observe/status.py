"""Where one workflow instance is: from the declarations and the events of the instance, and nothing else. Pure.

Each event of an instance opens what the reactions to it may answer; an answer is an event of the instance that names it among its causes.
What is open and must come is expected; what may also not come (a reaction that may answer nothing, a deadline that runs) is possible.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from farandole.graph import Graph, Workflow, short
from farandole.observe.expected import Expected, Instance, Ways
from farandole.observe.levels import Level, open_levels
from farandole.stores.record import Entry, Fate
from farandole.words import date, roughly

__all__ = ["STATES", "Expected", "Status", "Statuses", "first_of"]

State = Literal["running", "succeeded", "failed", "compensating", "compensated", "stalled", "ended"]
STATES: tuple[str, ...] = get_args(State)

_OVER = {"succeeded", "failed", "compensated", "ended"}


@dataclass(frozen=True, slots=True)
class Status:
    """Where a workflow instance is.

    Attributes
    ----------
    correlation_id:
        Its id.
    workflow:
        The workflow's name; None where no workflow starts with an event of it.
    state:
        `"running"`; `"succeeded"`; `"failed"`; `"compensating"`: something that was done has still to be undone; `"compensated"`: it failed,
        and that is done; `"stalled"`: it did not end in time, or can go no further; `"ended"`: nothing more is expected, and no workflow
        says what that means.
    since:
        Since when, in seconds since 1970; None where the events do not say.
    began, due:
        When it began, and when it should have ended at the latest, as its workflow says.
    events:
        All of it so far, in the order in which they were recorded.
    expected:
        What must come next, the longest expected first.
    possible:
        What may come, but need not: among them deadlines that run.
    now:
        When this was true.
    reason:
        Why nothing comes, in words: of what is expected longest, or of what was the last to say nothing; "" where nobody knows.
    levels:
        Service levels that are not met yet, the first due first.
    """

    correlation_id: str
    workflow: str | None
    state: State
    since: float | None
    began: float | None
    due: float | None
    events: tuple[Entry, ...] = field(repr=False)
    expected: tuple[Expected, ...]
    possible: tuple[Expected, ...]
    now: float
    reason: str = ""
    levels: tuple[Level, ...] = ()

    @property
    def is_over(self) -> bool:
        """Whether it has ended, and nothing is left to be done after a failure."""
        return self.state == "succeeded" or (self.state in _OVER and not self.expected)

    @property
    def changes_at(self) -> float | None:
        """When it changes next if nothing comes: at a limit or a deadline."""
        moments = [level.due for level in self.levels]
        if not self.is_over:
            moments += [one.due for one in (*self.expected, *self.possible) if one.due is not None]
            moments += [self.due] if self.due is not None else []
        return min((moment for moment in moments if moment > self.now), default=None)

    def is_like(self, other: Status) -> bool:
        """Whether nothing changed but the time."""
        return self == replace(other, now=self.now)

    def __str__(self) -> str:
        name = f"{self.workflow or 'an instance of no workflow'} {self.correlation_id}"
        told = f"{name} {self.state}{_for(self.since, self.now)}: {len(self.events)} event{'s' * (len(self.events) != 1)}"
        last = self.events[-1]
        lines = [f"{told}, the last {short(last.type)} from {_who(last.source)}"]
        if self.state == "stalled" and self.due is not None and self.due <= self.now:
            lines[0] += f"; it was due at {date(self.due)} UTC"
        lines += [f"  expected: {one.tell(self.now)}" for one in self.expected]
        if not self.is_over:
            lines += [f"  possible: {one.tell(self.now)}" for one in self.possible if one.way == "deadline" or not self.expected]
        if self.state == "stalled" and not self.expected:
            lines.append(f"  nothing is expected any more: {self.reason or 'no reaction to these events is outstanding'}")
        lines += [f"  promised: {level.tell(self.now)}" for level in self.levels]
        return "\n".join(lines)


class Statuses:
    """Reads instances of one choreography.

    Parameters
    ----------
    graph:
        Its declarations.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = self._graph = graph
        self._ways = Ways(graph)

    def of(self, entries: Sequence[Entry], now: float, fates: Sequence[Fate] = ()) -> Status:
        """The status of an instance.

        Parameters
        ----------
        entries:
            Its events so far, at least one, in the order in which they were recorded.
        now:
            In seconds since 1970.
        fates:
            What became of them, as far as that was told. It says why something does not come, and what is not expected any more.
        """
        instance = Instance(entries, fates)
        flow, start = self._workflow_of(instance.entries)
        end = next((entry for entry in instance.entries if flow is not None and entry.type in flow.outcomes), None)
        began = start.time if start is not None else instance.entries[0].time
        due = began + flow.within if flow is not None and flow.within is not None and began is not None else None
        expected, possible = self._ways.open(instance, now)
        if end is None:
            expected = [replace(one, due=due) if one.due is None else one for one in expected]
        state, since = self._judge(instance, flow, end, due, expected, possible, now)
        failed = flow is not None and end is not None and end.type in flow.fails
        return Status(
            correlation_id=entries[0].correlation_id,
            workflow=flow.name if flow is not None else None,
            state=state,
            since=began if since is None else since,
            began=began,
            due=due,
            events=tuple(entries),
            expected=tuple(expected),
            possible=tuple(possible),
            now=now,
            reason=self._reason(instance, expected, possible) if state not in _OVER else "",
            levels=open_levels(flow, instance) if flow is not None and flow.expects and not failed else (),
        )

    def _reason(self, instance: Instance, expected: Sequence[Expected], possible: Sequence[Expected]) -> str:
        if expected:
            return first_of(expected).reason
        reasons = [*self._ways.silences(instance)[-1:], *(one.reason for one in possible if one.reason)]
        return reasons[0] if reasons else ""

    def _workflow_of(self, entries: Sequence[Entry]) -> tuple[Workflow | None, Entry | None]:
        for entry in entries:
            for flow in self._graph.workflows:
                if entry.type in flow.starts:
                    return flow, entry
        for entry in entries:  # recorded before what began it
            for flow in self._graph.workflows:
                if entry.type in flow.outcomes:
                    return flow, None
        return None, None

    def _judge(
        self,
        instance: Instance,
        flow: Workflow | None,
        end: Entry | None,
        due: float | None,
        expected: list[Expected],
        possible: list[Expected],
        now: float,
    ) -> tuple[State, float | None]:
        """The state, and since when; None: since it began."""
        undoing = [one for one in expected if one.way == "compensation"]
        undone = self._ways.undone(instance)
        last = max((entry.time for entry in instance.entries if entry.time is not None), default=None)
        if flow is not None and end is not None and end.type in flow.succeeds:
            return "succeeded", end.time
        if end is not None:
            if undoing:
                return "compensating", undoing[0].since
            return (
                ("compensated", max(filter(None, (end.time, undone[-1].time)), default=None)) if undone else ("failed", end.time)
            )
        if due is not None and now >= due:
            return "stalled", due
        if lapsed := [
            one.due for one in expected if one.way == "join" and one.missing and one.due is not None and one.due <= now
        ]:
            return "stalled", min(lapsed)
        if not expected and not possible:
            if flow is None:
                return "ended", last
            if not self._ways.by_hand(flow):
                return "stalled", last
        if undoing:
            return "compensating", undoing[0].since
        if undone and flow is not None and not self._ways.leads_to((*expected, *possible), flow.succeeds):
            return "compensating", undone[0].time
        return "running", None


def first_of(expected: Sequence[Expected]) -> Expected:
    """What to tell of first: what is expected longest, but no join that waits for others that are expected too."""
    return next((one for one in expected if not one.missing), expected[0])


def _for(since: float | None, now: float) -> str:
    return "" if since is None else f" for {roughly(max(0.0, now - since))}"


def _who(source: str) -> str:
    return source.rpartition("/")[2] or source
