"""The judge of a run: whether all has come to rest, and whether what must be true is true."""

from __future__ import annotations

import inspect
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Any

from farandole.brokers.base import Delivery
from farandole.errors import EnvelopeError, FarandoleError
from farandole.model.choreography import Invariant
from farandole.model.envelope import Envelope, decode
from farandole.model.triggers import OnEvents
from farandole.rehearse.ground import Ground
from farandole.rehearse.process import Gone
from farandole.rehearse.view import View
from farandole.runtime.lanes import lanes_of
from farandole.testing.checkers import (
    Finding,
    Quantity,
    Waiting,
    altered,
    effects,
    lost,
    out_of_order,
    stuck,
    two_owners,
    unbalanced,
    uncompensated,
)

__all__ = ["Judge"]

_WAITING = "SELECT reaction, id, key, state, reason FROM farandole_inbox WHERE state NOT IN ('done', 'exhausted')"


class Judge:
    """See above.

    Parameters
    ----------
    ground:
        The run.
    found:
        Is told of everything that must not be: the rule, words, and the ids concerned.
    """

    def __init__(self, ground: Ground, found: Callable[..., None]) -> None:
        self._ground = ground
        self._found = found
        self._view = View(ground)
        self._broken = set[str]()
        self._always = [each for each in ground.choreography.invariants if each.always]
        if self._always:
            ground.committed.append(self._after_commit)
        self._wire: list[tuple[Delivery, Envelope | None]] | None = None

    # ---- rest ------------------------------------------------------------------------------------------------------------

    async def rests(self, patience: float) -> str | None:
        """Wait until nothing is under way; gives what is, after so many virtual seconds."""
        world, ground = self._ground.world, self._ground
        until, pause, calm = world.monotonic() + patience, 0.01, 0
        restless = "nothing was looked at"
        while True:
            busy = await self._busy()
            calm = 0 if busy else calm + 1
            if calm == 2:
                return None
            restless = busy or restless
            if world.monotonic() >= until or ground.ended_badly:
                return restless
            await world.sleep(pause)
            pause = min(pause * 1.5, 1.0) if busy else pause

    async def _busy(self) -> str | None:
        """What is not at rest, in words."""
        if moving := self._ground.cluster.under_way(self._ground.cluster.log.topics):
            return f"{moving} messages are under way"
        for process in self._ground.processes:
            app = process.app
            if app is None:
                return f"the process {process.name} is down"
            if process.world.frozen:
                return f"the process {process.name} stands still"
            try:
                restless = await process.ask(lambda app: app.restless())
            except (Gone, FarandoleError) as error:
                restless = f"the process {process.name} does not answer: {error}"
            if restless is not None:
                return str(restless)
        return None

    # ---- the end ---------------------------------------------------------------------------------------------------------

    def at_rest(self) -> None:
        """Judge everything, now that nothing is under way."""
        ground, travelled = self._ground, [delivery for delivery, _ in self._travelled()]
        self._tell(altered(travelled), two_owners(ground.cluster.holds))
        self._tell(self._deliveries(travelled), self._effects(), self._ends(), self._compensated())
        for invariant in ground.choreography.invariants:
            self._check(invariant)

    def _deliveries(self, travelled: list[Delivery]) -> Iterable[Finding]:
        """What each group got: everything, and in order of each key."""
        cluster, forgotten = self._ground.cluster, set(self._ground.cluster.forgotten)
        by_topic: dict[str, list[Delivery]] = defaultdict(list)
        for message in travelled:
            if message.id not in forgotten:
                by_topic[message.topic].append(message)
        received: dict[str, list[str]] = defaultdict(list)
        for name, delivery in cluster.delivered:
            received[name.rpartition("/")[0]].append(delivery.id)
        for service in self._ground.choreography.services.values():
            for lane in lanes_of(self._ground.choreography, service, self._ground.wire):
                sent = [message for topic in lane.topics for message in by_topic[topic]]
                yield from lost(sent, received[lane.group], at=lane.group)
                if cluster.capabilities.assigns_partitions:
                    yield from out_of_order(sent, received[lane.group], at=lane.group)

    def _effects(self) -> Iterable[Finding]:
        """Every reaction did every event of its types once, or it is visibly not done."""
        due: list[tuple[str, str]] = []
        takers: dict[str, list[str]] = defaultdict(list)
        for reaction in self._ground.choreography.reactions:
            for cls in reaction.events:
                if cls not in self._ground.choreography.commands:
                    takers[self._ground.wire.by_class[cls].type].append(reaction.id)
        forgotten = set(self._ground.cluster.forgotten)
        for delivery, envelope in self._travelled():
            if envelope is not None and delivery.id not in forgotten:
                due += [(reaction, envelope.id) for reaction in takers[envelope.type]]
        waiting = {(row.reaction, row.id) for row in self._waiting() if row.reason}
        others = {reaction.id for reaction in self._ground.choreography.reactions if not isinstance(reaction.trigger, OnEvents)}
        done = [each for each in self._ground.effects if each[0] not in others]
        if self._ground.newer is None:
            due = [each for each in due if each[0] not in others]
            yield from effects([each for each in due if each not in waiting or each in set(done)], done)
        # Which events a join or deadline takes depends on what comes in time; but it takes none twice.
        sagas = [each for each in self._ground.effects if each[0] in others - self._commands()]
        yield from effects(list(dict.fromkeys(sagas)), sagas)

    def _commands(self) -> set[str]:
        return {handler.id for handler in self._ground.choreography.commands.values()}

    def _ends(self) -> Iterable[Finding]:
        """Outboxes are empty, workflows have ended, and what waits says why."""
        outboxes = {
            name: [id for (id,) in disk.rows("SELECT id FROM farandole_outbox")] for name, disk in self._ground.disks.items()
        }
        return stuck(outboxes=outboxes, workflows=self._workflows(), waiting=self._waiting())

    def _compensated(self) -> Iterable[Finding]:
        """In workflows that failed, every action that took effect was undone."""
        choreography, types = self._ground.choreography, self._types()
        undoing = [reaction for reaction in choreography.reactions if reaction.compensates is not None]
        if not undoing:
            return []
        fails = {types[cls] for workflow in choreography.workflows for cls in _several(workflow.fails)}
        instances = {envelope.id: _correlation(envelope) for _, envelope in self._travelled() if envelope}
        emitted = {
            (envelope.source.rpartition("/")[2], envelope.type, _correlation(envelope))
            for _, envelope in self._travelled()
            if envelope
        }
        effects_ = ((reaction, ids.partition(",")[0]) for reaction, ids in self._ground.effects)  # of a join, the first part
        ran = [(reaction, instances[id]) for reaction, id in effects_ if id in instances]
        acted = [
            (action, instance)
            for undo in undoing
            for action, instance in ran
            if undo.compensates is not None
            and action == undo.compensates.id
            and (undo.undoes is None or (undo.compensates.service, types[undo.undoes], instance) in emitted)
        ]
        return uncompensated(
            [instance for instance, outcome in self._workflows().items() if outcome in fails],
            acted,
            ran,
            {undo.compensates.id: undo.id for undo in undoing if undo.compensates is not None},
        )

    def _types(self) -> dict[type, str]:
        return {cls: binding.type for cls, binding in self._ground.wire.by_class.items()}

    def _waiting(self) -> list[Waiting]:
        correlation = {envelope.id: _correlation(envelope) for _, envelope in self._travelled() if envelope}
        return [
            Waiting(reaction, id, key, state, correlation.get(id, ""), reason)
            for disk in self._ground.disks.values()
            for reaction, id, key, state, reason in disk.rows(_WAITING)
        ]

    def ends(self) -> str:
        """A hash of what the services' own tables hold."""
        found = blake2b(digest_size=8)
        for name, disk in sorted(self._ground.disks.items()):
            for (table,) in disk.rows("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"):
                if not table.startswith(("farandole_", "sqlite_")):
                    rows = sorted(repr(row) for row in disk.rows(f'SELECT * FROM "{table}"'))
                    found.update(f"{name} {table} {rows}\n".encode())
        return found.hexdigest()

    def dead(self) -> Counter[str]:
        """How many dead letters there are, by reaction and error."""
        return Counter(
            f"{reaction} {error or 'unreadable'}"
            for disk in self._ground.disks.values()
            for reaction, error in disk.rows("SELECT reaction, error FROM farandole_inbox WHERE state = 'dead'")
        )

    def workflows(self) -> int:
        """How many workflow instances there were."""
        return len(self._workflows())

    def _workflows(self) -> dict[str, str | None]:
        """The outcome of each workflow instance, by its name and id."""
        types = self._types()
        seen: dict[str, dict[str, None]] = defaultdict(dict)
        for _, envelope in self._travelled():
            if envelope is not None:
                seen[_correlation(envelope)][envelope.type] = None
        found: dict[str, str | None] = {}
        for correlation, kinds in seen.items():
            for workflow in self._ground.choreography.workflows:
                if any(types[cls] in kinds for cls in _several(workflow.starts)):
                    ends = [types[cls] for cls in workflow.outcomes if types[cls] in kinds]
                    found[correlation] = ends[0] if ends else found.get(correlation)
        return found

    # ---- invariants ------------------------------------------------------------------------------------------------------

    def _after_commit(self) -> None:
        if any(disk.writing for disk in self._ground.disks.values()):
            return  # what is written there is not committed; the next commit comes
        for invariant in self._always:
            self._check(invariant)

    def _check(self, invariant: Invariant) -> None:
        if invariant.name in self._broken:
            return
        try:
            for words in _verdict(invariant, self._view):
                self._broken.add(invariant.name)
                self._found(invariant.name, words)
        except Exception as error:
            self._broken.add(invariant.name)
            self._found(
                "invariant", f"{invariant.name} ({invariant.place}) itself raised {type(error).__name__}: {error}. Mend it"
            )

    def _tell(self, *findings: Iterable[Finding]) -> None:
        for some in findings:
            for finding in some:
                self._found(finding.rule, finding.words, finding.ids)

    # ---- what travelled --------------------------------------------------------------------------------------------------

    def _travelled(self) -> list[tuple[Delivery, Envelope | None]]:
        if self._wire is None:
            self._wire = [
                (entry, _envelope(entry))
                for _, partitions in sorted(self._ground.cluster.log.topics.items())
                for partition in partitions
                for entry in partition.entries
            ]
        return self._wire

    def coverage(self) -> tuple[set[tuple[str, str, str]], set[str]]:
        """Which arrows were travelled, and what the workflow instances look like."""
        by_id: dict[str, Envelope] = {}
        paths: dict[str, set[str]] = defaultdict(set)
        for _, envelope in self._travelled():
            if envelope is not None:
                by_id[envelope.id] = envelope
                paths[_correlation(envelope)].add(_short(envelope.type))
        edges = set[tuple[str, str, str]]()
        effects_of: dict[tuple[str, str], list[str]] = defaultdict(list)
        for envelope in by_id.values():
            service = envelope.source.rstrip("/").rpartition("/")[2]
            for cause_id in envelope.causes:
                effects_of[service, cause_id].append(_short(envelope.type))
        for reaction, ids in self._ground.effects:
            service = reaction.partition(".")[0]
            for id in ids.split(","):  # several for a join
                cause = by_id.get(id)
                if cause is not None:
                    kinds = effects_of.get((service, id)) or [""]
                    edges.update((reaction, _short(cause.type), kind) for kind in kinds)
        states = {"+".join(sorted(path)) for path in paths.values()}
        return edges, states


def _verdict(invariant: Invariant, view: View) -> list[str]:
    """What is wrong, in words; nothing where the invariant holds."""
    try:
        answer = invariant.check(view)
        if inspect.iscoroutine(answer):
            answer = _finished(answer)
    except AssertionError as error:
        return [str(error) or f"the assertion at {_line(error, invariant)} does not hold"]
    return _words(answer)


def _words(answer: Any) -> list[str]:
    if answer is None or answer is True:
        return []
    if answer is False:
        return ["it does not hold"]
    if isinstance(answer, str):
        return [answer]
    if isinstance(answer, Quantity):
        return [finding.words for finding in unbalanced([answer])]
    if isinstance(answer, Finding):
        return [answer.words]
    return [words for part in answer for words in _words(part)]


def _finished(coroutine: Any) -> Any:
    try:
        coroutine.send(None)
    except StopIteration as done:
        return done.value
    coroutine.close()
    raise TypeError("it awaits something; an invariant looks and does not wait")


def _line(error: AssertionError, invariant: Invariant) -> str:
    trace, place = error.__traceback__, invariant.place
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == invariant.place.rpartition(":")[0]:
            place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _envelope(entry: Delivery) -> Envelope | None:
    try:
        return decode(entry.body)
    except EnvelopeError:
        return None


def _correlation(envelope: Envelope) -> str:
    return envelope.correlationid or envelope.id


def _several(classes: type | tuple[type, ...]) -> tuple[type, ...]:
    return classes if isinstance(classes, tuple) else (classes,)


def _short(kind: str) -> str:
    """`shop.OrderPlaced.v1` as `OrderPlaced.v1`."""
    return kind.partition(".")[2] or kind
