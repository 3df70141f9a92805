"""Ink: colours, texts and shapes of an SVG picture, for light and for dark pages."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from xml.sax.saxutils import escape

__all__ = ["arrow_head", "box", "broken", "cross", "line", "page", "shortened", "text", "wide"]

_LIGHT = {
    "paper": "#ffffff",
    "ink": "#14202b",
    "faint": "#5b6b7a",
    "rule": "#d5d9de",
    "frame": "#33475b",
    "head": "#f2f5f8",
    "blue": "#1f5f8b",
    "red": "#b3261e",
    "amber": "#8a5a00",
    "green": "#256b3a",
    "plum": "#8b2f6b",
    "redtint": "#fdecea",
    "ambertint": "#fdf3dc",
    "greentint": "#e6f4ea",
    "bluetint": "#e7f1f9",
    "greytint": "#f2f5f8",
    "alarm": "#b3261e",
    "onalarm": "#ffffff",
}
_DARK = {
    "paper": "#10171e",
    "ink": "#e6edf3",
    "faint": "#9aa9b8",
    "rule": "#34414e",
    "frame": "#8aa0b5",
    "head": "#1b2530",
    "blue": "#7dbdec",
    "red": "#ff8a80",
    "amber": "#e8b84a",
    "green": "#7fd99a",
    "plum": "#f0a3d1",
    "redtint": "#3a1a1b",
    "ambertint": "#352a10",
    "greentint": "#14301e",
    "bluetint": "#152c40",
    "greytint": "#1b2530",
    "alarm": "#8f2018",
    "onalarm": "#ffffff",
}

_NARROW, _BROAD = frozenset("iljtfrI.,:;|!'()[]/ -"), frozenset("mwMW@%—…")


def page(width: float, height: float, title: str, description: str, parts: Sequence[str]) -> str:
    """The document."""
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="farandole-picture" viewBox="0 0 {width:.0f} {height:.0f}" role="img" '
        f'font-family="Helvetica, Arial, sans-serif"><title>{escape(title)}</title><desc>{escape(description)}</desc>'
    )
    style = f"<style>{_css(_LIGHT)}@media (prefers-color-scheme: dark) {{{_css(_DARK)}}}</style>"
    return "\n".join([opening, style, box(0, 0, width, height, "paper", round=0), *parts, "</svg>", ""])


def _css(colours: dict[str, str]) -> str:
    rules = [
        f".farandole-picture .f-{name}{{fill:{colour}}}.farandole-picture .s-{name}{{stroke:{colour}}}"
        for name, colour in colours.items()
    ]
    return "".join(rules)


def wide(words: str, size: float) -> float:
    """About how wide a text is, rather too wide than too narrow."""
    return _letters(words) * size


@lru_cache(maxsize=4096)
def _letters(words: str) -> float:
    return sum(map(_wide, words))


def _wide(char: str) -> float:
    if char in _NARROW:
        return 0.36
    if char in _BROAD or ord(char) > 0x2FFF:
        return 1.0
    return 0.72 if char.isupper() else 0.61


def shortened(words: str, size: float, room: float) -> str:
    """A text that is about as wide as there is room, at most; `…` stands where something is missing."""
    if wide(words, size) <= room:
        return words
    while words and wide(f"{words}…", size) > room:
        words = words[:-1]
    return f"{words}…"


_PIECES = re.compile(r"(?:[A-Z]+(?![a-z])[0-9]*|[A-Z]?[^A-Z\s_.:/-]+|[A-Z])[\s_.:/-]*|[\s_.:/-]+")
"""A word with what parts it from the next one."""


def broken(words: str, size: float, room: float, most: int = 3) -> list[str]:
    """A name in lines that are about as wide as there is room, at most: it breaks where a new word begins, `Order|Placed`.

    Parameters
    ----------
    most:
        How many lines there may be; what is more is cut, and `…` stands for it.
    """
    found = [""]
    for piece in _PIECES.findall(words):
        if found[-1] and wide(found[-1] + piece.rstrip(), size) > room:
            found.append("")
        found[-1] += piece.lstrip() if not found[-1] else piece
    if len(found) > most:
        found[most - 1 :] = ["".join(found[most - 1 :])]
    return [shortened(line.rstrip(), size, room) for line in found]


def text(
    x: float, y: float, words: str, colour: str, *, size: float = 13, anchor: str = "start", look: str = "", halo: bool = False
) -> str:
    """Text; with a halo, lines behind it do not strike it through."""
    attributes = f'x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}"{f" {look}" if look else ""}'
    behind = f'<text {attributes} class="s-paper" fill="none" stroke-width="5" stroke-linejoin="round" aria-hidden="true">{escape(words)}</text>'
    return (behind if halo else "") + f'<text {attributes} class="f-{colour}">{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, fill: str, *, edge: str = "", round: float = 6) -> str:
    """A rectangle with round corners."""
    stroke = f' s-{edge}" stroke-width="1.5' if edge else ""
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{round}" class="f-{fill}{stroke}"/>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str, *, width: float = 2, dash: str = "", look: str = "") -> str:
    """A straight line."""
    more = (f' stroke-dasharray="{dash}"' if dash else "") + (f" {look}" if look else "")
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" class="s-{colour}" stroke-width="{width}"{more}/>'


def arrow_head(x: float, y: float, side: int, colour: str) -> str:
    """The head of an arrow that ends here; it points right with side 1, left with -1."""
    return (
        f'<polygon points="{x:.1f},{y:.1f} {x - 11 * side:.1f},{y - 5:.1f} {x - 11 * side:.1f},{y + 5:.1f}" class="f-{colour}"/>'
    )


def cross(x: float, y: float, size: float, colour: str = "red") -> str:
    """A cross, on a patch of paper."""
    patch = f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size + 3:.1f}" class="f-paper"/>'
    strokes = (
        line(x - size, y - size * side, x + size, y + size * side, colour, width=3.5, look='stroke-linecap="round"')
        for side in (1, -1)
    )
    return patch + "".join(strokes)
