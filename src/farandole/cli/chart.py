"""What a command looks at: the graph of a choreography in Python, or of a folder of manifests."""

from __future__ import annotations

from farandole.checks import Finding
from farandole.graph import Graph

__all__ = ["chart_of"]


def chart_of(what: str | None) -> tuple[Graph, list[Finding]]:
    """The graph of `module:variable`, or of the configured app."""
    from farandole.config import load
    from farandole.errors import ConfigurationError
    from farandole.graph.of_code import graph_of
    from farandole.loading import load_named
    from farandole.model.choreography import Choreography

    name = load(app=what).app
    if name is None:
        raise ConfigurationError("which choreography?")
    return graph_of(load_named(name, Choreography)), []
