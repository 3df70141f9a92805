"""The choreography as a graph of plain data, read from Python or from manifests, and drawn. Pure: no I/O, no runtime."""

from __future__ import annotations

from farandole.graph.graph import Graph
from farandole.graph.nodes import (
    AllowedCycle,
    Branch,
    Edge,
    Effects,
    Expectation,
    Message,
    Move,
    Place,
    Reaction,
    Service,
    Trigger,
    Workflow,
    family_of,
    short,
)

__all__ = [
    "AllowedCycle",
    "Branch",
    "Edge",
    "Effects",
    "Expectation",
    "Graph",
    "Message",
    "Move",
    "Place",
    "Reaction",
    "Service",
    "Trigger",
    "Workflow",
    "family_of",
    "short",
]
