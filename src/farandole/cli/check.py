"""`farandole check`: what is wrong with a choreography, before it runs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from farandole.cli import FINDINGS, FINE

if TYPE_CHECKING:
    from farandole.checks.report import Report
    from farandole.checks.text import Line

__all__ = ["check"]


def check(  # noqa: PLR0913 - each is a flag
    what: str | None = None,
    /,
    *,
    hints: bool = False,
    rule: list[str] | None = None,
    strict: bool = False,
    json: bool = False,
    sarif: bool = False,
    github: bool = False,
    baseline: Path | None = None,
    write_baseline: bool = False,
    list_rules: bool = False,
) -> int:
    """Check a choreography's declarations: what is never consumed or emitted, may hang, cannot be undone or read, or leaks.

    Nothing is run and nothing is contacted. Exit code 0 if there is no error, 1 if there is one, 2 if the check could not be made.

    Parameters
    ----------
    what
        The choreography, as module:variable, or a file or folder of manifests; it may come from the configuration.
    hints
        Also run the rules that guess, or that need declared effects and states.
    rule
        Only this rule; may be repeated.
    strict
        Exit with 1 at warnings, too.
    json
        Print JSON.
    sarif
        Print SARIF 2.1.0, for code scanning.
    github
        Print annotations for GitHub's pull requests.
    baseline
        The file with findings that are known (farandole-baseline.json).
    write_baseline
        Write today's findings into it, so that only new ones fail.
    list_rules
        Print all rules, and check nothing.
    """
    if list_rules:
        from farandole.checks.machine import rules_as_json
        from farandole.checks.registry import rules
        from farandole.checks.text import rule_lines
        from farandole.cli.output import print_json

        print_json(rules_as_json(rules().values())) if json else _print(rule_lines(rules().values()))
        return FINE
    from farandole.checks.baseline import FILE
    from farandole.errors import ConfigurationError

    if json + sarif + github > 1:
        raise ConfigurationError("--json, --sarif and --github exclude each other: give one, or none for people")
    path = baseline or Path(FILE)
    report = _report(what, path, hints=hints, only=tuple(rule or ()))
    if write_baseline:
        return _write(report, path)
    if json or sarif or github:
        _print_for_programs(report, strict=strict, json=json, sarif=sarif)
    else:
        from farandole.checks.text import lines

        _print(lines(report))
    return FINDINGS if report.fails(strict=strict) else FINE


def _report(what: str | None, path: Path, *, hints: bool, only: tuple[str, ...]) -> Report:
    from farandole.checks.baseline import read_baseline
    from farandole.checks.report import examine
    from farandole.checks.settings import read_settings
    from farandole.cli.chart import chart_of
    from farandole.config import load

    config = load()
    settings = read_settings(config.checks)
    known = read_baseline(path)
    graph, before = chart_of(what)
    return examine(graph, before=before, settings=settings, baseline=known, window=config.window, hints=hints, only=only)


def _write(report: Report, path: Path) -> int:
    """Write what counts or is known already, and keep what is known of rules that did not run; what is off has its reason elsewhere."""
    from farandole.checks.baseline import Baseline, read_baseline
    from farandole.checks.registry import rules
    from farandole.errors import ConfigurationError

    found = Baseline.of(judged.finding for judged in report.judged if judged.verdict != "off").counts
    resting = set(rules()) - {rule.id for rule in report.ran}
    kept = {key: count for key, count in read_baseline(path).counts.items() if key[0] in resting}
    known = Baseline(kept | found)
    try:
        path.write_text(known.text(), encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error}") from None
    total = sum(known.counts.values())
    print(f"{path}: {total} finding{'s' * (total != 1)} known from now on. New ones fail.")
    return FINE


def _print_for_programs(report: Report, *, strict: bool, json: bool, sarif: bool) -> None:
    from farandole.checks.machine import as_json, as_sarif, github_lines
    from farandole.checks.text import summary
    from farandole.cli.output import plain, print_json
    from farandole.version import __version__

    if json:
        print_json(as_json(report, strict=strict))
    elif sarif:
        print_json(as_sarif(report, __version__))
    else:
        for line in github_lines(report):
            print(plain(line))
        print(summary(report))


def _print(lines: Iterable[Line]) -> None:
    """With colours on a terminal only, and nothing that a stranger's document could steer it with."""
    from rich.text import Text

    from farandole.cli.output import console, plain

    out = console()
    for line in lines:
        out.print(Text.assemble(*((plain(text), style) for text, style in line)), soft_wrap=True)
