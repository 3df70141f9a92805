"""The whole site: every page, the style, the script, and the index that the search reads."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.resources import files

from farandole.drawing.letters import plain
from farandole.graph.graph import Graph
from farandole.graph.nodes import short
from farandole.web.catalog.fields import fields_of
from farandole.web.catalog.frame import LISTS, Catalog
from farandole.web.catalog.pages import home_page, list_page, message_page, service_page
from farandole.web.catalog.workflows import workflow_page

__all__ = ["site"]

_FIELDS = 40  # of each message, so many are found by their names


def site(graph: Graph) -> Iterator[tuple[str, str]]:
    """Path and text of each file, one after the other: a large site is never in memory as a whole.

    Parameters
    ----------
    graph:
        What to show. The same graph gives the same files, byte for byte.
    """
    catalog = Catalog(graph)
    yield "index.html", catalog.page(graph.name, "index.html", home_page(catalog))
    for kind in LISTS:
        yield f"{kind}.html", catalog.page(kind.capitalize(), f"{kind}.html", list_page(catalog, kind), now=kind)
    for (kind, name), path in catalog.addresses.items():
        make = {"workflow": workflow_page, "service": service_page, "event": message_page, "command": message_page}[kind]
        yield path, catalog.page(short(name), path, make(catalog, name), now=f"{kind}s")
    yield "search-index.js", _index(catalog)
    for name in ("catalog.css", "catalog.js"):
        yield name, (files("farandole.web.catalog") / "files" / name).read_text(encoding="utf-8")


def _index(catalog: Catalog) -> str:
    """One line for each page: kind, name, full name, address, and words. A script, since pages read from a disk may not fetch."""
    rows = [[kind, *_names(name), path, _words(catalog, kind, name)] for (kind, name), path in catalog.addresses.items()]
    lines = ",\n".join(json.dumps(row, ensure_ascii=True, separators=(",", ":")).replace("<", "\\u003c") for row in rows)
    return f"window.CATALOG = [\n{lines}\n];\n"


def _names(name: str) -> tuple[str, str]:
    return plain(short(name)), plain(name)


def _words(catalog: Catalog, kind: str, name: str) -> str:
    graph = catalog.graph
    if kind == "workflow":
        return _sentence(graph.workflow[name].doc)
    if kind == "service":
        service = graph.service.get(name)
        return " ".join(
            [*(reaction.name for reaction in graph.of_service.get(name, ())), _sentence(service.doc if service else "")]
        )
    said = [graph.owned[tp] for tp in catalog.families[name] if tp in graph.owned]
    fields = dict.fromkeys(field.name for node in said for field in fields_of(node.schema)[:_FIELDS])
    return " ".join([_sentence(said[0].doc) if said else "", *fields]).strip()


def _sentence(doc: str) -> str:
    return plain(doc.strip().partition("\n\n")[0])
