"""The chain of a workflow instance: its causal trees, what became of each event, what undoes what, what never happened. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from farandole.graph import Graph, Reaction, short
from farandole.model.choreography import Choreography
from farandole.model.policy import Settled
from farandole.observe.chain.clocks import Clocks, Skew
from farandole.observe.chain.handled import Handled, handled
from farandole.observe.chain.tree import Forest, Node, plant
from farandole.observe.expected import signed
from farandole.observe.status import Status, Statuses
from farandole.stores.record import Entry, Fate

__all__ = ["Chain", "Chains", "chains_of"]

LARGEST = 1_000
"""Of more events no status is derived: it is for people, and they look at something else then."""


@dataclass(frozen=True, slots=True, eq=False)
class Chain:
    """What happened in one workflow instance, by cause and effect. `str()` of it is a tree for people.

    Attributes
    ----------
    correlation_id:
        Its id.
    roots:
        Where it begins: the command, or events without a cause, or causes that were not recorded.
    events:
        All nodes of events, each once, each after its causes, whatever their clocks say.
    status:
        Where the instance is; None where it has no events, or more than 1,000.
    skews:
        Clocks that were found not to agree.
    now:
        When this was true, in seconds since 1970.
    """

    correlation_id: str
    roots: tuple[Node, ...] = field(repr=False)
    events: tuple[Node, ...] = field(repr=False)
    status: Status | None = field(repr=False)
    skews: tuple[Skew, ...]
    now: float

    def walk(self) -> Iterator[tuple[Node, Node | None]]:
        """All nodes, each with the one above it (None for a root), from the top down."""
        return Forest(self.correlation_id, list(self.roots), []).walk()

    def __str__(self) -> str:
        from farandole.observe.chain.text import tree

        return tree(self, width=100)


class Chains:
    """Reads instances of one choreography.

    Parameters
    ----------
    graph:
        Its declarations.
    most:
        By reaction, such as `payments.charge`, how often it tries at most.
    """

    def __init__(self, graph: Graph, most: Mapping[str, int] | None = None) -> None:
        self._graph = graph
        self._most = most or {}
        self._statuses = Statuses(graph)
        self._names = _names(graph)
        self._sources = {"/" + "/".join(node.id.rsplit(".", 1)): node.id for node in graph.services}
        common = [node.name for node in graph.services]
        self._services = {node.id: node.name if common.count(node.name) == 1 else node.id for node in graph.services}
        self._by_key = {_key(node): node for node in graph.reactions}
        self._commands = {tp for node in graph.reactions if node.trigger.kind == "command" for tp in node.trigger.receives}
        takers = {node.id: self._taker(node) for node in graph.reactions}
        self._takers = {
            tp: [takers[node.id] for node in nodes if node.trigger.kind != "command"] for tp, nodes in graph.consumers.items()
        }

    def _taker(self, node: Reaction) -> _Taker:
        types = frozenset(node.effects_of_all_ways)
        return _Taker(
            node,
            _key(node),
            self._services.get(node.service, node.service),
            types,
            " or ".join(map(short, self.undoes(node))),
            is_open=bool(node.delayed) or not self._commands.isdisjoint(types),
        )

    def of(
        self,
        entries: Iterable[Entry],
        fates: Iterable[Fate] = (),
        rows: Iterable[Fate] = (),
        *,
        now: float,
        looked: Collection[str] = (),
        of: str | None = None,
    ) -> list[Chain]:
        """The chains of these events, one per workflow instance, in the order of their first events.

        Parameters
        ----------
        entries:
            Events, in any order.
        fates:
            What was told of runs of reactions to them.
        rows:
            What inboxes hold of them now; see `handled.of_row`.
        now:
            In seconds since 1970.
        looked:
            The services whose inboxes were looked into: of what is not there, they know nothing.
        of:
            All of this is one instance, of this id; None: what the events say.
        """
        fates, rows = list(fates), list(rows)
        forests = plant(entries, of)
        became = handled(fates, rows)
        known = {forest.correlation_id: forest for forest in forests}
        seen = {node.id for forest in forests for node, _ in forest.walk()}
        for fate in fates:
            if fate.id not in seen:  # a command that was refused, an event that could not be published
                seen.add(fate.id)
                forest = known.get(fate.correlation_id)
                if forest is None:
                    forest = known[fate.correlation_id] = Forest(fate.correlation_id, [], [])
                    forests.append(forest)
                forest.roots.append(Node(fate.id, kind="command" if self._is_command(fate) else "missing"))
        return [self._chain(forest, became, fates, rows, now=now, looked=looked) for forest in forests]

    def _is_command(self, fate: Fate) -> bool:
        node = self._by_key.get(fate.reaction)
        return fate.id == fate.correlation_id if node is None else node.trigger.kind == "command"

    def _chain(
        self,
        forest: Forest,
        became: Mapping[str, list[Handled]],
        fates: Sequence[Fate],
        rows: Sequence[Fate],
        *,
        now: float,
        looked: Collection[str],
    ) -> Chain:
        nodes = {node.id: node for node in forest.members}
        effects: dict[str, list[Node]] = {}
        for node in forest.members:
            entry = node.entry
            assert entry is not None
            node.name = self._names.get(entry.type, entry.type)
            node.service = self._service(entry.source)
            for cause in node.causes:
                effects.setdefault(cause, []).append(node)
        ids = nodes.keys() | effects.keys() | {root.id for root in forest.roots}
        own = [fate for fate in fates if fate.id in ids]
        clocks = Clocks(self._pairs(nodes, own))
        judge = _Judge(self, nodes, effects, clocks, now, frozenset(looked), bool(own))
        for node in forest.members:
            judge.look(node, became.get(node.id, ()))
        for node in forest.members:
            judge.explain(node)
        for node, above in forest.walk():
            if node.kind != "event":
                self._name_other(node, above, nodes, effects, became)
        told = {(fate.id, fate.reaction) for fate in own if fate.state == "done"}
        held = [row for row in rows if row.id in nodes and row.state != "claimed" and (row.id, row.reaction) not in told]
        status = self._status(forest, [*own, *held], now)
        for one in status.expected if status is not None else ():
            if one.causes and one.causes[-1] in nodes:
                nodes[one.causes[-1]].expected.append(one)
        return Chain(forest.correlation_id, tuple(forest.roots), tuple(forest.members), status, clocks.skews, now)

    def _status(self, forest: Forest, fates: Sequence[Fate], now: float) -> Status | None:
        if not 0 < len(forest.members) <= LARGEST:
            return None
        entries = [node.entry for node in forest.members if node.entry is not None]
        if all(entry.number for entry in entries):
            entries.sort(key=lambda entry: entry.number)
        if entries[0].correlation_id != forest.correlation_id:  # events that name none
            entries[0] = msgspec.structs.replace(entries[0], correlation_id=forest.correlation_id)
        return self._statuses.of(entries, now, fates)

    def _pairs(self, nodes: Mapping[str, Node], fates: Iterable[Fate]) -> Iterator[tuple[str, float, str, float]]:
        for node in nodes.values():
            if (after := node.time) is not None:
                for id in node.causes:
                    cause = nodes.get(id)
                    if cause is not None and cause.time is not None:
                        yield cause.service, cause.time, node.service, after
        for fate in fates:
            event = nodes.get(fate.id)
            if event is not None and event.time is not None and fate.at and "." in fate.reaction:
                yield event.service, event.time, self.service_of(fate.reaction), fate.at

    def _service(self, source: str) -> str:
        id = self._sources.get(source)
        return source if id is None else self._services[id]

    def service_of(self, reaction: str) -> str:
        """Whose reaction it is, as people say it."""
        node = self._by_key.get(reaction)
        return reaction.partition(".")[0] if node is None else self._services.get(node.service, node.service)

    def _name_other(
        self,
        node: Node,
        above: Node | None,
        nodes: Mapping[str, Node],
        effects: Mapping[str, list[Node]],
        became: Mapping[str, list[Handled]],
    ) -> None:
        """A place that is no event: a mention of one, the command, or what was not recorded."""
        if node.kind == "again":
            other = nodes.get(node.id)
            if other is not None:
                node.name, node.service = other.name, other.service
            elif node.entry is not None:
                node.name, node.service = self._names.get(node.entry.type, node.entry.type), self._service(node.entry.source)
            return
        node.handled = list(became.get(node.id, ()))
        for one in node.handled:
            one.most = self._most.get(one.reaction)
        handlers = [self._by_key[one.reaction] for one in node.handled if one.reaction in self._by_key]
        handlers = [one for one in handlers if one.trigger.kind == "command"] or self._handlers_of(effects.get(node.id, ()))
        if node.kind == "missing" and handlers:
            node.kind = "command"
        if node.kind == "command":
            names = sorted({short(tp) for handler in handlers for tp in handler.trigger.receives})
            services = {handler.service for handler in handlers}
            node.name = " or ".join(names) or "a command"
            node.service = self._services.get(services.pop(), "") if len(services) == 1 else ""

    def _handlers_of(self, effects: Sequence[Node]) -> list[Reaction]:
        """The commands that alone may have led to these events; none where one of them may have come otherwise."""
        found: dict[str, Reaction] = {}
        for node in effects:
            assert node.entry is not None
            producers = self._graph.producers.get(node.entry.type, ())
            handlers = [one for one in producers if one.trigger.kind == "command" and self.is_by(one, node)]
            if not handlers:
                return []
            found |= {one.id: one for one in handlers}
        return list(found.values())

    def is_by(self, reaction: Reaction, node: Node) -> bool:
        """Whether an event comes from the service of a reaction."""
        return node.entry is not None and self._sources.get(node.entry.source) == reaction.service

    def takers(self, tp: str) -> Sequence[_Taker]:
        """The reactions that take a type."""
        return self._takers.get(tp, ())

    def producers(self, tp: str) -> Sequence[Reaction]:
        """The reactions that say a type."""
        return self._graph.producers.get(tp, ())

    def window(self, reaction: Reaction) -> float:
        """How long the inbox of its service remembers, in seconds."""
        return self._graph.service[reaction.service].window

    def most(self, reaction: str) -> int | None:
        """How often it tries at most."""
        return self._most.get(reaction)

    def undoes(self, reaction: Reaction) -> Sequence[str]:
        """The types that tell of what a reaction undoes: the one that it names, or all that its action says."""
        action = self._graph.reaction.get(reaction.compensates or "")
        return (reaction.undoes,) if reaction.undoes else () if action is None else action.emits


@dataclass(frozen=True, slots=True)
class _Taker:
    """A reaction that takes a type: what fates call it, whose it is, what it may say, what it undoes.

    `is_open`: it may return what is no event, or none at once.
    """

    reaction: Reaction
    key: str
    service: str
    types: frozenset[str]
    undoes: str
    is_open: bool


class _Judge:
    """Says of the events of one instance what became of them."""

    def __init__(
        self,
        chains: Chains,
        nodes: Mapping[str, Node],
        effects: Mapping[str, list[Node]],
        clocks: Clocks,
        now: float,
        looked: frozenset[str],
        was_told: bool,
    ) -> None:
        self._chains = chains
        self._nodes = nodes
        self._effects = effects
        self._clocks = clocks
        self._now = now
        self._looked = looked
        self._was_told = was_told
        self._of_type: dict[str, list[Node]] = {}
        for node in nodes.values():
            if node.entry is not None:
                self._of_type.setdefault(node.entry.type, []).append(node)

    # ---- what became of it ------------------------------------------------------------------------------------------------

    def look(self, node: Node, became: Sequence[Handled]) -> None:
        """All that is known of an event's way through the reactions, and what is odd about it."""
        assert node.entry is not None
        told = {one.reaction: one for one in became}
        for taker in self._chains.takers(node.entry.type):
            found = told.pop(taker.key, None)
            if found is None:
                found = self._untold(node, taker)
            else:
                self._add(node, found, taker)
            if found is not None:
                node.handled.append(found)
        for one in told.values():
            self._add(node, one, None)
            node.handled.append(one)

    def _untold(self, node: Node, taker: _Taker) -> Handled | None:
        if self._said(node, taker):
            return Handled(taker.key, "answered", undoes=taker.undoes)
        old = node.time is not None and self._now - node.time > self._chains.window(taker.reaction)
        if self._was_told or (taker.key.partition(".")[0] in self._looked and not old):
            return Handled(taker.key, "never", attempts=0, undoes=taker.undoes)
        return None

    def _add(self, node: Node, one: Handled, taker: _Taker | None) -> None:
        """What follows from the declarations and the clocks."""
        one.most = self._chains.most(one.reaction)
        if one.at is not None and one.seconds is not None:
            service = taker.service if taker is not None else self._chains.service_of(one.reaction)
            until, _ = self._clocks.between(node.service, node.time, service, one.at - one.seconds)
            one.waited = None if until is None else max(0.0, until - (one.retried or 0.0))
        if taker is not None:
            one.undoes = taker.undoes
            if one.state == "done" and one.emitted and not taker.is_open:
                one.unsaid = max(0, one.emitted - len(self._said(node, taker)))

    def _said(self, node: Node, taker: _Taker) -> list[Node]:
        """What a reaction answered to an event, as far as it was recorded."""
        effects = self._effects.get(node.id)
        if not effects or not taker.types:
            return []
        return [
            one for one in effects if one.entry is not None and one.entry.type in taker.types and self._is_of(taker.reaction, one)
        ]

    def _is_of(self, reaction: Reaction, effect: Node) -> bool:
        """Where several reactions of a service may say this, our ids tell by which one it was said."""
        assert effect.entry is not None
        if not self._chains.is_by(reaction, effect):
            return False
        rivals = [
            other
            for other in self._chains.producers(effect.entry.type)
            if other.service == reaction.service and other.id != reaction.id
        ]
        return not rivals or signed(reaction, effect.entry) or not any(signed(rival, effect.entry) for rival in rivals)

    # ---- how it came about ------------------------------------------------------------------------------------------------

    def explain(self, node: Node) -> None:
        """How long it took after its causes, and why; what it undoes."""
        assert node.entry is not None
        causes = [cause for id in node.causes if (cause := self._nodes.get(id)) is not None]
        if not causes:
            return
        spans = [self._clocks.between(cause.service, cause.time, node.service, node.time) for cause in causes]
        if known := [(span, at_most) for span, at_most in spans if span is not None]:
            node.delay, node.at_most = min(known)
            node.at_most |= len(known) < len(causes)
        receives = {cause.entry.type for cause in causes if cause.entry is not None}
        for reaction in self._chains.producers(node.entry.type):
            undoes_step = reaction.undoes_step
            if (reaction.compensates or undoes_step) and not receives.isdisjoint(reaction.causes) and self._is_of(reaction, node):
                undone = causes if undoes_step else self._undone(reaction, node)
                node.undoes = tuple(dict.fromkeys((*node.undoes, *undone)))
                for one in undone:
                    one.undone = True

    def _undone(self, reaction: Reaction, by: Node) -> list[Node]:
        """What a compensation undoes: what its action said, of the same key, or all of it."""
        assert by.entry is not None
        found = [one for tp in self._chains.undoes(reaction) for one in self._of_type.get(tp, ()) if one is not by]
        key = by.entry.key
        return [one for one in found if one.entry is not None and one.entry.key == key] or found


def chains_of(choreography: Choreography) -> Chains:
    """What reads the chains of a choreography."""
    from farandole.graph.of_code import graph_of

    most = {reaction.id: Settled.of(reaction.policy).retry.attempts for reaction in choreography.reactions}
    return Chains(graph_of(choreography), most)


def _key(node: Reaction) -> str:
    """What fates and inboxes call it: without the domain."""
    return node.id.partition(".")[2]


def _names(graph: Graph) -> dict[str, str]:
    """What people call the types: `OrderPlaced`, or in full where two are called so."""
    short_ones = [short(tp) for tp in graph.types]
    count: dict[str, int] = {}
    for name in short_ones:
        count[name] = count.get(name, 0) + 1
    return {tp: name if count[name] == 1 else tp for tp, name in zip(graph.types, short_ones)}
