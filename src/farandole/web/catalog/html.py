"""HTML from plain functions: whatever is not made here is text, and is escaped.

Functions, and no template language: a page is data turned into tags, which types check and tests call, and nobody can forget to escape.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from farandole.drawing.letters import plain

__all__ = ["Html", "code", "joined", "prose", "tag"]

_VOID = frozenset({"base", "br", "input", "link", "meta", "hr"})
_CODE = re.compile(r"``?([^`]+)``?")


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


Child = str | Html | None | Iterable["Child"]


def tag(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """An element. Attributes: `class_` is `class`, `aria_label` is `aria-label`; True stands for itself, None and False for nothing."""
    said = "".join(_attribute(key, value) for key, value in attributes.items() if value is not None and value is not False)
    return Html(f"<{name}{said}>" if name in _VOID else f"<{name}{said}>{_inside(children)}</{name}>")


def joined(parts: Iterable[Child], between: str = ", ") -> Html:
    """Parts with something between them."""
    return Html(html.escape(between).join(_inside(part) for part in parts))


def code(text: str) -> Html:
    """A name, as it is written."""
    return tag("code", text)


def prose(text: str) -> Html:
    """A docstring: paragraphs, and what stands between backticks as code."""
    paragraphs = re.split(r"\n\s*\n", "\n".join(line.strip() for line in text.strip().splitlines()))
    return Html("".join(tag("p", _marked(" ".join(part.split()))) for part in paragraphs if part.strip()))


def _marked(text: str) -> Html:
    parts = _CODE.split(text)
    return Html("".join(code(part) if place % 2 else _inside(part) for place, part in enumerate(parts)))


def _inside(child: Child) -> str:
    if child is None:
        return ""
    if isinstance(child, Html):
        return child
    if isinstance(child, str):
        return html.escape(
            "\n".join(plain(line) if line.strip() else "" for line in child.split("\n")) if not child.isprintable() else child,
            quote=False,
        )
    return "".join(_inside(one) for one in child)


def _attribute(key: str, value: str | bool) -> str:
    name = key.rstrip("_").replace("_", "-")
    return f" {name}" if value is True else f' {name}="{html.escape(plain(str(value)), quote=True)}"'
