"""The search for a possible world, beside looking at every one of them."""

from __future__ import annotations

from itertools import product
from math import prod

from hypothesis import assume, given
from hypothesis import strategies as st
from tests.checks.sketch import chart, command, deadline, reaction, wire, workflow

from farandole.checks import dead_end
from farandole.graph import worlds
from farandole.graph.net import net_of
from farandole.graph.worlds import Flow, Question, flows_of

NAMES = [f"E{number}" for number in range(7)]


@st.composite
def flows(draw) -> Flow:
    """Small choreographies with choices, joins and deadlines, that start with E0 and end with E5 or E6."""
    name = st.sampled_from(NAMES)
    parts = []
    for number in range(draw(st.integers(1, 5))):
        answers = " | ".join(
            draw(st.lists(st.lists(name, min_size=1, max_size=2, unique=True).map(" + ".join), min_size=1, max_size=3))
        )
        on = draw(st.lists(name, min_size=1, max_size=2, unique=True))
        kind = draw(st.sampled_from(["event", "all", "any", "deadline"]))
        if kind == "deadline":
            parts.append(deadline(f"s.r{number}", on[0], on[-1] if len(on) > 1 else "E3", answers))
        else:
            parts.append(reaction(f"s.r{number}", ", ".join(on), answers, kind=kind))
    return flows_of(chart(*parts, workflow("E0", "E5", "E6")))[0]


def closure(flow: Flow, question: Question, chosen: dict[int, tuple[int, ...]]) -> tuple[set[int], set[int]]:
    """What comes if every arm answers as chosen: by going through these arms until nothing changes."""
    came, ran = set(question.sources), set()

    def spread(arms: set[int]) -> None:
        before = None
        while before != (before := (len(came), len(ran))):
            for index in arms:
                live = [part for part in flow.arm(index).parts if part in came and part not in flow.succeeds]
                if len(live) >= flow.arm(index).need:
                    ran.add(index)
                    came.update(chosen[index])

    plain = {index for index in chosen if flow.arm(index).kind in ("runs", "command")}
    if question.timers is not None:
        spread(plain | (question.timers & chosen.keys()))
        return came, ran
    spread(plain)
    held = {index for index in chosen if flow.arm(index).kind == "deadline"}
    while True:
        stops = {index for index in held if not came.isdisjoint(flow.net.numbers(flow.arm(index).reaction.trigger.unless))}
        due = {index for index in held - stops if any(part in came - flow.succeeds for part in flow.arm(index).parts)} - ran
        if not due:
            return came, ran
        ran |= due
        for index in due:
            came.update(chosen[index])
        spread(plain)


def fits(flow: Flow, question: Question, came: set[int], ran: set[int]) -> bool:
    return came.issuperset(question.must) and came.isdisjoint(question.avoid) and ran.isdisjoint(question.never)


def told(flow: Flow) -> str:
    return "; ".join(f"{arm.kind} {arm.need} of {arm.parts} -> {arm.ways}" for arm in flow.net.arms)


def every_choice(flow: Flow, question: Question):
    arms = flow.net.arms
    options = [question.ways.get(index, arm.ways) for index, arm in enumerate(arms)]
    assume(prod(map(len, options)) <= 200)
    for combination in product(*options):
        yield dict(enumerate(combination))


@st.composite
def questions(draw, flow: Flow) -> Question:
    types = st.sampled_from(sorted(flow.counts))
    arms = st.sampled_from(sorted(flow.arms) or [-1])
    timers = frozenset(index for index, arm in enumerate(flow.net.arms) if arm.kind in ("deadline", "late"))
    return Question(
        flow.starts,
        must=tuple(draw(st.sets(types, max_size=2))),
        avoid=frozenset(draw(st.one_of(st.sets(types, max_size=2), st.just(flow.outcomes)))),
        never=frozenset(draw(st.sets(arms, max_size=1))),
        timers=draw(st.sampled_from([None, frozenset(), timers])),
    )


@given(st.data())
def test_a_world_is_found_just_where_there_is_one(data):
    flow = data.draw(flows())
    question = data.draw(questions(flow))
    world, complete = flow.search(question)
    assert complete
    exists = any(fits(flow, question, *closure(flow, question, chosen)) for chosen in every_choice(flow, question))
    assert (world is not None) == exists, told(flow)


@given(st.data())
def test_a_world_that_is_found_is_what_its_answers_lead_to(data):
    flow = data.draw(flows())
    question = data.draw(questions(flow))
    world = flow.find(question)
    if world is None:
        return
    chosen = {index: world.ran.get(index, flow.arm(index).ways[0]) for index in flow.arms}
    came, ran = closure(flow, question, chosen)
    assert came == set(world.came)
    assert ran == set(world.ran)
    assert fits(flow, question, came, ran)


@given(st.data())
def test_a_trail_goes_from_a_cause_to_the_goal_by_arrows_of_the_graph(data):
    flow = data.draw(flows())
    world = flow.find(Question(flow.starts))
    assert world is not None
    for goal in world.came:
        trail = world.trail(flow.net, goal)
        assert trail[0] == wire("E0")[0]
        assert trail[-1] == flow.net.types[goal]
        for cause, via, effect in zip(trail[::2], trail[1::2], trail[2::2]):
            declared = flow.net.graph.reaction[via]
            assert cause in declared.trigger.receives
            assert effect in declared.effects_of_all_ways


def test_what_cannot_be_settled_within_the_budget_is_not_found_and_says_so(monkeypatch):
    many = [reaction(f"s.r{number}", "E0", f"A{number} | B{number}") for number in range(5)]
    join = reaction("s.join", " + ".join(f"A{number}" for number in range(5)), "E5")
    crossed = [reaction(f"s.x{number}", f"A{number} + B{number}", "E6") for number in range(5)]
    flow = flows_of(chart(*many, join, *crossed, workflow("E0", "E5", "E6")))[0]
    good, bad = (flow.net.number[wire(name)[0]] for name in ("E5", "E6"))
    assert flow.search(Question(flow.starts, must=(bad,))) == (None, True)
    assert flow.find(Question(flow.starts, must=(good,)))
    monkeypatch.setattr(worlds, "BUDGET", 3)
    assert flow.search(Question(flow.starts, must=(bad,))) == (None, False)
    assert flow.search(Question(flow.starts, must=(good,))) == (None, False)


def test_a_door_is_what_a_person_may_send_on_the_way_but_not_what_starts_it():
    graph = chart(
        command("s.place", "Place", "E0 | Rejected"),
        command("s.drop", "Drop", "E6"),
        command("s.other", "Other", "Elsewhere"),
        reaction("s.go", "E0", "E5"),
        workflow("E0", "E5", "E6"),
    )
    flow = flows_of(graph)[0]
    assert [flow.arm(door).reaction.id for door in flow.doors] == ["shop.s.drop"]
    world = flow.find(
        Question(flow.starts, door=(flow.doors[0], flow.net.numbers(wire("E6"))), must=flow.net.numbers(wire("E6")))
    )
    assert world is not None
    assert world.trail(flow.net, flow.net.number[wire("E6")[0]]) == (*wire("Drop"), "shop.s.drop", *wire("E6"))


def test_what_comes_with_the_start_comes_by_itself():
    graph = chart(command("s.place", "Place", "E0 + E1"), reaction("s.go", "E1", "E5"), workflow("E0", "E5", "E6"))
    flow = flows_of(graph)[0]
    assert [flow.net.types[tp] for tp in flow.helpers] == list(wire("E1"))


def test_the_graph_in_numbers_is_made_once():
    graph = chart(reaction("s.go", "E0", "E5"), workflow("E0", "E5", "E6"))
    assert net_of(graph) is net_of(graph)
    assert flows_of(graph) is flows_of(graph)


def test_of_a_workflow_that_is_one_with_everything_nothing_is_said(monkeypatch):
    parts = [reaction("s.go", "E0", "E1 | E5"), reaction("s.more", "E1", "E6"), workflow("E0", "E5", "E6")]
    assert flows_of(chart(*parts))[0].find(Question((0,)))
    monkeypatch.setattr(worlds, "LARGEST", 1)
    flow = flows_of(chart(*parts))[0]
    assert flow.is_tired
    assert flow.search(Question(flow.starts)) == (None, False)
    assert list(dead_end.RULE.check(chart(*parts))) == []


def test_searches_in_one_workflow_have_an_end(monkeypatch):
    flow = flows_of(chart(reaction("s.go", "E0", "E1 | E5"), reaction("s.more", "E1", "E6"), workflow("E0", "E5", "E6")))[0]
    monkeypatch.setattr(worlds, "PATIENCE", 20)
    answers = [flow.search(Question(flow.starts)) for _ in range(30)]
    assert answers[0][1]
    assert answers[-1] == (None, False)


def test_a_trail_does_not_go_round_where_the_first_of_several_causes_the_second():
    graph = chart(
        reaction("s.first", "E2, E0", "E1", kind="any"),
        reaction("s.then", "E1", "E2"),
        reaction("s.end", "E2", "E5"),
        workflow("E0", "E5", "E6"),
    )
    flow = flows_of(graph)[0]
    world = flow.find(Question(flow.starts))
    assert world is not None
    path = ("shop.s.first", *wire("E1"), "shop.s.then", *wire("E2"), "shop.s.end", *wire("E5"))
    assert world.trail(flow.net, flow.net.number[wire("E5")[0]]) == (*wire("E0"), *path)
