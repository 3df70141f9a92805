"""Hint: a decision on a value that may have changed before it is acted on."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.unlocked_resource import is_locked
from farandole.checks.words import names_of
from farandole.checks.workflows import after, flows_of
from farandole.graph import Graph

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Reactions that read what a later reaction of the same workflow writes, with no lock held between."""
    names = names_of(graph)
    said: set[tuple[str, str]] = set()
    for workflow, flow in flows_of(graph).items():
        for reader in flow.reactions.values():
            for resource in reader.effects.reads if reader.effects else ():
                if (reader.id, resource) in said or (reader.effects and resource in reader.effects.locks):
                    continue
                later = after(graph, reader.emits, undoing=False).reactions.values()
                writer = next((node for node in later if node.effects and resource in node.effects.writes), None)
                if writer is None or writer.id == reader.id or is_locked(graph, flow, reader, resource):
                    continue
                said.add((reader.id, resource))
                yield Finding(
                    RULE.id,
                    reader.place,
                    f'{names.reaction(reader.id)} looks at "{resource}", and {names.reaction(writer.id)} changes it later on the strength '
                    "of that; meanwhile anybody may.",
                    f'Look again in {names.reaction(writer.id)}, in its transaction, or hold it: effects=Effects(locks=("{resource}",)).',
                    reader.id,
                    workflow,
                )


RULE = Rule(
    "check-then-act",
    "hint",
    "warning",
    "a decision on a value that may change before it is acted on",
    "Two instances both see enough credit, or stock, and both take it.",
    check,
)
