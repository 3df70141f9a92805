"""Stand-in until the part on manifests is merged."""

from __future__ import annotations

from farandole.checks.base import Finding
from farandole.cli.target import load_app
from farandole.graph import Graph
from farandole.graph.of_code import graph_of

__all__ = ["chart_of"]


def chart_of(what: str | None) -> tuple[Graph, list[Finding]]:
    """The graph of a choreography in Python."""
    return graph_of(load_app(what or "")), []
