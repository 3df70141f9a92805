"""All rules: a written list of files, each imported when rules are asked for."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from farandole.checks.base import Rule

__all__ = ["FILES", "rules"]

FILES = (
    # What the declarations prove.
    "two_services",
    "two_owners",
    "command_handlers",
    "unemitted",
    "unconsumed",
    "unknown_workflow_event",
    "missing_fields",
    "incompatible_versions",
    "sensitive_flow",
    "order_across_topics",
    "retry_beyond_window",
    # What is worth a thought.
    "names",
    "fat_event",
    "fan_out",
    "pivot_order",
    "unlocked_resource",
    "check_then_act",
    "waiting_state",
    "untied_transition",
    "advice",
)
"""In the order in which findings are read: first what makes others hard to tell."""


@cache
def rules() -> dict[str, Rule]:
    """Every rule by its id, in the order of the list."""
    found = [import_module(f"farandole.checks.{name}").RULE for name in FILES]
    by_id = {rule.id: rule for rule in found}
    assert len(by_id) == len(found), "two rules have one id"
    return by_id
