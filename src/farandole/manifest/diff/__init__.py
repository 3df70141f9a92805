"""What changed between two versions of a choreography, in words, whom it reaches, and what it breaks."""

from __future__ import annotations

from farandole.graph import Graph
from farandole.manifest.diff.change import WEIGHTS, Change, Scope, Weight
from farandole.manifest.diff.flows import cycles, services, workflows
from farandole.manifest.diff.messages import messages
from farandole.manifest.diff.reactions import reactions

__all__ = ["WEIGHTS", "Change", "Weight", "diff"]


def diff(old: Graph, new: Graph) -> list[Change]:
    """Everything that is different, what breaks first.

    Where something is declared is not compared, so moved lines are no change. A graph and itself have no differences.
    """
    scope = Scope(old, new)
    found = [*services(scope), *messages(scope), *reactions(scope), *workflows(scope), *cycles(scope)]
    return sorted(found, key=lambda change: WEIGHTS.index(change.weight))
