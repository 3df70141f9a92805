"""`farandole rehearse`: runs the real handlers of a choreography through many faulty futures, and tells the story of the first that fails."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from farandole.config import load, parse_duration
from farandole.errors import ConfigurationError

if TYPE_CHECKING:
    from farandole.rehearse.explore import Coverage
    from farandole.rehearse.report import Report
    from farandole.rehearse.search import Plan

__all__ = ["rehearse"]

_USUAL = 500


def rehearse(  # noqa: PLR0913 - each is a flag
    app: str | None = None,
    /,
    *,
    seeds: int | None = None,
    first: int = 0,
    for_: Annotated[str | None, Parameter("--for")] = None,
    faults: str | None = None,
    guided: bool = False,
    systematic: int | None = None,
    repeat: str | None = None,
    jobs: int | None = None,
    svg: Path | None = None,
    mermaid: Path | None = None,
    json: bool = False,
) -> int:
    """Run a choreography through many faulty futures: crashes, duplicates, delays, lost connections, failing databases.

    The handlers are the real ones, on simulated databases, a simulated broker and virtual time; each run can be repeated by its seed.
    Exit code 0 if every run was fine, 1 if one failed; its story is told then.

    Parameters
    ----------
    app
        A Rehearsal or a Choreography, as module:variable. Of a choreography, commands are made up from their types.
    seeds
        How many runs (500).
    first
        The first seed.
    for_
        Run for so long instead, such as 60s or 5min.
    faults
        Only these, by name or group, separated by commas: process, database, outside, broker, crash, duplicate, …; none for no faults.
    guided
        Look near to runs that showed something new.
    systematic
        Instead of drawing, try all orders of so many deliveries, with up to one fault.
    repeat
        Run one seed again, or the course in a file, and tell its story whatever came of it.
    jobs
        How many processes (one per processor).
    svg
        Draw the story of a failure into this file.
    mermaid
        Write the story of a failure into this file, as a Mermaid diagram.
    json
        Print one JSON object.
    """
    from farandole.rehearse.search import Plan

    name = load(app=app).app
    if name is None:
        raise ConfigurationError("which rehearsal? Give it as module:variable, such as examples.shop.rehearsal:rehearsal")
    chosen = None if faults is None else tuple(word for word in faults.split(",") if word not in ("", "none"))
    plan = Plan(
        name,
        first=first,
        seeds=None if for_ is not None and seeds is None else _positive("--seeds", _USUAL if seeds is None else seeds),
        seconds=None if for_ is None else _duration(for_),
        faults=chosen,
        jobs=_positive("--jobs", jobs or os.cpu_count() or 1),
        guided=guided,
    )
    if repeat is not None:
        report = _repeat(plan, repeat)
    elif systematic is not None:
        report = _systematic(plan, _positive("--systematic", systematic))
    else:
        report = _search(plan, quiet=json)
    for path, text in ((svg, report.svg), (mermaid, report.mermaid)):
        if path is not None and report.run is not None:
            path.write_text(text())
    _print_json(report) if json else _print(report)
    return 1 if report.failed else 0


def _search(plan: Plan, *, quiet: bool) -> Report:
    from farandole.rehearse.cuts import OutsideWorld
    from farandole.rehearse.explore import Coverage
    from farandole.rehearse.inspection import inspect
    from farandole.rehearse.report import Report, told
    from farandole.rehearse.search import load_rehearsal, search

    rehearsal = load_rehearsal(plan.app, plan.faults)
    if outside := inspect(rehearsal, plan.first):
        return Report(plan.app, rehearsal, Coverage.of(rehearsal), outside=outside)
    with _progress(plan, quiet=quiet) as watch:
        try:
            found = search(plan, watch)
        except OutsideWorld as error:
            return Report(plan.app, rehearsal, Coverage.of(rehearsal), outside=[str(error)])
    with _shrinking(found.course is not None, quiet=quiet) as watch_shrinking:
        return told(plan.app, rehearsal, found.coverage, found.course, watch_shrinking)


def _systematic(plan: Plan, deliveries: int) -> Report:
    from farandole.rehearse.explore import Coverage
    from farandole.rehearse.report import told
    from farandole.rehearse.search import load_rehearsal
    from farandole.rehearse.systematic import explore_all

    rehearsal = load_rehearsal(plan.app, plan.faults)
    result = explore_all(rehearsal, deliveries=deliveries, faults=1, limit=plan.seeds or 10_000)
    report = told(plan.app, rehearsal, Coverage.of(rehearsal), None if result.failing is None else result.failing.course)
    report.remark = (
        f"{result.played} orders of {deliveries} deliveries played, {result.pruned} left out because they could not differ; "
        + ("these are all" if result.complete else f"the limit of {plan.seeds or 10_000} was reached: raise --seeds")
    )
    return report


def _repeat(plan: Plan, repeat: str) -> Report:
    from farandole.rehearse.course import parse_course
    from farandole.rehearse.explore import Coverage
    from farandole.rehearse.report import repeated
    from farandole.rehearse.search import load_rehearsal

    rehearsal = load_rehearsal(plan.app, plan.faults)
    path = Path(repeat)
    course, caution = parse_course(path.read_text() if path.is_file() else repeat, rehearsal.choreography)
    return repeated(plan.app, rehearsal, Coverage.of(rehearsal), course, caution)


def _duration(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise ConfigurationError(f"--for: {error}") from None


def _positive(flag: str, number: int) -> int:
    if number < 1:
        raise ConfigurationError(f"{flag}: expected a positive whole number, got: {number}")
    return number


@contextmanager
def _progress(plan: Plan, *, quiet: bool) -> Iterator[Callable[[Coverage], None]]:
    """A bar on stderr, where somebody looks."""
    if quiet or not sys.stderr.isatty():
        yield lambda coverage: None
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from farandole.cli.output import console

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console(stderr=True), transient=True) as bar:
        task = bar.add_task("Rehearsing", total=plan.seeds)
        yield lambda coverage: bar.update(
            task,
            completed=coverage.runs,
            description=f"Rehearsing: {coverage.workflows} workflows, {coverage.edges.total():,} steps of them, "
            f"{sum(coverage.faults.values()):,} faults",
        )


@contextmanager
def _shrinking(wanted: bool, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    if quiet or not wanted or not sys.stderr.isatty():
        yield lambda tried: None
        return
    from farandole.cli.output import console

    with console(stderr=True).status("Found something. Making it short…") as status:
        yield lambda tried: status.update(f"Found something. Making it short… ({tried} runs)")


def _print(report: Report) -> None:
    import shutil

    width = shutil.get_terminal_size((100, 40)).columns
    print(report.text(width=width, colour=sys.stdout.isatty()))


def _print_json(report: Report) -> None:
    from farandole.cli.output import print_json

    values: dict[str, Any] = report.as_json()
    print_json(values)
