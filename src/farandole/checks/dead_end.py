"""Rule dead-end: an answer after which a workflow reaches no outcome."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.hanging import Hang, hangs
from farandole.checks.words import names_of
from farandole.graph import Graph
from farandole.graph.worlds import Flow, flows_of

__all__ = ["RULE"]


def _check(graph: Graph) -> Iterator[Finding]:
    for flow in flows_of(graph):
        yield from _closed(graph, flow)
    for hang in hangs(graph):
        if hang.join is None and hang.arm is not None:
            yield _finding(graph, hang, hang.arm)


def _finding(graph: Graph, hang: Hang, index: int) -> Finding:
    names, flow = names_of(graph), hang.flow
    arm, types = flow.arm(index), flow.net.types
    answer = [types[tp] for tp in hang.way]
    spent = hang.way not in arm.ways[: arm.normal]
    consumed = any(flow.net.feeds[tp] for tp in hang.way)
    says = "gives up with" if spent else "answers"
    tail = "what follows leads to no outcome" if consumed else "nobody goes on from there"
    return Finding(
        rule="dead-end",
        place=arm.reaction.exhausted.place if spent and arm.reaction.exhausted else arm.reaction.place,
        what=f"Where {names.step(arm.reaction.id)} {says} {names.messages(answer)}, {flow.workflow.name} reaches "
        f"no outcome: {tail}.",
        fix=f"Let a reaction take {names.messages(answer, 'or')} on to {names.messages(_goals(flow), 'or')}, or "
        f"set a deadline that ends the workflow.",
        subject=f"{arm.reaction.id}:{'+'.join(answer)}",
        workflow=flow.workflow.name,
        trail=(*hang.world.trail(flow.net, arm.parts[0]), arm.reaction.id, answer[0]),
    )


def _closed(graph: Graph, flow: Flow) -> Iterator[Finding]:
    """A workflow that cannot end at all, or not well, although its outcomes are emitted somewhere."""
    if flow.is_tired:
        return
    workflow, names = flow.workflow, names_of(graph)
    for goals, verb in ((flow.outcomes, "end"), (flow.succeeds, "succeed")):
        if not goals & flow.came and all(flow.net.makes[tp] for tp in goals):
            types = [flow.net.types[tp] for tp in sorted(goals)]
            yield Finding(
                rule="dead-end",
                place=workflow.place,
                what=f"{workflow.name} can never {verb}: no way leads from "
                f"{names.messages(workflow.starts, 'or')} to {names.messages(types, 'or')}.",
                fix=f"Let a reaction on the way emit {names.messages(types, 'or')}, or name the start and the "
                f"outcomes that are meant.",
                subject=workflow.name,
                workflow=workflow.name,
            )
            return


def _goals(flow: Flow) -> tuple[str, ...]:
    """Where a way that ends nowhere should go: mostly it is a failure."""
    return flow.workflow.fails or flow.workflow.succeeds


RULE = Rule(
    id="dead-end",
    tier="proof",
    severity="error",
    title="a way that ends nowhere",
    why="The workflow never ends: no outcome, no alarm, and what was reserved or charged on the way stays so.",
    check=_check,
)
