"""Rule: an event that is waited for, but that nobody emits."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import Names, names_of
from farandole.graph import Graph, Place, family_of
from farandole.words import listed

__all__ = ["RULE", "emitted"]


def emitted(graph: Graph) -> set[str]:
    """The types that somebody here emits; what an incomplete service says that it owns counts, for it does not declare reactions."""
    found = set(graph.producers)
    for message in graph.messages:
        if message.role == "owner":
            service = graph.service.get(message.service)
            if service is not None and not service.complete:
                found.add(message.type)
            if message.type in graph.producers:
                found.update(message.former)
    return found


def check(graph: Graph) -> Iterator[Finding]:
    """Events that a reaction or a workflow of ours names, whose owner is here and does not emit them, or that nobody owns."""
    names = names_of(graph)
    there = emitted(graph)
    families = {family_of(tp) for tp in there}
    for tp, (place, who) in _wanted(graph, names).items():
        # Another major version of the same fact is another rule's business: incompatible-versions.
        if tp in there or family_of(tp) in families or _is_elsewhere(graph, tp):
            continue
        owner = graph.owned.get(tp)
        name = names.message(tp)
        fix = f"Let {names.service(owner.service)} emit it" if owner else "Let its owner emit it"
        yield Finding(
            RULE.id,
            place,
            f"{who} for {name}, which nobody emits.",
            f"{fix}: name {name} in the return annotation of the reaction that says so. Or stop waiting for it.",
            tp,
        )


def _wanted(graph: Graph, names: Names) -> dict[str, tuple[Place, str]]:
    """The events that somebody waits for: where the first one does, and all of them in words."""
    wanted: dict[str, list[tuple[Place, str]]] = {}
    for reaction in graph.reactions:
        if reaction.trigger.kind != "command":
            for tp in dict.fromkeys(reaction.trigger.receives):
                wanted.setdefault(tp, []).append((reaction.place, names.reaction(reaction.id)))
    for workflow in graph.workflows:
        for tp in dict.fromkeys(workflow.starts + workflow.outcomes):
            known = graph.owned.get(tp)
            # What nobody has declared at all is another rule's business: unknown-workflow-event.
            if known is not None and known.kind == "event":
                wanted.setdefault(tp, []).append((workflow.place, f"workflow {workflow.name}"))
    return {
        tp: (found[0][0], f"{listed([who for _, who in found[:3]])} wait{'s' if len(found) == 1 else ''}")
        for tp, found in wanted.items()
    }


def _is_elsewhere(graph: Graph, tp: str) -> bool:
    """Whether its owner may be a service that is not in this graph: then nobody can tell."""
    if tp in graph.owned:
        return graph.owned[tp].service not in graph.service
    readers = [node for node in graph.messages if node.type == tp]
    return bool(readers) and not any(node.topic in graph.service for node in readers)


RULE = Rule(
    "unemitted",
    "proof",
    "error",
    "an event that is waited for, but that nobody emits",
    "What waits for it never runs, and the flow stops there without an error.",
    check,
)
