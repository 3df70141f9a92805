"""Rule: two services with one id."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.graph import Graph

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Every service whose id another one had before."""
    for service in graph.services:
        first = graph.service[service.id]
        if service is not first:
            yield Finding(
                RULE.id,
                service.place,
                f"Two services are called {service.id}; the other one is declared at {first.place}.",
                "Give one of them another name; if both are the same service, remove the document that is out of date.",
                service.id,
            )


RULE = Rule(
    "two-services",
    "proof",
    "error",
    "two services with one id",
    "They would share consumer groups and inboxes, and take each other's events away.",
    check,
)
