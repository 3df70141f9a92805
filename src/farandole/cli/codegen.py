"""`farandole codegen`: reader classes for the events of a team in another repository."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

from farandole.cli import FINDINGS, FINE
from farandole.cli.chart import chart_of
from farandole.errors import ConfigurationError
from farandole.manifest.codegen import reader_classes

__all__ = ["codegen"]


def codegen(manifest: str, *, fields: str | None = None, output: str | None = None) -> int:
    """Write Python classes for the events that a manifest sends: fewer fields mean fewer things that can break.

    Parameters
    ----------
    manifest
        An AsyncAPI document, of Farandole or of anybody, or a folder of some; or a choreography, as module:variable.
    fields
        Only these fields, such as OrderPlaced.order_id,OrderPlaced.total; or events as a whole.
    output
        The file to write; otherwise to the standard output.
    """
    graph, findings = chart_of(manifest)
    for finding in findings:
        print(f"{finding.place}: {finding.rule}: {finding.what}. {finding.fix}", file=sys.stderr)
    if findings:
        return FINDINGS
    words = ["farandole", "codegen", manifest]
    words += ["--fields", fields] if fields else []
    words += ["--output", output] if output else []
    text = reader_classes(graph, shlex.join(words), [entry for entry in (fields or "").split(",") if entry.strip()])
    if output is None:
        print(text, end="")
        return FINE
    try:
        Path(output).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"cannot write {output}: {error.strerror}") from None
    return FINE
