"""Checks of a choreography's declarations, in one line of a test:

def test_the_shop_is_sound():
    check_choreography(shop)
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from farandole.checks.baseline import FILE, read_baseline
from farandole.checks.report import Report, examine
from farandole.checks.settings import read_settings
from farandole.checks.text import plain_text
from farandole.config import load
from farandole.graph import Graph
from farandole.graph.of_code import graph_of
from farandole.model.choreography import Choreography

__all__ = ["check_choreography"]


def check_choreography(
    choreography: Choreography | Graph,
    *,
    hints: bool = False,
    only: Iterable[str] = (),
    strict: bool = False,
    folder: Path | None = None,
) -> Report:
    """Check a choreography as `farandole check` does, with the configuration and the baseline of the project.

    Parameters
    ----------
    hints, strict:
        Whether rules that guess run, too; whether warnings fail.
    only:
        The ids of the only rules to run.
    folder:
        Where pyproject.toml, farandole.toml and the baseline are; default: the current one.

    Raises
    ------
    AssertionError
        With the report, where something is wrong.
    ConfigurationError
        The configuration is wrong, or there is no such rule.
    """
    __tracebackhide__ = True  # pytest shows the line of the test
    folder = folder or Path.cwd()
    config = load(folder)
    graph = choreography if isinstance(choreography, Graph) else graph_of(choreography)
    report = examine(
        graph,
        window=config.window,
        settings=read_settings(config.checks),
        baseline=read_baseline(folder / FILE),
        hints=hints,
        only=only,
    )
    if report.fails(strict=strict):
        raise AssertionError(f"{choreography.name} is not sound\n\n{plain_text(report)}")
    return report
