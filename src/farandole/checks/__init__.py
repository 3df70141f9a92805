"""Checks over the graph: what is wrong with a choreography before it runs. One file per rule; pure, without runtime or database."""

from __future__ import annotations

from farandole.checks.base import Finding, Rule

__all__ = ["Finding", "Rule"]
