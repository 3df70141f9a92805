"""Write a catalog of services, events and workflows."""

from __future__ import annotations

import sys
from pathlib import Path

from farandole.cli import FINE
from farandole.cli.chart import chart_of
from farandole.cli.output import plain
from farandole.web.catalog import site, write

__all__ = ["docs"]


def docs(what: str | None = None, *, output: Path) -> int:
    """Write a searchable site about every service, event, command and workflow: plain files that need no server.

    Parameters
    ----------
    what
        The choreography, as module:variable, or a manifest, or a folder of manifests; it may come from the configuration.
    output
        The folder to write. It must be new or empty, or made by this command before.
    """
    graph, findings = chart_of(what)
    for finding in findings:
        print(f"farandole: {finding.place}: {plain(finding.what)}", file=sys.stderr)
    many = write(output, site(graph))
    print(f"{many:,} files. Open {output / 'index.html'}")
    return FINE
