"""The page of a workflow: its picture, how it may end, how long it may take, what is undone, and what can go wrong."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.graph.draw import failing, picture_of
from farandole.graph.filter import of_workflow
from farandole.graph.graph import Graph
from farandole.graph.nodes import Workflow
from farandole.web.catalog.frame import Catalog, table
from farandole.web.catalog.html import Child, code, prose, tag
from farandole.words import exactly

__all__ = ["workflow_page"]


def workflow_page(catalog: Catalog, name: str) -> list[Child]:
    """A workflow, from its declaration and what the graph says of it."""
    flow = catalog.graph.workflow[name]
    part = of_workflow(catalog.graph, name)
    return [
        tag("p", "Workflow", class_="kind"),
        tag("h1", name),
        prose(flow.doc),
        tag("dl", *(cell for head, value in _facts(catalog, flow, part) for cell in (tag("dt", head), tag("dd", value)))),
        catalog.drawn(picture_of(part)),
        *_outcomes(catalog, flow, part),
        *_compensations(catalog, part),
        *_troubles(catalog, part),
    ]


def _facts(catalog: Catalog, flow: Workflow, part: Graph) -> Iterator[tuple[str, Child]]:
    yield "Starts with", catalog.messages(flow.starts)
    yield "Succeeds with", catalog.messages(flow.succeeds)
    yield "Fails with", catalog.messages(flow.fails) or "nothing: no failure is declared"
    yield "Takes at most", exactly(flow.within) if flow.within is not None else "no limit is declared"
    for one in flow.expects:
        any_of = "one of " if len(one.types) > 1 else ""
        yield (
            "Expects",
            [any_of, *catalog.messages(one.types), f" within {exactly(one.within)} after ", *catalog.messages((one.after,))],
        )
    services: list[Child] = []
    for place, service in enumerate(part.services):
        services += [", ", catalog.service(service.id)] if place else [catalog.service(service.id)]
    yield "Services", services
    yield "Declared in", code(str(flow.place))


def _outcomes(catalog: Catalog, flow: Workflow, part: Graph) -> Iterator[Child]:
    yield tag("h2", "How it ends")
    rows: list[list[Child]] = []
    for tp in flow.outcomes:
        how = tag("span", "well" if tp in flow.succeeds else "badly", class_=f"mark {'good' if tp in flow.succeeds else 'bad'}")
        by: list[Child] = []
        for place, reaction in enumerate(part.producers.get(tp, ())):
            by += [", ", catalog.reaction(reaction.id)] if place else [catalog.reaction(reaction.id)]
        owned = catalog.graph.owned.get(tp)
        rows.append([catalog.message(tp), how, by or "nobody here", prose(owned.doc) if owned else ""])
    yield table(["Outcome", "It ends", "Said by", "What it says"], rows)


def _compensations(catalog: Catalog, part: Graph) -> Iterator[Child]:
    undoing = [reaction for reaction in part.reactions if reaction.compensates]
    yield tag("h2", "What is undone")
    rows = [
        [
            catalog.reaction(one.id),
            catalog.reaction(one.compensates or ""),
            catalog.messages(one.causes),
            catalog.messages(one.emits) or "nothing",
        ]
        for one in undoing
    ]
    yield table(["Compensation", "Undoes", "When", "Says"], rows) or tag("p", "No compensation is declared.", class_="remark")


def _troubles(catalog: Catalog, part: Graph) -> Iterator[Child]:
    """What may go wrong, from declarations alone: calls, used-up retries, deadlines, what comes too late, and failures as events."""
    yield tag("h2", "What can go wrong")
    rows = [*_calls(catalog, part), *_waits(catalog, part), *_failures(catalog, part)]
    yield table(["Where", "What", "Then"], rows) or tag("p", "Nothing that the declarations show.", class_="remark")


def _calls(catalog: Catalog, part: Graph) -> Iterator[list[Child]]:
    for reaction in part.reactions:
        then: list[Child] = ["a dead letter: somebody must look"]
        if reaction.exhausted:
            then = ["it says ", *catalog.messages(reaction.exhausted.emits)] if reaction.exhausted.emits else ["it says nothing"]
        after = f" for {exactly(reaction.horizon)}" if reaction.horizon else ""
        if reaction.trigger.kind == "command":
            if reaction.outside:
                yield [catalog.reaction(reaction.id), "what it calls outside is slow or fails", "the caller is told"]
        elif reaction.outside:
            yield [catalog.reaction(reaction.id), f"what it calls outside fails{after}", then]
        elif reaction.exhausted:
            yield [catalog.reaction(reaction.id), f"it fails{after}", then]


def _waits(catalog: Catalog, part: Graph) -> Iterator[list[Child]]:
    for reaction in part.reactions:
        trigger = reaction.trigger
        says: list[Child] = ["it says ", *catalog.messages(reaction.emits)] if reaction.emits else ["it acts and says nothing"]
        if trigger.kind == "deadline":
            limit = exactly(trigger.within) if trigger.within is not None else "some time"
            what: list[Child] = ["none of ", *catalog.messages(trigger.unless), f" comes within {limit} of "]
            yield [catalog.reaction(reaction.id), [*what, *catalog.messages(trigger.after)], says]
        elif trigger.kind in ("all", "count"):
            late = reaction.late
            then: list[Child] = ["it says ", *catalog.messages(late.emits)] if late and late.emits else ["it never runs for them"]
            limit = f" within {exactly(trigger.within)}" if trigger.within is not None else ""
            yield [catalog.reaction(reaction.id), ["not all of ", *catalog.messages(trigger.receives), f" come{limit}"], then]


def _failures(catalog: Catalog, part: Graph) -> Iterator[list[Child]]:
    for tp in sorted(failing(part)):
        by = part.producers.get(tp, ())
        if not by:
            continue
        where: list[Child] = []
        for place, reaction in enumerate(by):
            where += [", ", catalog.reaction(reaction.id)] if place else [catalog.reaction(reaction.id)]
        then: list[Child] = []
        for place, reaction in enumerate(part.consumers.get(tp, ())):
            then += [", ", catalog.reaction(reaction.id)] if place else [catalog.reaction(reaction.id)]
        flow = part.workflows[0]
        end = f"{flow.name} has failed" if tp in flow.fails else "nobody reacts"
        yield [where, catalog.message(tp), ["reacts: ", *then] if then else end]
