"""All rules: a written list of files, each imported when rules are asked for."""

from __future__ import annotations

from difflib import get_close_matches
from functools import cache
from importlib import import_module

from farandole.checks.base import Rule
from farandole.errors import ConfigurationError

__all__ = ["FILES", "rule_named", "rules"]

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
    "cycle",
    "unreachable",
    "too_deep",
    "dead_end",
    "exhausted_missing",
    "join_may_hang",
    "deadline_without_late",
    "missing_compensation",
    "compensation_cannot_follow",
    "compensation_can_fail",
    "compensation_chain",
    # What is worth a thought.
    "names",
    "fat_event",
    "fan_out",
    "pivot_order",
    "unlocked_resource",
    "check_then_act",
    "waiting_state",
    "untied_transition",
    "redelivered_reapproval",
    "late_compensation_of_later",
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


def rule_named(id: str) -> Rule:
    """The rule with this id.

    Raises
    ------
    ConfigurationError
        There is none; the message has the nearest.
    """
    if id not in rules():
        near = get_close_matches(id, list(rules()), 1, 0.6)
        hint = f"Did you mean {near[0]}?" if near else "See: farandole check --list-rules"
        raise ConfigurationError(f"there is no rule {id!r}. {hint}")
    return rules()[id]
