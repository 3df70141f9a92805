"""`farandole diff`: what changed between two versions of a choreography, and what that breaks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from farandole.cli import FINDINGS, FINE
from farandole.errors import ConfigurationError

if TYPE_CHECKING:
    from farandole.checks.base import Finding
    from farandole.graph import Graph, Place

__all__ = ["diff", "graph_at", "placed", "print_lines", "read_graph", "refuse"]


def diff(
    old: str,
    new: str | None = None,
    *,
    git: str | None = None,
    markdown: bool = False,
    json: bool = False,
    fail_on: Literal["breaking", "risky", "never"] = "breaking",
) -> int:
    """Show what changed between two versions of a choreography, whom it reaches, and what it breaks. Exits with 1 if something breaks.

    Parameters
    ----------
    old, new
        The versions: files or folders of manifests, or module:variable.
    git
        Read OLD as it is at this revision; NEW is then OLD as it is now, unless given.
    markdown
        Print Markdown, for a comment on a pull request.
    json
        Print JSON.
    fail_on
        From which weight on to exit with 1.
    """
    from farandole.manifest.diff import WEIGHTS
    from farandole.manifest.diff import diff as compare

    if json and markdown:
        raise ConfigurationError("--json and --markdown exclude each other: give one, or none for people")
    if new is None and git is None:
        raise ConfigurationError(
            f"diff {old}: with what? Give a second version, or --git REVISION to compare with an earlier one"
        )
    before = read_graph(old) if git is None else graph_at(old, git)
    now = read_graph(new or old)
    changes = compare(before, now)
    titles = (old if git is None else f"{old} at {git}", new or old)
    if json:
        from farandole.cli.output import print_json
        from farandole.manifest.diff.report import as_json

        print_json({"old": titles[0], "new": titles[1], **as_json(changes)})
    elif markdown:
        from farandole.manifest.diff.report import as_markdown

        print(as_markdown(changes, f"{now.name}: what changes"), end="")
    else:
        from farandole.manifest.diff.report import lines

        print_lines(lines(changes))
    failing = WEIGHTS[: {"breaking": 1, "risky": 2, "never": 0}[fail_on]]
    return FINDINGS if any(change.weight in failing for change in changes) else FINE


def print_lines(lines: Iterable[Sequence[tuple[str, str]]], *, indent: str = "") -> None:
    """Lines in pieces with styles; on a terminal what is too long goes on below where it began."""
    from rich.table import Table
    from rich.text import Text

    from farandole.cli.output import console, plain

    out = console()
    for line in lines:
        first, *others = [(plain(text), style) for text, style in line] or [("", "")]
        if not others:
            out.print(Text(indent * bool(first[0]) + first[0], style=first[1]), soft_wrap=True)
            continue
        grid = Table.grid()
        grid.add_column(no_wrap=True)
        grid.add_column(overflow="fold")
        grid.add_row(Text(indent * bool(first[0]) + first[0], style=first[1]), Text.assemble(*others))
        out.print(grid)


def read_graph(what: str | None) -> Graph:
    """The graph of a file or folder of manifests, or of module:variable; what cannot be read of it is an error."""
    from farandole.cli.chart import chart_of

    graph, findings = chart_of(what)
    refuse(findings)
    return graph


def graph_at(what: str, revision: str) -> Graph:
    """The graph of a file or folder of manifests as it is at a revision; places name the revision."""
    from farandole.cli.chart import chart_of
    from farandole.cli.revision import files_at

    if not Path(what).exists() and ":" in what:
        raise ConfigurationError(
            f"--git {revision}: {what} is Python, which is not run from another revision. Compare manifests: farandole manifest {what} "
            f"--output manifests"
        )
    with files_at(Path(what), revision) as copy:
        graph, findings = chart_of(str(copy))
        refuse([replace(finding, place=_at(finding.place, str(copy), f"{revision}:{what.rstrip('/')}")) for finding in findings])
    return placed(graph, str(copy), f"{revision}:{what.rstrip('/')}")


def refuse(findings: Sequence[Finding]) -> None:
    """What cannot be read is an error: a comparison with half of a choreography would tell of changes that nobody made."""
    if findings:
        first = findings[0]
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        raise ConfigurationError(f"{first.place}: {first.what} {first.fix}{more}")


def placed(graph: Graph, copy: str, shown: str) -> Graph:
    """The same graph, whose places are not those of a copy but of what it is a copy of."""

    def each(nodes: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(replace(node, place=_at(node.place, copy, shown)) for node in nodes)

    return replace(
        graph,
        services=each(graph.services),
        messages=each(graph.messages),
        reactions=each(graph.reactions),
        workflows=each(graph.workflows),
        cycles=each(graph.cycles),
    )


def _at(place: Place, copy: str, shown: str) -> Place:
    return replace(place, file=shown + place.file.removeprefix(copy)) if place.file.startswith(copy) else place
