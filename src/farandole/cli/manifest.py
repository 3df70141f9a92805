"""`farandole manifest`: services as AsyncAPI documents, for other repositories, other languages and other tools."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from farandole.cli import FINDINGS, FINE
from farandole.cli.chart import chart_of
from farandole.config import nearest
from farandole.errors import ConfigurationError
from farandole.graph.graph import Graph
from farandole.graph.nodes import Service
from farandole.manifest.emit import as_json, as_yaml
from farandole.manifest.write import document_of

__all__ = ["manifest"]


def manifest(app: str | None = None, *, service: list[str] | None = None, output: str | None = None, json: bool = False) -> int:
    """Write services as AsyncAPI 3.1 documents, with what causes what. The same declarations give the same bytes.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration. Or a folder of manifests, to merge and write anew.
    service
        Only these services; may be repeated. One without --output goes to the standard output.
    output
        A folder for one document per service, such as shop.payments.yaml; it is made where there is none.
    json
        Write JSON; otherwise YAML.
    """
    graph, findings = chart_of(app)
    for finding in findings:
        print(f"{finding.place}: {finding.rule}: {finding.what}. {finding.fix}", file=sys.stderr)
    if findings:
        return FINDINGS  # what could not be read would be missing
    chosen = _chosen(graph, service or [])
    texts = {node.id: (as_json if json else as_yaml)(document_of(graph, node)) for node in chosen}
    if output is None:
        if len(texts) > 1:
            names = ", ".join(node.name for node in chosen)
            raise ConfigurationError(
                f"{graph.name} has {len(texts)} services. Choose one with --service ({names}), or a folder with --output"
            )
        print(next(iter(texts.values())), end="")
        return FINE
    _write(Path(output), _named(texts, "json" if json else "yaml"))
    print(f"wrote {len(texts)} {'manifest' if len(texts) == 1 else 'manifests'} to {output}")
    return FINE


def _chosen(graph: Graph, names: list[str]) -> list[Service]:
    """The services that are meant, by id or by the name that people say."""
    known = {node.id: node for node in reversed(graph.services)}
    short: dict[str, list[Service]] = {}
    for node in known.values():
        short.setdefault(node.name, []).append(node)
    chosen = []
    for name in dict.fromkeys(names):
        found = [known[name]] if name in known else short.get(name, [])
        if not found:
            raise ConfigurationError(f"there is no service {name!r} in {graph.name}. {nearest(name, short)}")
        if len(found) > 1:
            ids = " or ".join(sorted(node.id for node in found))
            raise ConfigurationError(f"{name} may be {ids}: say which")
        chosen += found
    return chosen or [known[id] for id in dict.fromkeys(node.id for node in graph.services)]


def _named(texts: dict[str, str], ending: str) -> dict[str, str]:
    """The documents by the names of their files; an id from a manifest of others may hold anything."""
    found: dict[str, str] = {}
    for id, text in texts.items():
        name = f"{re.sub(r'[^A-Za-z0-9._-]', '-', id)}.{ending}"
        if name in found:
            raise ConfigurationError(f"two services would be written to {name}. Write them one by one, with --service")
        found[name] = text
    return found


def _write(folder: Path, texts: dict[str, str]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"cannot write to {error.filename}: {error.strerror}") from None
