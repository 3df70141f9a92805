"""What all pages share: addresses, the frame around the content, and small parts that occur everywhere."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256

from farandole.graph.draw import Picture, failing, svg
from farandole.graph.draw.picture import Node
from farandole.graph.graph import Graph
from farandole.graph.nodes import family_of, short
from farandole.web.catalog.html import Child, Html, tag

__all__ = ["LISTS", "Catalog", "table"]

LISTS = ("workflows", "services", "events", "commands")
_POLICY = "default-src 'none'; style-src 'self' 'unsafe-inline'; script-src 'self'; img-src 'self' data:"
_LONGEST = 120
_EMPTY = tag("td", "")


@dataclass(frozen=True)
class Catalog:
    """A graph on its way to pages."""

    graph: Graph

    @cached_property
    def fails(self) -> frozenset[str]:
        """The messages that tell of a failure."""
        return failing(self.graph)

    @cached_property
    def commands(self) -> frozenset[str]:
        """The types that are commands."""
        declared = {tp for tp, node in self.graph.owned.items() if node.kind == "command"}
        handled = {
            tp for reaction in self.graph.reactions if reaction.trigger.kind == "command" for tp in reaction.trigger.receives
        }
        return frozenset(declared | handled)

    @cached_property
    def families(self) -> dict[str, list[str]]:
        """All versions of each message, by the type without its version."""
        found: dict[str, list[str]] = {}
        for tp in self.graph.types:
            found.setdefault(family_of(tp), []).append(tp)
        return found

    @cached_property
    def addresses(self) -> dict[tuple[str, str], str]:
        """The file of each page, by kind and name."""
        wanted = [("workflow", flow.name) for flow in self.graph.workflows]
        wanted += [("service", service) for service in sorted(self.services)]
        wanted += [("command" if types[0] in self.commands else "event", name) for name, types in self.families.items()]
        taken: set[str] = set()
        found: dict[tuple[str, str], str] = {}
        for kind, name in wanted:
            path = f"{kind}/{_file(name)}.html"
            if path.lower() in taken:  # some disks do not tell A from a
                path = f"{kind}/{_file(name)}~{sha256(name.encode()).hexdigest()[:10]}.html"
            taken.add(path.lower())
            found.setdefault((kind, name), path)
        return found

    @cached_property
    def services(self) -> frozenset[str]:
        """All services that anything names."""
        return frozenset([*self.graph.service, *self.graph.of_service, *(node.service for node in self.graph.messages)])

    # ---- links -----------------------------------------------------------------------------------------------------------

    def message(self, tp: str, words: str | None = None) -> Html:
        """A link to a message; how it looks tells an event from a command and from a failure."""
        kind = "command" if tp in self.commands else "failure" if tp in self.fails else "event"
        return tag("a", words or self.say(tp), href=self.of_message(tp), class_=f"name {kind}", title=tp)

    def messages(self, types: Iterable[str]) -> list[Child]:
        """Links to several, with commas."""
        return _listed([self.message(tp) for tp in types])

    def service(self, id: str) -> Html:
        """A link to a service."""
        return tag("a", self._said_service(id), href=f"{self.addresses['service', id]}", class_="name service", title=id)

    def reaction(self, id: str) -> Html:
        """A link to a reaction, on its service's page."""
        known = self.graph.reaction.get(id)
        if known is None:
            return tag("code", id)
        words = f"{self._said_service(known.service)}.{known.name}"
        return tag("a", words, href=self.of_reaction(id), class_="name reaction", title=id)

    def workflow(self, name: str) -> Html:
        """A link to a workflow."""
        return tag("a", name, href=f"{self.addresses['workflow', name]}", class_="name workflow")

    def of_message(self, tp: str) -> str:
        family = family_of(tp)
        kind = "command" if self.families[family][0] in self.commands else "event"
        several = len(self.families[family]) > 1
        return f"{self.addresses[kind, family]}" + (f"#{anchor(tp)}" if several else "")

    def of_reaction(self, id: str) -> str:
        return f"{self.addresses['service', self.graph.reaction[id].service]}#{anchor(self.graph.reaction[id].name)}"

    def say(self, tp: str) -> str:
        """A message's name: short where it means one only."""
        return short(tp) if self._messages_of[short(tp)] < 2 else tp

    @cached_property
    def _messages_of(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for tp in self.graph.types:
            found[short(tp)] = found.get(short(tp), 0) + 1
        return found

    @cached_property
    def _services_of(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for id in self.services:
            found[short(id)] = found.get(short(id), 0) + 1
        return found

    def _said_service(self, id: str) -> str:
        return short(id) if self._services_of.get(short(id), 0) < 2 else id

    # ---- parts -----------------------------------------------------------------------------------------------------------

    def drawn(self, picture: Picture) -> Html:
        """A picture whose boxes lead to pages; a wide one is scrolled, not made unreadable."""
        drawing = svg(picture, self._link)
        size = re.search(r'viewBox="0 0 (\d+) (\d+)"', drawing)
        width = int(size[1]) if size else 800
        style = f"max-width:{width}px;min-width:{min(width, max(360, round(width * 0.75)))}px"
        inner = tag("div", Html(drawing), style=style)
        return tag("figure", inner, class_="picture", tabindex="0", aria_label=f"Diagram: {picture.name}")

    def _link(self, node: Node) -> str | None:
        if node.kind in ("event", "command"):
            return self.of_message(node.id)
        if node.id in self.graph.reaction:
            return self.of_reaction(node.id)
        return f"{self.addresses['service', node.id]}" if ("service", node.id) in self.addresses else None

    def page(self, title: str, path: str, content: Sequence[Child], *, now: str = "") -> str:
        """A whole page."""
        head = tag(
            "head",
            tag("meta", charset="utf-8"),
            tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
            tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
            tag("meta", name="color-scheme", content="light dark"),
            tag("base", href="../") if "/" in path else None,  # so that all addresses are as seen from the top
            tag("title", title if title == self.graph.name else f"{title} · {self.graph.name}"),
            tag("link", rel="stylesheet", href="catalog.css"),
            tag("script", "", src="catalog.js", defer=True),
        )
        lists = [
            tag(
                "a",
                name.capitalize(),
                href=f"{name}.html",
                aria_current="page" if path == f"{name}.html" else None,
                class_="here" if now == name else None,
            )
            for name in LISTS
        ]
        header = tag(
            "header",
            tag("a", "Skip to the content", href=f"{path}#content", class_="skip"),
            tag("a", self.graph.name, href="index.html", class_="home"),
            tag("nav", lists, aria_label="Catalog"),
            tag("div", class_="search", id="search"),
        )
        footer = tag(
            "footer",
            tag(
                "p",
                "Made from the declarations. To change a page, change them, and run ",
                tag("code", "farandole docs"),
                " again.",
            ),
        )
        body = tag("body", header, tag("main", *content, id="content"), footer)
        return f'<!doctype html>\n<html lang="en">\n{head}\n{body}\n</html>\n'


def table(heads: Sequence[str], rows: Iterable[Sequence[Child]]) -> Html:
    """A table without the columns that are empty, or nothing where there are no rows."""
    cells = [[tag("td", cell) for cell in row] for row in rows]
    if not cells:
        return Html("")
    kept = [place for place in range(len(heads)) if any(row[place] != _EMPTY for row in cells)]
    top = tag("thead", tag("tr", *(tag("th", heads[place], scope="col") for place in kept)))
    body = [tag("tr", *(row[place] for place in kept)) for row in cells]
    words = f"Table: {', '.join(heads[place] for place in kept if heads[place])}"
    return tag("div", tag("table", top, tag("tbody", *body)), class_="wide", role="region", tabindex="0", aria_label=words)


def anchor(name: str) -> str:
    """An id for a place in a page."""
    return re.sub(r"[^\w.-]", "-", name)


def _listed(parts: Sequence[Html]) -> list[Child]:
    found: list[Child] = []
    for place, part in enumerate(parts):
        found += [", ", part] if place else [part]
    return found


def _file(name: str) -> str:
    """A name that every disk takes and that stays inside its folder."""
    safe = "".join(char if char.isascii() and (char.isalnum() or char in "._-") else f"~{ord(char):x}" for char in name)
    safe = f"~{safe}" if safe.startswith(".") or not safe else safe
    return safe if len(safe) <= _LONGEST else f"{safe[:_LONGEST]}~{sha256(name.encode()).hexdigest()[:10]}"
