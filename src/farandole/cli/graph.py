"""Draw the choreography from its declarations."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Literal

from farandole.cli import FINE
from farandole.cli.chart import chart_of
from farandole.cli.output import plain, write
from farandole.errors import ConfigurationError
from farandole.graph import Graph
from farandole.graph.draw import Picture, data, dot, failing, mermaid, picture_of, svg
from farandole.graph.filter import around_message, of_services, of_workflow, services_named

__all__ = ["graph"]

Format = Literal["mermaid", "dot", "svg", "json"]
_ENDINGS: dict[str, Format] = {
    ".svg": "svg",
    ".dot": "dot",
    ".gv": "dot",
    ".json": "json",
    ".mmd": "mermaid",
    ".mermaid": "mermaid",
}


def graph(
    what: str | None = None,
    *,
    format: Format | None = None,
    workflow: str | None = None,
    service: list[str] | None = None,
    event: str | None = None,
    domain: bool = False,
    output: Path | None = None,
) -> int:
    """Draw who says what and who reacts. What is too much for one picture is drawn by service, or by domain.

    Parameters
    ----------
    what
        The choreography, as module:variable, or a manifest, or a folder of manifests; it may come from the configuration.
    format
        mermaid, dot, svg or json; default: what the ending of --output says, and mermaid otherwise.
    workflow
        Only what this workflow may lead to.
    service
        Only this service and its neighbours: payments, shop.payments or shop.*; may be repeated.
    event
        Only this event or command and its neighbours.
    domain
        A node for each domain, not for each message and reaction.
    output
        The file to write; default: standard output.
    """
    if sum(bool(one) for one in (workflow, service, event)) > 1:
        raise ConfigurationError("choose one of --workflow, --service and --event: each says which part of the graph to draw")
    whole, findings = chart_of(what)
    for finding in findings:
        print(f"farandole: {finding.place}: {plain(finding.what)}", file=sys.stderr)
    picture = _picture(whole, workflow, service, event, domain=domain)
    text = _written(picture, format or _format_of(output))
    write(text, output)
    for sentence in picture.left_out:
        print(f"farandole: {sentence}", file=sys.stderr)
    return FINE


def _picture(whole: Graph, workflow: str | None, service: list[str] | None, event: str | None, *, domain: bool) -> Picture:
    by: Literal["domain"] | None = "domain" if domain else None
    if workflow:
        return picture_of(of_workflow(whole, workflow), by)
    fails = failing(whole)
    if service:
        return picture_of(of_services(whole, service), by, fails, services_named(whole, service))
    return picture_of(around_message(whole, event) if event else whole, by, fails)


def _format_of(output: Path | None) -> Format:
    if output is None:
        return "mermaid"
    if output.suffix.lower() not in _ENDINGS:
        raise ConfigurationError(
            f"--output: what to write to {output} is not clear from its ending. Give it one of {', '.join(_ENDINGS)}, or say --format"
        )
    return _ENDINGS[output.suffix.lower()]


def _written(picture: Picture, format: Format) -> str:
    if format == "json":
        return json.dumps(data(picture), indent=2, ensure_ascii=False) + "\n"
    return {"mermaid": mermaid, "dot": dot, "svg": svg}[format](picture)
