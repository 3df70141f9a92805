"""What a rule is, and what it finds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from farandole.graph import Graph, Place

__all__ = ["Finding", "Rule", "Severity", "Tier"]

Severity = Literal["error", "warning"]
Tier = Literal["proof", "hint"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, at a place, with what to do about it.

    Attributes
    ----------
    rule:
        The rule's id, which stays the same between versions.
    place:
        Where to look first.
    what:
        One sentence that says what is wrong here.
    fix:
        One sentence that says what to do.
    subject:
        What it is about: a reaction, message, service or workflow, by its id. With the rule it is the finding's identity,
        which survives moved lines.
    workflow:
        The workflow that it concerns, or None.
    trail:
        The way that shows it, as message types and reaction ids in turn, or ().
    """

    rule: str
    place: Place
    what: str
    fix: str
    subject: str
    workflow: str | None = None
    trail: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Rule:
    """A check with a name.

    Attributes
    ----------
    id:
        Kebab case: `dead-end`.
    tier:
        `"proof"`: decided by the declarations. `"hint"`: needs declared effects or states, or is a heuristic; off unless asked for.
    severity:
        Unless the configuration says otherwise.
    title:
        A few words.
    why:
        What goes wrong in production when this is left.
    check:
        Takes the graph and gives the findings.
    """

    id: str
    tier: Tier
    severity: Severity
    title: str
    why: str
    check: Callable[[Graph], Iterable[Finding]]
