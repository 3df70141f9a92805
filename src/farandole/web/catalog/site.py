"""The whole site: every page, the style, the script, and the index that the search reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import partial
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


def site(graph: Graph, only: frozenset[str] | None = None) -> Iterator[tuple[str, str]]:
    """Path and text of each file, one after the other: a large site is never in memory as a whole.

    Parameters
    ----------
    graph:
        What to show. The same graph gives the same files, byte for byte.
    only:
        The paths of the files that are wanted; default: all.
    """
    for path, make in _makers(Catalog(graph)):
        if only is None or path in only:
            yield path, make()


def _makers(catalog: Catalog) -> Iterator[tuple[str, Callable[[], str]]]:
    yield "index.html", lambda: catalog.page(catalog.graph.name, "index.html", home_page(catalog))
    for kind in LISTS:
        yield f"{kind}.html", partial(_list, catalog, kind)
    for (kind, name), path in catalog.addresses.items():
        yield path, partial(_one, catalog, kind, name, path)
    yield "search-index.js", partial(_index, catalog)
    for file in ("catalog.css", "catalog.js"):
        yield file, partial((files("farandole.web.catalog") / "files" / file).read_text, encoding="utf-8")


def _list(catalog: Catalog, kind: str) -> str:
    return catalog.page(kind.capitalize(), f"{kind}.html", list_page(catalog, kind), now=kind)


def _one(catalog: Catalog, kind: str, name: str, path: str) -> str:
    make = {"workflow": workflow_page, "service": service_page, "event": message_page, "command": message_page}[kind]
    return catalog.page(short(name), path, make(catalog, name), now=f"{kind}s")


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
    return plain(doc.strip().partition("\n\n")[0]).replace("`", "")
