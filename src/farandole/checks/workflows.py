"""Which reactions and messages belong to which workflow: what can follow from its starts, taking every way."""

from __future__ import annotations

from collections.abc import Iterable

from farandole.graph import Graph, Reaction

__all__ = ["Flow", "after", "flows_of", "workflow_of"]


class Flow:
    """What can happen after some messages.

    Attributes
    ----------
    types:
        The messages, with how many steps after the start each may first come.
    reactions:
        The reactions, by id.
    """

    def __init__(self) -> None:
        self.types: dict[str, int] = {}
        self.reactions: dict[str, Reaction] = {}


def after(graph: Graph, starts: Iterable[str], *, undoing: bool = True) -> Flow:
    """What can follow from these messages.

    Parameters
    ----------
    undoing:
        Whether to go through compensations, too.
    """
    flow = Flow()
    flow.types = dict.fromkeys(starts, 0)
    todo = list(flow.types)
    for tp in todo:  # it grows meanwhile
        for reaction in graph.caused.get(tp, ()):
            if reaction.id in flow.reactions or (reaction.compensates and not undoing):
                continue
            flow.reactions[reaction.id] = reaction
            for effect in reaction.effects_of_all_ways:
                if effect not in flow.types:
                    flow.types[effect] = flow.types[tp] + 1
                    todo.append(effect)
    return flow


def flows_of(graph: Graph) -> dict[str, Flow]:
    """The flow of each workflow, with the command handlers that start it; made once for all rules."""
    return graph.kept("reach", lambda: _flows(graph))


def _flows(graph: Graph) -> dict[str, Flow]:
    found = {}
    for workflow in graph.workflows:
        found[workflow.name] = flow = after(graph, workflow.starts)
        for tp in workflow.starts:
            for reaction in graph.producers.get(tp, ()):
                if reaction.trigger.kind == "command":
                    flow.reactions.setdefault(reaction.id, reaction)
    return found


def workflow_of(flows: dict[str, Flow], subject: str) -> str | None:
    """The first workflow that has this reaction or message, or is it; services belong to none."""
    if subject in flows:
        return subject
    return next((name for name, flow in flows.items() if subject in flow.types or subject in flow.reactions), None)
