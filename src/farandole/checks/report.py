"""What a check of a choreography found: which rules ran, what counts, what passes and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from farandole.checks.base import Finding, Rule, Severity
from farandole.checks.baseline import Baseline
from farandole.checks.registry import rule_named, rules
from farandole.checks.settings import Choice, Settings
from farandole.checks.words import sentence
from farandole.checks.workflows import flows_of, workflow_of
from farandole.graph import Graph
from farandole.graph.nodes import WINDOW

__all__ = ["Judged", "Report", "examine", "foreign_rule"]

Verdict = Literal["error", "warning", "known", "off"]


@dataclass(frozen=True, slots=True)
class Judged:
    """A finding, and what becomes of it.

    Attributes
    ----------
    verdict:
        `"error"` and `"warning"` count; `"known"` passes because the baseline has it; `"off"` because the configuration says so.
    reason:
        What the configuration says about it, or "".
    """

    finding: Finding
    rule: Rule
    verdict: Verdict
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a check.

    Attributes
    ----------
    ran:
        The rules that ran.
    judged:
        All findings, in the order of the rules.
    choices:
        What the configuration says of whole rules that is not their default.
    gone:
        What the baseline knows and nobody finds any more, with how many.
    idle:
        Exceptions for subjects that excepted nothing: rule and subject.
    """

    graph: Graph
    ran: tuple[Rule, ...]
    judged: tuple[Judged, ...]
    choices: Mapping[str, Choice] = field(default_factory=dict)
    gone: tuple[tuple[str, str, int], ...] = ()
    idle: tuple[tuple[str, str], ...] = ()

    def count(self, verdict: Verdict) -> int:
        """How many findings have this verdict."""
        return sum(judged.verdict == verdict for judged in self.judged)

    @property
    def counting(self) -> tuple[Judged, ...]:
        """What is an error or a warning."""
        return tuple(judged for judged in self.judged if judged.verdict in ("error", "warning"))

    def fails(self, *, strict: bool = False) -> bool:
        """Whether a build should stop: at errors, and at warnings where asked for."""
        return bool(self.count("error") or (strict and self.count("warning")))


def examine(
    graph: Graph,
    *,
    before: Iterable[Finding] = (),
    settings: Settings | None = None,
    baseline: Baseline | None = None,
    window: float = WINDOW,
    hints: bool = False,
    only: Iterable[str] = (),
) -> Report:
    """Check a choreography.

    Parameters
    ----------
    before:
        Findings that were made while the graph was read, such as of broken manifests.
    settings, baseline:
        What the project says, and what is known already.
    window:
        How long inboxes remember, in seconds, where a service does not say.
    hints:
        Whether to run the rules of the tier "hint", too.
    only:
        The ids of the only rules to run, of whatever tier; () for all.

    Raises
    ------
    ConfigurationError
        There is no such rule.
    """
    settings, baseline = settings or Settings(), baseline or Baseline()
    chosen = {rule_named(id).id for id in only}
    services = (replace(node, window=window) if node.window == WINDOW else node for node in graph.services)
    graph = replace(graph, services=tuple(services)) if window != WINDOW else graph
    ran = tuple(rule for rule in rules().values() if (rule.id in chosen if chosen else settings.wants(rule, hints=hints)))
    found = [(foreign_rule(finding), finding) for finding in before]
    for rule in ran:
        own = sorted(
            dict.fromkeys(rule.check(graph)), key=lambda finding: (finding.place.file, finding.place.line or 0, finding.subject)
        )
        found += [(rule, finding) for finding in own]
    placed = list(_placed(graph, found))
    judged = tuple(_judged(placed, settings, baseline, asked=hints or bool(chosen)))
    ids = {rule.id for rule in ran}
    counts = Counter((finding.rule, finding.subject) for _, finding in placed)
    gone = ((*key, count - counts[key]) for key, count in baseline.counts.items() if key[0] in ids and counts[key] < count)
    used = {settings.for_finding(finding)[1] for _, finding in placed}
    return Report(
        graph,
        ran,
        judged,
        {id: choice for id, choice in settings.rules.items() if id in ids or not chosen},
        tuple(sorted(gone)),
        tuple(key for key in settings.subjects if key not in used and key[0] in ids),
    )


def _judged(found: list[tuple[Rule, Finding]], settings: Settings, baseline: Baseline, *, asked: bool) -> Iterator[Judged]:
    counts = Counter((finding.rule, finding.subject) for _, finding in found)
    for rule, finding in found:
        choice, key = settings.for_finding(finding)
        if choice is None and rule.tier == "hint" and not asked:
            continue  # it ran for the sake of single subjects only
        known = counts[finding.rule, finding.subject] <= baseline.counts.get((finding.rule, finding.subject), 0)
        reason = choice.reason if choice and key else ""
        yield Judged(finding, rule, _verdict(rule, choice, known=known), reason)


def _verdict(rule: Rule, choice: Choice | None, *, known: bool) -> Verdict:
    """What was said as error or warning is so, known or not; otherwise what is known passes."""
    severity: Severity | Literal["off", "ratchet"] = choice.severity if choice else rule.severity
    if severity == "off":
        return "off"
    if known and (choice is None or severity == "ratchet"):
        return "known"
    return "error" if severity == "ratchet" else severity


def foreign_rule(finding: Finding) -> Rule:
    """The rule of a finding that was made elsewhere: a document that cannot be read is an error that is proven."""
    return Rule(
        finding.rule,
        "proof",
        "error",
        "a document that cannot be used",
        "What cannot be read is not checked, and others cannot rely on it either.",
        lambda graph: (),
    )


def _placed(graph: Graph, found: list[tuple[Rule, Finding]]) -> Iterator[tuple[Rule, Finding]]:
    """The findings in whole sentences, each with the workflow that it belongs to, where the rule did not say."""
    flows = flows_of(graph) if any(finding.workflow is None for _, finding in found) else {}
    for rule, finding in found:
        workflow = workflow_of(flows, finding.subject) if finding.workflow is None else finding.workflow
        yield rule, replace(finding, what=sentence(finding.what), fix=sentence(finding.fix), workflow=workflow)
