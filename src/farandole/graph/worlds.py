"""Possible worlds of a workflow: choices of what its reactions answer, and what can be reached then.

A world is one possible run, as the declarations allow it: every arm of a reaction answers one of its alternatives, and always the same. So
what a found world shows can happen. The search for one branches where an arm was set off and may answer this or that, and leaves alone
what matters to nothing that was asked for. What it cannot settle in a bounded number of steps counts as not found: checks stay silent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from farandole.graph.graph import Graph
from farandole.graph.net import Arm, Net, net_of
from farandole.graph.nodes import Workflow
from farandole.graph.paths import components

__all__ = ["BUDGET", "Flow", "Question", "World", "flows_of"]

BUDGET = 2_000
"""How many branches a search looks at. Real workflows need tens."""

PATIENCE = 100_000
"""How many events all searches in one workflow let come. Real ones need some hundred; where everything hangs together, searches end here."""
LARGEST = 2_000
"""How many arms a workflow may touch; where it touches more, it is one with all others, and nothing is said about it."""

Ways = Mapping[int, tuple[tuple[int, ...], ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked of a world.

    Attributes
    ----------
    sources:
        The types that come by themselves.
    door:
        The arm of a command that somebody sends besides, and what it answers; or None.
    ways:
        By arm: the alternatives to choose from, where not all of its own.
    must, avoid:
        Types that have to be reached, and types that must not be.
    never:
        Arms that must not be set off.
    timers:
        The arms of deadlines, and for what is late, that run where they are set off (timeouts of processes: where nothing that they wait
        for came). None: each deadline runs where nothing that it waits
        for came, and nothing is late.
    """

    sources: tuple[int, ...]
    door: tuple[int, tuple[int, ...]] | None = None
    ways: Ways = field(default_factory=dict)
    must: tuple[int, ...] = ()
    avoid: frozenset[int] = frozenset()
    never: frozenset[int] = frozenset()
    timers: frozenset[int] | None = frozenset()


@dataclass(frozen=True, slots=True)
class World:
    """A world that was found.

    Attributes
    ----------
    came:
        By type that was reached: the arm that emitted it first, or -1 for a source.
    ran:
        By arm that was set off: what it answered.
    """

    came: dict[int, int]
    ran: dict[int, tuple[int, ...]]

    def trail(self, net: Net, goal: int) -> tuple[str, ...]:
        """How a type came, from the first cause on: types and reactions in turn."""
        found = [net.types[goal]]
        order = {tp: place for place, tp in enumerate(self.came)}
        while (index := self.came[goal]) >= 0:
            arm = net.arms[index]
            goal = min(arm.parts, key=lambda part: order.get(part, len(order)))  # the first to come: others may follow from it
            found += (arm.reaction.id, net.types[goal])
            if goal not in self.came:  # the command at the door
                break
        return tuple(reversed(found))


class Flow:
    """The part of a graph that a workflow may touch.

    It goes on behind outcomes that are failures, where things are undone, and ends at successes.

    Attributes
    ----------
    starts, succeeds, fails, outcomes:
        Types, by number.
    helpers:
        Types that come from elsewhere and may lead to success: of people's commands, and of what nobody here emits; and those that
        are emitted together with a start.
    doors:
        Arms of commands that do not start it and lead to an outcome.
    arms:
        All arms that can be set off and matter: they may lead to an outcome, stop a deadline, or undo something, or to what does.
    came:
        All types that come by themselves or are emitted by these arms, doors and deadlines included.
    counts:
        Types from which something that matters may follow.
    moves:
        By type: the arms that it is a part of. What follows a success is left out.
    leads:
        Types from which an outcome may follow.
    pays:
        Types from which a success may follow.
    awaited:
        Types that stop a deadline.
    rounds:
        Arms that may be set off again by what they emit.
    """

    def __init__(self, net: Net, workflow: Workflow) -> None:
        self.net, self.workflow = net, workflow
        self.starts = net.numbers(workflow.starts)
        self.succeeds = frozenset(net.numbers(workflow.succeeds))
        self.fails = frozenset(net.numbers(workflow.fails)) - self.succeeds
        self.outcomes = self.succeeds | self.fails
        stop = frozenset(self.starts)
        toward, success = self._cone(self.outcomes, stop), self._cone(self.succeeds, stop)
        self.doors = tuple(
            arm for arm in self._makers(toward) if net.arms[arm].kind == "command" and not net.arms[arm].emits & stop
        )
        foreign = {tp for tp in success - stop if not net.makes[tp] and not self._is_command(tp)}
        asked = {tp for arm in self.doors for tp in net.arms[arm].emits if tp in success}
        besides = {
            tp for start in self.starts for arm in net.makes[start] for way in net.arms[arm].ways if start in way for tp in way
        }
        self.helpers = tuple(sorted((foreign | asked | besides) - self.outcomes - stop))
        sources = (*self.starts, *self.helpers, *(tp for arm in self.doors for tp in net.arms[arm].emits))
        self.came, self.arms = self._spread(sources)
        self.awaited = {
            net.number[tp]
            for arm in self.arms
            if net.arms[arm].kind == "deadline"
            for tp in net.arms[arm].reaction.trigger.unless
        }
        undoing = {
            arm
            for arm in self.arms
            if net.arms[arm].reaction.undoes_step
            or not self.arms.isdisjoint(net.arms_of.get(net.arms[arm].reaction.compensates or "", ()))
        }
        self.counts = self.cone({*self.outcomes, *self.awaited, *(tp for arm in undoing for tp in net.arms[arm].parts)})
        self.arms = {arm for arm in self.arms if arm in undoing or not self.counts.isdisjoint(net.arms[arm].emits)}
        self.spent = 0
        if len(self.arms) > LARGEST:
            self.arms, self.spent = set(), PATIENCE + 1
        self.moves: dict[int, list[int]] = {}
        for arm in sorted(self.arms):
            for tp in net.arms[arm].parts:
                if tp not in self.succeeds:
                    self.moves.setdefault(tp, []).append(arm)
        self.came &= {*sources, *(tp for arm in self.arms for tp in net.arms[arm].emits)}
        self.leads = self.cone(self.outcomes)
        self.pays = self.cone(self.succeeds)
        self.rounds = self._rounds()

    def arm(self, index: int) -> Arm:
        return self.net.arms[index]

    def find(self, question: Question) -> World | None:
        """A world as it was asked for, or None where there is none, or none was found within the budget."""
        return self.search(question)[0]

    def search(self, question: Question) -> tuple[World | None, bool]:
        """A world as it was asked for, and whether the search was complete."""
        return (None, False) if self.is_tired else _Search(self, question).run()

    @property
    def is_tired(self) -> bool:
        """Whether so much was searched that no search finds anything more."""
        return self.spent > PATIENCE

    def _spread(self, sources: Iterable[int]) -> tuple[set[int], set[int]]:
        """What can be reached if everything is answered, and the arms set off. Successes end it."""
        net = self.net
        came: set[int] = set()
        lack: dict[int, int] = {}
        arms: set[int] = set()
        stack = list(sources)
        while stack:
            tp = stack.pop()
            if tp in came:
                continue
            came.add(tp)
            if tp in self.succeeds:
                continue
            for index in net.moves[tp]:
                arm = net.arms[index]
                lack[index] = lack.get(index, arm.need) - 1
                if lack[index] == 0:
                    arms.add(index)
                    stack += arm.emits
        return came, arms

    def cone(self, goals: Iterable[int]) -> set[int]:
        """All types from which one of the goals may follow in this flow."""
        return self._cone(goals, frozenset(), self.arms)

    def _cone(self, goals: Iterable[int], stop: frozenset[int], arms: set[int] | None = None) -> set[int]:
        """All types from which one of the goals may follow, backwards up to `stop`."""
        net = self.net
        found = set(goals)
        stack = list(found)
        while stack:
            tp = stack.pop()
            if tp in stop:
                continue
            for index in net.makes[tp]:
                if arms is None or index in arms:
                    for part in net.arms[index].parts:
                        if part not in found:
                            found.add(part)
                            stack.append(part)
        return found

    def _makers(self, types: Iterable[int]) -> list[int]:
        return sorted({arm for tp in types for arm in self.net.makes[tp]})

    def _is_command(self, tp: int) -> bool:
        return any(self.net.arms[arm].kind == "command" for arm in self.net.feeds[tp])

    def _rounds(self) -> set[int]:
        """Arms on a cycle of this flow."""
        types, arms = sorted(self.came), sorted(self.arms)
        place = {tp: index for index, tp in enumerate(types)}
        successors: list[list[int]] = [[] for _ in range(len(types) + len(arms))]
        for index, number in enumerate(arms, start=len(types)):
            arm = self.net.arms[number]
            for tp in arm.parts:
                if tp in place and tp not in self.succeeds:
                    successors[place[tp]].append(index)
            successors[index] += [place[tp] for tp in arm.emits]
        component = components(successors)
        size: dict[int, int] = {}
        for number in component:
            size[number] = size.get(number, 0) + 1
        return {number for index, number in enumerate(arms, start=len(types)) if size[component[index]] > 1}


class _Search:
    """One search: depth first, with what was done kept in order, so that it can be taken back."""

    def __init__(self, flow: Flow, question: Question) -> None:
        self.flow, self.question = flow, question
        self.moves, self.arms = flow.moves, flow.net.arms
        self.lack: dict[int, int] = {}
        self.came: dict[int, int] = {}
        self.ran: dict[int, tuple[int, ...]] = {}
        self.open: list[int] = []  # set off, and not decided
        self.held: list[int] = []  # deadlines that may yet run
        self.new: list[tuple[int, int]] = []
        self.failed = False
        self.wanted = flow.cone(question.must)
        asked = {*question.must, *question.avoid, *(tp for arm in question.never for tp in self.arms[arm].parts)}
        if question.timers is None:
            asked.update(flow.awaited)
        self.matters = flow.cone(asked)
        flow.spent += len(self.matters) + len(self.wanted)

    def run(self) -> tuple[World | None, bool]:
        self.new += [(tp, -1) for tp in self.question.sources]
        if self.question.door:
            arm, way = self.question.door
            self.new += [(tp, arm) for tp in way]
        frames: list[tuple[int, Iterator[tuple[int, ...]], tuple[int, int, list[int], list[int]]]] = []
        for _ in range(BUDGET):
            if self.flow.is_tired:
                break
            self._spread()
            while not self.failed and not self.open and self._release():
                self._spread()
            if not self.failed and not self.open:
                if all(tp in self.came for tp in self.question.must):
                    return World(self.came, self.ran), True
                self.failed = True
            elif self.open and not self.failed and self._hopeful():
                arm = self.open.pop()
                frames.append((arm, iter(self._ways(arm)), (len(self.came), len(self.ran), self.open[:], self.held[:])))
            while frames:
                arm, ways, mark = frames[-1]
                self._back_to(mark)
                if (chosen := next(ways, None)) is not None:
                    self._answer(arm, chosen)
                    break
                frames.pop()
            else:
                return None, True
        return None, False

    def _spread(self) -> None:
        """Let everything come that follows without a choice."""
        question = self.question
        while self.new:
            tp, source = self.new.pop()
            if tp in self.came:
                continue
            self.came[tp] = source
            self.flow.spent += 1
            for index in self.moves.get(tp, ()):
                left = self.lack[index] = self.lack.get(index, self.arms[index].need) - 1
                if left == 0:
                    self._set_off(index)
            if tp in question.avoid or self.failed:
                self.failed = True
                self.new.clear()

    def _set_off(self, index: int) -> None:
        question, kind, reaction = self.question, self.arms[index].kind, self.arms[index].reaction
        if kind == "deadline" and reaction.process and reaction.trigger.unless:
            # The process hears of one only, its timeout or what ends it: it does not go on after both.
            if question.timers is None or index in question.timers:
                self.held.append(index)
        elif kind in ("runs", "command") or (question.timers is not None and index in question.timers):
            self._decide(index)
        elif kind == "deadline" and question.timers is None:
            self.held.append(index)

    def _decide(self, index: int) -> None:
        ways = self._ways(index)
        if index in self.question.never:
            self.failed = True
        elif len(ways) > 1 and any(tp in self.matters for way in ways for tp in way):
            self.open.append(index)
        else:
            self._answer(index, ways[0])

    def _answer(self, index: int, chosen: tuple[int, ...]) -> None:
        self.ran[index] = chosen
        self.new += [(tp, index) for tp in chosen]

    def _ways(self, index: int) -> tuple[tuple[int, ...], ...]:
        ways = self.question.ways.get(index) or self.arms[index].ways
        if len(ways) > 1 and self.wanted:
            return tuple(sorted(ways, key=lambda way: not any(tp in self.wanted for tp in way)))
        return ways

    def _release(self) -> bool:
        """Run the deadlines for which nothing came that they wait for; tells whether there was one."""
        net = self.flow.net
        due = [arm for arm in self.held if not any(net.number[tp] in self.came for tp in self.arms[arm].reaction.trigger.unless)]
        self.held = [arm for arm in self.held if arm not in due]
        for arm in due:
            self._decide(arm)
        return bool(due)

    def _hopeful(self) -> bool:
        """Whether all that must come may still come."""
        missing = {tp for tp in self.question.must if tp not in self.came}
        if not missing:
            return True
        seen: set[int] = set()
        lack: dict[int, int] = {}
        narrowed = self.question.ways
        stack = [tp for arm in self.open for way in narrowed.get(arm) or self.arms[arm].ways for tp in way]
        stack += [tp for arm in self.held for tp in self.arms[arm].emits]
        while stack and missing:
            tp = stack.pop()
            if tp in self.came or tp in seen or tp not in self.wanted:
                continue
            seen.add(tp)
            missing.discard(tp)
            self.flow.spent += 1
            for index in self.moves.get(tp, ()):
                left = lack.get(index)
                left = lack[index] = (self.lack.get(index, self.arms[index].need) if left is None else left) - 1
                if left == 0:
                    stack += (tp for way in narrowed.get(index) or self.arms[index].ways for tp in way)
        return not missing

    def _back_to(self, mark: tuple[int, int, list[int], list[int]]) -> None:
        came, ran, opened, held = mark
        self.failed = False
        self.new.clear()
        while len(self.came) > came:
            tp, _ = self.came.popitem()
            for index in self.moves.get(tp, ()):
                self.lack[index] += 1
        while len(self.ran) > ran:
            self.ran.popitem()
        self.open, self.held = opened[:], held[:]


def flows_of(graph: Graph) -> tuple[Flow, ...]:
    """The flow of each workflow, made once for all who ask."""
    net = net_of(graph)
    return graph.kept("flows", lambda: tuple(Flow(net, workflow) for workflow in graph.workflows))
