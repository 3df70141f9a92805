"""What a project says about rules: how much each one counts, for all subjects or for one, and why.

[tool.farandole.checks]
unconsumed = { severity = "error", reason = "every event of ours has a reader" }
names = { severity = "ratchet", reason = "old names stay, new ones are right" }

[tool.farandole.checks.sensitive-flow]
"email" = { severity = "off", reason = "the mailer is audited every month" }
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from farandole.checks.base import Finding, Rule
from farandole.checks.registry import rule_named
from farandole.errors import ConfigurationError
from farandole.graph import short

__all__ = ["SEVERITIES", "Choice", "Settings", "read_settings"]

Wanted = Literal["error", "warning", "off", "ratchet"]

SEVERITIES: tuple[Wanted, ...] = ("error", "warning", "off", "ratchet")
_WHERE = "[tool.farandole.checks]"


@dataclass(frozen=True, slots=True)
class Choice:
    """How much a rule counts, and why. `"ratchet"`: what the baseline knows passes, whatever is new is an error."""

    severity: Wanted
    reason: str


@dataclass(frozen=True, slots=True)
class Settings:
    """What a project chose.

    Attributes
    ----------
    rules:
        By rule id.
    subjects:
        By rule id and subject, in full or short; comes before what is said for the whole rule.
    """

    rules: Mapping[str, Choice] = field(default_factory=dict)
    subjects: Mapping[tuple[str, str], Choice] = field(default_factory=dict)

    def for_finding(self, finding: Finding) -> tuple[Choice | None, tuple[str, str] | None]:
        """What was said that covers a finding, and the key under `subjects` if it was said for its subject."""
        for name in _names_of(finding.subject):
            if (choice := self.subjects.get((finding.rule, name))) is not None:
                return choice, (finding.rule, name)
        return self.rules.get(finding.rule), None

    def wants(self, rule: Rule, *, hints: bool) -> bool:
        """Whether a rule is to run at all: hints run if all are asked for, or this one is configured."""
        choice = self.rules.get(rule.id)
        if choice is not None:
            return choice.severity != "off" or any(id == rule.id for id, _ in self.subjects)
        return hints or rule.tier == "proof" or any(id == rule.id for id, _ in self.subjects)


def _names_of(subject: str) -> tuple[str, ...]:
    """What people may write for a subject: `shop.payments.charge`, `payments.charge`, `OrderPlaced`."""
    domain, _, rest = subject.partition(".")
    return tuple(dict.fromkeys((subject, rest or domain, short(subject))))


def read_settings(table: Mapping[str, Any]) -> Settings:
    """Read the table `[tool.farandole.checks]`.

    Parameters
    ----------
    table:
        As TOML gives it.

    Raises
    ------
    ConfigurationError
        An unknown rule or severity, or a choice without a reason.
    """
    whole: dict[str, Choice] = {}
    subjects: dict[tuple[str, str], Choice] = {}
    for rule, said in table.items():
        try:
            rule_named(rule)
        except ConfigurationError as error:
            raise ConfigurationError(f"{_WHERE} {rule}: {error}") from None
        where = f"{_WHERE} {rule}"
        if not isinstance(said, Mapping):
            raise ConfigurationError(_expected(where, said))
        own = {key: value for key, value in said.items() if key in ("severity", "reason")}
        if own or not said:
            whole[rule] = _choice(where, own)
        for subject, inner in said.items():
            if subject not in own:
                subjects[rule, subject] = _choice(f'{where}."{subject}"', inner)
    return Settings(whole, subjects)


def _choice(where: str, said: Any) -> Choice:
    if not isinstance(said, Mapping) or set(said) - {"severity", "reason"} or "severity" not in said:
        raise ConfigurationError(_expected(where, said))
    severity, reason = said["severity"], said.get("reason")
    if severity not in SEVERITIES:
        raise ConfigurationError(f"{where}: expected severity to be one of {', '.join(SEVERITIES)}, got: {severity!r}")
    if not isinstance(reason, str) or not reason.strip():
        raise ConfigurationError(f'{where}: say why, for whoever reads it in a year: {{ severity = "{severity}", reason = "…" }}')
    return Choice(cast(Wanted, severity), " ".join(reason.split()))


def _expected(where: str, got: Any) -> str:
    return f'{where}: expected {{ severity = "warning", reason = "…" }}, got: {got!r}'
