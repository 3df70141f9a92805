"""Hint: something that two workflows write without a lock."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.words import names_of
from farandole.checks.workflows import Flow, after, flows_of
from farandole.graph import Graph, Reaction
from farandole.words import listed

__all__ = ["RULE", "is_locked"]


def is_locked(graph: Graph, flow: Flow, writer: Reaction, resource: str) -> bool:
    """Whether the writer, or a reaction on the way to it, holds a lock on the resource."""
    holders = (node for node in flow.reactions.values() if node.effects and resource in node.effects.locks)
    return any(node.id == writer.id or writer.id in after(graph, node.effects_of_all_ways).reactions for node in holders)


def check(graph: Graph) -> Iterator[Finding]:
    """Resources that reactions of several workflows write, for each writer that holds no lock."""
    names = names_of(graph)
    flows = flows_of(graph)
    writers: dict[str, dict[str, list[Reaction]]] = {}
    for workflow, flow in flows.items():
        for node in flow.reactions.values():
            for resource in node.effects.writes if node.effects else ():
                writers.setdefault(resource, {}).setdefault(workflow, []).append(node)
    for resource, by_workflow in writers.items():
        if len(by_workflow) < 2:
            continue
        said: set[str] = set()
        for workflow, nodes in by_workflow.items():
            for node in nodes:
                if node.id in said or is_locked(graph, flows[workflow], node, resource):
                    continue
                said.add(node.id)
                others = [name for name in by_workflow if name != workflow]
                yield Finding(
                    RULE.id,
                    node.place,
                    f'{names.reaction(node.id)} writes "{resource}" without a lock; workflow {listed(others)} writes it, too.',
                    f'Take a semantic lock where the workflow begins to rely on it: effects=Effects(locks=("{resource}",)), '
                    "and let the other wait or be refused.",
                    node.id,
                    workflow,
                )


RULE = Rule(
    "unlocked-resource",
    "hint",
    "warning",
    "two workflows that write one thing without a lock",
    "Sagas have no isolation: one workflow overwrites what another has only half done, and undoing it then loses the update.",
    check,
)
