"""The graph that a command works on."""

from __future__ import annotations

from pathlib import Path

from farandole.checks.base import Finding
from farandole.cli.target import find
from farandole.graph.graph import Graph
from farandole.graph.of_code import graph_of

__all__ = ["chart_of"]


def chart_of(what: str | None) -> tuple[Graph, list[Finding]]:
    """The graph of a choreography, and what is wrong with how it was read."""
    return graph_of(find(what).choreography, root=str(Path.cwd())), []
