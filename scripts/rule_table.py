"""Writes the tables of rules into docs/checks.md, from the rules themselves.

    python -m scripts.rule_table
"""

from __future__ import annotations

import re
from pathlib import Path

from farandole.checks.base import Tier
from farandole.checks.registry import rules

__all__ = ["page", "table"]

PAGE = Path(__file__).parents[1] / "docs" / "checks.md"
MARK = re.compile(r"(<!-- rules: (proof|hint) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def table(tier: Tier) -> str:
    """The rules of a tier: id, severity, title and why."""
    rows = [f"| `{rule.id}` | {rule.severity} | {rule.title} | {rule.why} |" for rule in rules().values() if rule.tier == tier]
    return "\n".join(["| rule | severity | finds | why it matters |", "|---|---|---|---|", *rows]) + "\n"


def page(text: str) -> str:
    """The page with its tables as they should be."""
    return MARK.sub(lambda found: found[1] + table("proof" if found[2] == "proof" else "hint") + found[3], text)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
