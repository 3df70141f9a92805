"""What is open in a workflow instance: which reaction has still to answer which of its events. Pure.

The rules are those of the runtime: a reaction answers each event that it takes; a join answers when all parts are there; a deadline answers
unless something came in time; a compensation answers once, where its action happened, and forbids an action that did not happen yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from farandole.errors import EnvelopeError
from farandole.graph import Graph, Reaction, Workflow, short
from farandole.model.envelope import decode
from farandole.observe.told import Told
from farandole.stores.record import Entry, Fate
from farandole.words import clock, roughly

__all__ = ["Expected", "Instance", "Ways", "signed"]

_MANY = 32  # events of one reaction and cause whose ids are looked at to tell it from others


@dataclass(frozen=True, slots=True)
class Expected:
    """Something that comes next.

    Attributes
    ----------
    types:
        The wire types, of which one or several come.
    reaction, service:
        Who says it: `shop.payments.charge` of `shop.payments`.
    way:
        How it comes about. A `"join"` may still wait for `missing`.
    causes:
        The ids of the events that it answers.
    since:
        The time of the latest of these, in seconds since 1970; None where they do not say.
    due:
        When it is late: by a deadline, a join's limit or the workflow's; None: never. For a deadline, when it runs.
    missing:
        The wire types that a join still waits for.
    reason:
        Why it has not come, in words; "" where nobody knows.
    """

    types: tuple[str, ...]
    reaction: str
    service: str
    way: Literal["reaction", "join", "deadline", "compensation"]
    causes: tuple[str, ...]
    since: float | None
    due: float | None = None
    missing: tuple[str, ...] = ()
    reason: str = ""

    def tell(self, now: float) -> str:
        """For people."""
        words = " or ".join(map(short, self.types)) or "an answer"
        who = ".".join(self.reaction.split(".")[1:])
        if self.way == "deadline":
            told = f"{words} from {who}, unless something comes in time"
        elif self.missing:
            told = f"{words} from {who}, which waits for {' and '.join(map(short, self.missing))}"
        else:
            told = f"{words} from {who}"
        if self.since is not None:
            told += f", since {clock(self.since)} ({roughly(max(0.0, now - self.since))})"
        if self.due is not None:
            told += f", due in {roughly(self.due - now)}" if self.due > now else f", overdue for {roughly(now - self.due)}"
        return f"{told}; {self.reason}" if self.reason else told


class Instance:
    """The events of one workflow instance, what each caused, and what was told of each.

    An event is not earlier than its causes, whatever the clock of its service says.
    """

    def __init__(self, entries: Sequence[Entry], fates: Sequence[Fate] = ()) -> None:
        self.told = Told(fates)
        self.entries = in_order_of_causes({entry.id: entry for entry in reversed(entries)}.values())
        self.by_id = {entry.id: entry for entry in self.entries}
        self.by_type: dict[str, list[Entry]] = {}
        self.effects: dict[str, list[Entry]] = {}
        for entry in self.entries:
            self.by_type.setdefault(entry.type, []).append(entry)
            for cause in dict.fromkeys(entry.causes):
                self.effects.setdefault(cause, []).append(entry)

    def of_types(self, types: Iterable[str]) -> list[Entry]:
        """The events of these types, in the order of the instance."""
        wanted = set(types)
        found = {entry.id for tp in wanted for entry in self.by_type.get(tp, ())}
        return [entry for entry in self.entries if entry.id in found]


def in_order_of_causes(latest_first: Iterable[Entry]) -> tuple[Entry, ...]:
    """Events in the order in which they were recorded, each at the time of its latest cause at least."""
    entries = list(latest_first)[::-1]
    times = {entry.id: entry.time for entry in entries}
    for place, entry in enumerate(entries):
        if entry.time is None or not entry.causationid:
            continue
        latest = max((time for cause in entry.causes if (time := times.get(cause)) is not None), default=entry.time)
        if latest > entry.time:
            times[entry.id] = latest
            entries[place] = msgspec.structs.replace(entry, time=latest)
    return tuple(entries)


class Ways:
    """What a choreography's reactions say to events.

    Parameters
    ----------
    graph:
        The declarations.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._sources = {service.id: "/" + "/".join(service.id.rsplit(".", 1)) for service in graph.services}
        self._reach: dict[str, frozenset[str]] = {}

    # ---- what is open -----------------------------------------------------------------------------------------------------

    def open(self, instance: Instance, now: float) -> tuple[list[Expected], list[Expected]]:
        """What must come next, and what may; each the longest open first."""
        must: list[Expected] = []
        may: list[Expected] = []
        joins: list[tuple[Expected, bool]] = []
        reactions = dict.fromkeys(node for tp in instance.by_type for node in self._graph.consumers.get(tp, ()))
        for node in reactions:
            kind = node.trigger.kind
            if not node.effects_of_all_ways or kind == "command":
                continue
            if kind == "deadline":
                for one in self._deadlines(node, instance):
                    (must if one.due is not None and one.due <= now and not node.may_emit_nothing else may).append(one)
            elif kind in ("all", "count"):
                joins += ((one, self._is_sure(node, instance)) for one in self._joins(node, instance))
            elif node.compensates is not None and self._remembers(node):
                for one, acted in self._compensations(node, instance):
                    (must if acted and not node.may_emit_nothing else may).append(one)
            else:
                for one in self._answers(node, instance):
                    (must if self._is_sure(node, instance) else may).append(one)
        self._add_joins(joins, must, may)
        running = [one for one in may if one.way == "deadline"]
        must = [self._explained(self._timed(one, running), instance) for one in must]
        may = [self._explained(one, instance) if one.missing else one for one in may]
        return sorted(must, key=_age), sorted(may, key=_age)

    def _explained(self, one: Expected, instance: Instance) -> Expected:
        missing = [f"{short(tp)}{self._by_whom(tp)}" for tp in one.missing]
        reason = instance.told.why(self._graph.reaction[one.reaction], one.causes, missing)
        return replace(one, reason=reason) if reason else one

    def _by_whom(self, tp: str) -> str:
        names = dict.fromkeys(short(node.service) for node in self._graph.producers.get(tp, ()))
        return f" from {' or '.join(names)}" if names else ""

    def silences(self, instance: Instance) -> list[str]:
        """Which reactions are done with an event and said nothing, in words, in the order of the events."""
        return [
            instance.told.silence(node, event.id, event.type)
            for event in instance.entries
            for node in self._graph.consumers.get(event.type, ())
            if node.effects_of_all_ways and instance.told.is_silent(node, event.id)
        ]

    def _answers(self, node: Reaction, instance: Instance) -> Iterator[Expected]:
        """One for each event; for the first of several, one for each key."""
        events = instance.of_types(node.trigger.receives)
        if node.trigger.kind == "any":
            groups = [parts for _, parts in self._by_key(node, events)]
            events = [parts[0] for parts in groups if not any(self._said(node, part, instance) for part in parts[1:])]
        way: Any = "compensation" if node.compensates is not None else "reaction"
        for event in events:
            if instance.told.is_silent(node, event.id):
                continue
            if (types := self._outstanding(node, self._said(node, event, instance))) is not None:
                yield Expected(types, node.id, node.service, way, (event.id,), event.time)

    def _joins(self, node: Reaction, instance: Instance) -> Iterator[Expected]:
        for _, parts in self._by_key(node, instance.of_types(node.trigger.receives)):
            said = {tp for part in parts for tp in self._said(node, part, instance)}
            types = self._outstanding(node, said)
            if types is None:
                continue
            times = [part.time for part in parts if part.time is not None]
            missing = self._missing(node, parts)
            if not missing and any(instance.told.is_silent(node, part.id) for part in parts):
                continue
            since = (min(times) if missing else max(times)) if times else None
            within = node.trigger.within
            due = min(times) + within if missing and within is not None and times else None
            yield Expected(types, node.id, node.service, "join", tuple(part.id for part in parts), since, due, missing)

    def _missing(self, node: Reaction, parts: Sequence[Entry]) -> tuple[str, ...]:
        if node.trigger.kind == "all":
            here = {part.type for part in parts}
            return tuple(tp for tp in node.trigger.receives if tp not in here)
        number = _value(parts[0], node.trigger.expected or "")
        enough = isinstance(number, int) and len(parts) >= number
        return () if enough else node.trigger.receives

    def _deadlines(self, node: Reaction, instance: Instance) -> Iterator[Expected]:
        trigger = node.trigger
        for _, events in self._by_key(node, instance.of_types(trigger.receives)):
            start = next((event for event in events if event.type in trigger.after), None)
            if start is None or any(event.type in trigger.unless for event in events) or start.time is None:
                continue
            if instance.told.is_silent(node, start.id):
                continue
            said = {tp for event in events for tp in self._said(node, event, instance)}
            if (types := self._outstanding(node, said)) is not None:
                due = start.time + (trigger.within or 0.0)
                yield Expected(types, node.id, node.service, "deadline", (start.id,), start.time, due)

    def _compensations(self, node: Reaction, instance: Instance) -> Iterator[tuple[Expected, bool]]:
        """Each with whether its action happened; without those whose action said something else."""
        action = self._graph.reaction[node.compensates or ""]
        by_key = self._shares_keys(action)
        asking: dict[str, list[Entry]] = {}
        for event in instance.of_types(node.trigger.receives):
            asking.setdefault(event.key if by_key else "", []).append(event)
        for scope, events in asking.items():
            types = self._outstanding(node, {tp for event in events for tp in self._said(node, event, instance)})
            if types is None or any(instance.told.is_silent(node, event.id) for event in events):
                continue
            begun = [one for one in instance.of_types(action.trigger.receives) if not by_key or one.key == scope]
            answers = [one for cause in begun for one in self._effects(action, cause, instance)]
            done = [one for one in answers if one.type == node.undoes]
            if not done and answers and not (action.outside and action.exhausted):
                continue  # it did not happen
            times = [one.time for one in (events[0], *done[:1]) if one.time is not None]
            yield (
                Expected(types, node.id, node.service, "compensation", (events[0].id,), max(times, default=None)),
                bool(done),
            )

    def undone(self, instance: Instance) -> list[Entry]:
        """The events by which compensations said that something is undone."""
        found = []
        for node in self._graph.reactions:
            if node.compensates is not None:
                for event in instance.of_types(node.trigger.receives):
                    found += self._effects(node, event, instance)
        return sorted(dict.fromkeys(found), key=lambda one: one.time or 0.0)

    # ---- who said what ----------------------------------------------------------------------------------------------------

    def _said(self, node: Reaction, cause: Entry, instance: Instance) -> set[str]:
        return {one.type for one in self._effects(node, cause, instance)}

    def _effects(self, node: Reaction, cause: Entry, instance: Instance) -> list[Entry]:
        """What a reaction answered to an event."""
        types, source = node.effects_of_all_ways, self._sources.get(node.service)
        return [
            one
            for one in instance.effects.get(cause.id, ())
            if one.type in types and one.source == source and self._is_of(node, one, cause)
        ]

    def _is_of(self, node: Reaction, effect: Entry, cause: Entry) -> bool:
        """Where several reactions of a service may say this to that event: our ids tell by which one it was said."""
        rivals = [
            other
            for other in self._graph.consumers.get(cause.type, ())
            if other.service == node.service and other.id != node.id and effect.type in other.effects_of_all_ways
        ]
        return not rivals or signed(node, effect) or not any(signed(rival, effect) for rival in rivals)

    @staticmethod
    def _outstanding(node: Reaction, said: set[str]) -> tuple[str, ...] | None:
        """What it has still to say, after it said this; None: nothing."""
        if not said:
            return node.emits or node.effects_of_all_ways
        answers = [*node.alternatives]
        for branch in (node.exhausted, node.late):
            answers += branch.alternatives if branch is not None else ()
        ways: list[set[str]] = [set(answer) for answer in answers if answer]
        if any(way <= said for way in ways):
            return None
        begun = [sorted(way - said) for way in ways if way & said]
        shortest = min(begun, key=len, default=None)
        return None if shortest is None else tuple(shortest)

    def _is_sure(self, node: Reaction, instance: Instance) -> bool:
        """Whether it must say something. A process may wait for more, and an action may be forbidden by its compensation."""
        forbidding = {tp for undo in self._graph.compensations.get(node.id, ()) for tp in undo.trigger.receives}
        forbidden = any(tp in instance.by_type for tp in forbidding) and self._remembers_action(node)
        return not node.may_emit_nothing and node.trigger.kind != "process" and not forbidden

    def _remembers(self, node: Reaction) -> bool:
        action = self._graph.reaction.get(node.compensates or "")
        return action is not None and self._remembers_action(action)

    @staticmethod
    def _remembers_action(action: Reaction) -> bool:
        return action.trigger.kind != "command"

    # ---- instances of joins, deadlines and actions ------------------------------------------------------------------------

    def _by_key(self, node: Reaction, events: Sequence[Entry]) -> Iterable[tuple[str, list[Entry]]]:
        by = node.trigger.by
        groups: dict[str, list[Entry]] = {}
        for event in events:
            key = event.key if by is None or by == event.field else _value(event, by)
            groups.setdefault(str(key), []).append(event)
        return groups.items()

    def _shares_keys(self, action: Reaction) -> bool:
        nodes = (action, *self._graph.compensations.get(action.id, ()))
        keys = {self._key_of(tp) for node in nodes for tp in node.trigger.receives}
        return len(keys) == 1 and None not in keys

    def _key_of(self, tp: str) -> str | None:
        return next((message.key for message in self._graph.declarations.get(tp, ())), None)

    # ---- what can still come ----------------------------------------------------------------------------------------------

    def _add_joins(self, joins: list[tuple[Expected, bool]], must: list[Expected], may: list[Expected]) -> None:
        """A join that waits is expected as long as what it waits for can come from what is open, and possible where it may come from elsewhere."""
        coming = {tp for one in (*must, *may) for tp in self._from(one)}
        waiting = joins
        while waiting:
            ready = [(one, sure) for one, sure in waiting if coming.issuperset(one.missing)]
            if not ready:
                break
            for one, sure in ready:
                (must if sure else may).append(one)
                coming |= self._from(one)
            waiting = [pair for pair in waiting if pair not in ready]
        may += (one for one, _ in waiting if all(tp in coming or self._from_elsewhere(tp) for tp in one.missing))

    def _from_elsewhere(self, tp: str) -> bool:
        """Whether it may come at any time: nobody here says it, or somebody may send the command for it."""
        nodes = self._graph.producers.get(tp, ())
        return not nodes or any(node.trigger.kind == "command" for node in nodes)

    def _from(self, one: Expected) -> frozenset[str]:
        """All types that may follow from it, with its own."""
        return frozenset[str]().union(*(self._reached(tp) for tp in self._graph.reaction[one.reaction].effects_of_all_ways))

    def _reached(self, tp: str) -> frozenset[str]:
        known = self._reach.get(tp)
        if known is None:
            seen, todo = {tp}, [tp]
            while todo:
                for node in self._graph.caused.get(todo.pop(), ()):
                    for effect in node.effects_of_all_ways:
                        if effect not in seen:
                            seen.add(effect)
                            todo.append(effect)
            known = self._reach[tp] = frozenset(seen)
        return known

    def leads_to(self, what: Iterable[Expected], types: Sequence[str]) -> bool:
        """Whether one of these types may follow."""
        return any(not self._from(one).isdisjoint(types) for one in what)

    def by_hand(self, flow: Workflow) -> bool:
        """Whether a workflow may go on by a command, or by an event of somebody who is not here."""
        for node in self._graph.reactions:
            begins = not set(flow.starts).isdisjoint(node.effects_of_all_ways)
            foreign = any(not self._graph.producers.get(tp) for tp in node.causes if node.trigger.kind != "command")
            if (
                (node.trigger.kind == "command" or foreign)
                and not begins
                and any(not self._reached(tp).isdisjoint(flow.outcomes) for tp in node.effects_of_all_ways)
                and not set(flow.starts) & set(node.trigger.receives)
            ):
                return True
        return False

    def _timed(self, one: Expected, running: Sequence[Expected]) -> Expected:
        """The deadline that waits for it says when it is due."""
        dues = [
            deadline.due
            for deadline in running
            if deadline.due is not None and not set(one.types).isdisjoint(self._graph.reaction[deadline.reaction].trigger.unless)
        ]
        if not dues:
            return one
        due = min(dues) if one.due is None else min(*dues, one.due)
        return replace(one, due=due)


def signed(node: Reaction, effect: Entry) -> bool:
    """Whether an event's id is one that this reaction gives to what it emits (see `model.envelope.caused_id`)."""
    name = node.id.partition(".")[2]
    for index in range(_MANY):
        digest = blake2b(f"{name}\n{effect.causationid}\n{index}".encode(), digest_size=9).hexdigest()
        if effect.id.endswith(f"-8{digest[:3]}-8{digest[3:6]}-{digest[6:]}"):
            return True
    return False


def _value(entry: Entry, field: str) -> Any:
    try:
        data = msgspec.json.decode(bytes(decode(entry.body).data))
    except (EnvelopeError, msgspec.DecodeError):
        return None
    return data.get(field) if isinstance(data, dict) else None


def _age(one: Expected) -> tuple[float, str]:
    return (one.since if one.since is not None else float("inf"), one.reaction)
