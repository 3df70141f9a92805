"""A canvas: a line of terminal cells to write on at any place, with colours or without."""

from __future__ import annotations

from farandole.drawing.letters import cells, fit
from farandole.drawing.paint import STYLES

__all__ = ["Line"]


class Line:
    """A line of cells.

    Parameters
    ----------
    width:
        How many columns it has; what is written beyond them is not shown.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._cells = [" "] * width
        self._styles = [""] * width

    def write(self, column: int, text: str, style: str = "") -> None:
        """Write over what stands there; cut to what fits."""
        if column < 0 or column >= self._width:
            return
        for char in fit(text, self._width - column):
            size = cells(char)
            if size == 0:
                self._cells[max(column - 1, 0)] += char
                continue
            self._cells[column : column + size] = [char] + [""] * (size - 1)
            self._styles[column : column + size] = [style] * size
            column += size

    def text(self, *, colour: bool) -> str:
        """What is on it, without the blanks at its end."""
        plain = "".join(self._cells).rstrip()
        if not colour:
            return plain
        parts, style, room = [], "", len(plain)
        for char, wanted in zip(self._cells, self._styles):
            if room <= 0:
                break
            room -= len(char)
            if char and wanted != style:
                parts.append(("\x1b[0m" if style else "") + (f"\x1b[{STYLES[wanted]}m" if wanted else ""))
                style = wanted
            parts.append(char)
        return "".join(parts) + ("\x1b[0m" if style else "")
