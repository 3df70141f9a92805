"""A report for people, as lines of styled pieces: by workflow, place first, the reason of a rule once."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path

from farandole.checks.base import Rule
from farandole.checks.report import Judged, Report
from farandole.checks.words import Names, names_of
from farandole.graph import Place
from farandole.words import listed

__all__ = ["Line", "lines", "plain_text", "rule_lines", "shown_place", "summary"]

Line = list[tuple[str, str]]
"""Pieces of a line: text, and a style such as `bold red` or ""."""

_STYLES = {"error": "bold red", "warning": "bold yellow", "known": "dim", "off": "dim"}


def plain_text(report: Report) -> str:
    """The report without styles."""
    return "".join("".join(text for text, _ in line) + "\n" for line in lines(report))


def summary(report: Report) -> str:
    """The last line of the report."""
    return "".join(text for text, _ in _summary(report))


def lines(report: Report) -> Iterator[Line]:
    """The report: findings that count, what passes and why, and a summary in one line."""
    explained: set[str] = set()
    names = names_of(report.graph)
    workflows = [*(workflow.name for workflow in report.graph.workflows), None]
    counting = sorted(report.counting, key=lambda judged: (_order(workflows, judged), judged.verdict))
    for workflow, group in groupby(counting, key=lambda judged: judged.finding.workflow):
        yield [(workflow or ("Outside of workflows" if report.graph.workflows else report.graph.name), "bold")]
        yield []
        for judged in group:
            yield from _finding_lines(judged, names, explain=judged.rule.id not in explained)
            explained.add(judged.rule.id)
    yield from _notes(report)
    yield _summary(report)


def _order(workflows: list[str | None], judged: Judged) -> int:
    workflow = judged.finding.workflow
    return workflows.index(workflow) if workflow in workflows else len(workflows)


def _finding_lines(judged: Judged, names: Names, *, explain: bool) -> Iterator[Line]:
    finding, rule = judged.finding, judged.rule
    tier = "" if rule.tier == "proof" else " (hint)"
    yield [
        ("  ", ""),
        (shown_place(finding.place), "cyan"),
        ("  ", ""),
        (judged.verdict, _STYLES[judged.verdict]),
        (f" {finding.rule}{tier}", "bold"),
    ]
    yield [(f"    {finding.what}", "")]
    if finding.trail:
        yield [(f"    way  {' -> '.join(names.step(step) for step in finding.trail)}", "")]
    if explain:
        yield [("    why  ", "dim"), (rule.why, "dim")]
    yield [("    fix  ", "green"), (finding.fix, "")]
    if judged.reason:
        yield [(f"    set  {judged.verdict}: {judged.reason}", "dim")]
    yield []


def _notes(report: Report) -> Iterator[Line]:
    """What the configuration and the baseline did, so that nothing is hidden silently."""
    before = False
    for rule, choice in report.choices.items():
        before = True
        yield [(f"{rule} is set to {choice.severity}: {choice.reason}", "dim")]
    for judged in report.judged:
        if judged.verdict == "off" and judged.reason:
            before = True
            yield [(f"{judged.finding.rule} is off for {judged.finding.subject}: {judged.reason}", "dim")]
    for rule, subject in report.idle:
        before = True
        yield [(f'[tool.farandole.checks] {rule}."{subject}": nothing is found there. Remove it.', "yellow")]
    for rule, subject, count in report.gone:
        before = True
        many = f" {count} times" if count > 1 else ""
        yield [(f"{rule} is no longer found{many} for {subject}. Strike it off: farandole check --write-baseline", "yellow")]
    if before:
        yield []


def _summary(report: Report) -> Line:
    errors, warnings, known = report.count("error"), report.count("warning"), report.count("known")
    graph = report.graph
    size = (
        f"{_many(len(graph.service), 'service')}, {_many(len(graph.reaction), 'reaction')}, {_many(len(graph.types), 'message')}"
    )
    tiers = [_many(sum(rule.tier == tier for rule in report.ran), f"{tier} rule") for tier in ("proof", "hint")]
    found = [_many(errors, "error")] * bool(errors) + [_many(warnings, "warning")] * bool(warnings)
    said = f"{listed(found)}" if found else "Nothing found"
    passing = [f"{known} known"] * bool(known) + [f"{report.count('off')} off"] * bool(report.count("off"))
    rest = f" ({listed(passing)})" if passing else ""
    style = "bold red" if errors else "bold yellow" if warnings else "bold green"
    return [(f"{said}{rest}", style), (f" in {size}; {listed(tiers)} ran.", "")]


def _many(count: int, word: str) -> str:
    return f"{count} {word}{'s' * (count != 1)}"


def shown_place(place: Place) -> str:
    """`file:line`, which terminals open; relative to the current folder where it is below it."""
    file = place.file
    here = str(Path.cwd()).rstrip(os.sep) + os.sep
    if file.startswith(here):
        file = file.removeprefix(here)
    return str(Place(file, place.line, place.pointer))


def rule_lines(rules: Collection[Rule]) -> Iterator[Line]:
    """The rules, one in two lines, by tier."""
    for tier, title in (("proof", "Proven from the declarations"), ("hint", "Hints, which run when asked for")):
        yield [(title, "bold")]
        yield []
        for rule in rules:
            if rule.tier == tier:
                yield [(f"  {rule.id:<28}", "bold"), (f"{rule.severity:<9}", _STYLES[rule.severity]), (rule.title, "")]
                yield [(f"  {'':<28}{'':<9}{rule.why}", "dim")]
        yield []
