"""A report for programs: JSON, SARIF 2.1.0 (OASIS), and the annotations of GitHub's workflow commands."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from farandole.checks.base import Rule
from farandole.checks.report import Judged, Report
from farandole.checks.text import shown_place
from farandole.graph import Place

__all__ = ["as_json", "as_sarif", "github_lines", "rules_as_json"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_json(report: Report, *, strict: bool = False) -> dict[str, Any]:
    """The report as one JSON object; findings that pass are in it, with their verdict."""
    return {
        "choreography": report.graph.name,
        "fails": report.fails(strict=strict),
        "counts": {verdict: report.count(verdict) for verdict in ("error", "warning", "known", "off")},
        "rules": [rule.id for rule in report.ran],
        "findings": [_finding(judged) for judged in report.judged],
        "gone": [{"rule": rule, "subject": subject, "count": count} for rule, subject, count in report.gone],
        "idle": [{"rule": rule, "subject": subject} for rule, subject in report.idle],
    }


def _finding(judged: Judged) -> dict[str, Any]:
    finding, rule = judged.finding, judged.rule
    place = finding.place
    return {
        "rule": finding.rule,
        "tier": rule.tier,
        "severity": judged.verdict,
        "reason": judged.reason or None,
        "file": shown_place(Place(place.file)),
        "line": place.line,
        "pointer": place.pointer or None,
        "workflow": finding.workflow,
        "subject": finding.subject,
        "what": finding.what,
        "why": rule.why,
        "fix": finding.fix,
        "trail": list(finding.trail),
    }


def rules_as_json(rules: Iterable[Rule]) -> list[dict[str, str]]:
    """All rules, for programs."""
    return [{"id": rule.id, "tier": rule.tier, "severity": rule.severity, "title": rule.title, "why": rule.why} for rule in rules]


def as_sarif(report: Report, version: str) -> dict[str, Any]:
    """The report in SARIF 2.1.0, as code scanners and editors read it. Findings that pass are suppressed results.

    Parameters
    ----------
    version:
        Farandole's.
    """
    rules = list({judged.rule.id: judged.rule for judged in report.judged} | {rule.id: rule for rule in report.ran})
    by_id = {judged.rule.id: judged.rule for judged in report.judged} | {rule.id: rule for rule in report.ran}
    driver = {
        "name": "farandole check",
        "semanticVersion": version,
        "rules": [_sarif_rule(by_id[id]) for id in rules],
    }
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": driver},
                "columnKind": "unicodeCodePoints",
                "originalUriBaseIds": {"ROOT": {"uri": Path.cwd().as_uri() + "/"}},
                "results": [_sarif_result(judged, rules.index(judged.rule.id)) for judged in report.judged],
            }
        ],
    }


def _sarif_rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title[0].upper() + rule.title[1:]},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.why},
        "defaultConfiguration": {"level": rule.severity, "enabled": rule.tier == "proof"},
        "properties": {
            "tier": rule.tier,
            "tags": ["choreography", rule.tier],
            "precision": "very-high" if rule.tier == "proof" else "medium",
        },
    }


def _sarif_result(judged: Judged, index: int) -> dict[str, Any]:
    finding = judged.finding
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": judged.verdict if judged.verdict in ("error", "warning") else judged.rule.severity,
        "message": {"text": f"{finding.what} {finding.fix}"},
        "locations": [
            {
                "physicalLocation": _physical(finding.place),
                "logicalLocations": [{"fullyQualifiedName": finding.subject, "kind": "member"}],
            }
        ],
        "partialFingerprints": {"ruleAndSubject/v1": f"{finding.rule}:{finding.subject}"},
    }
    if finding.trail:
        result["properties"] = {"trail": list(finding.trail)}
    if judged.verdict in ("known", "off"):
        why = judged.reason or ("known in the baseline" if judged.verdict == "known" else "off in the configuration")
        result["suppressions"] = [{"kind": "external", "status": "accepted", "justification": why}]
    return result


def _physical(place: Place) -> dict[str, Any]:
    file = shown_place(Place(place.file))
    artifact: dict[str, Any] = {"uri": quote(file.replace(os.sep, "/"))}
    if Path(file).is_absolute():
        artifact["uri"] = Path(file).as_uri()
    else:
        artifact["uriBaseId"] = "ROOT"
    return {"artifactLocation": artifact, "region": {"startLine": place.line or 1}}


def github_lines(report: Report) -> Iterator[str]:
    """Workflow commands that GitHub shows beside the lines of a pull request."""
    for judged in report.counting:
        finding = judged.finding
        place = Place(finding.place.file)
        line = f",line={finding.place.line}" if finding.place.line else ""
        yield (
            f"::{judged.verdict} file={_property(shown_place(place))}{line},title={_property(f'farandole {finding.rule}')}"
            f"::{_data(f'{finding.what} {finding.fix}')}"
        )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
