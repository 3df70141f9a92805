"""The story of a rehearsal: what happened, so that a tired person understands it in a minute.

Beats in, text out. `tell` is the whole report for a terminal; the others are its parts, and the same for other places.
"""

from __future__ import annotations

from collections.abc import Sequence

from farandole.drawing.letters import lines
from farandole.drawing.paint import painted
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.history import History
from farandole.rehearse.story.mermaid import mermaid
from farandole.rehearse.story.regression import regression
from farandole.rehearse.story.relevance import Fold, relevant
from farandole.rehearse.story.svg import svg
from farandole.rehearse.story.terminal import NARROWEST, diagram, drawing, listing
from farandole.rehearse.story.words import sentences, violated

__all__ = ["Fold", "diagram", "mermaid", "regression", "relevant", "sentences", "svg", "tell"]


def tell(beats: Sequence[Beat | Fold], *, width: int = 100, colour: bool = False) -> str:
    """The report for a terminal: what was violated, a diagram, and what happened in sentences.

    Parameters
    ----------
    width:
        The columns of the terminal, from 30. Where they are too few for a diagram, the sentences stand alone.
    colour:
        Whether to write a terminal's codes for colours.
    """
    width = max(width, NARROWEST)
    history = History(relevant(beats))
    wrong = [violated(history, beat) for beat in beats if isinstance(beat, Beat) and beat.kind == "violation"]
    headline = [painted(line, "red", colour=colour) for text in wrong for line in lines(text, width)]
    parts = [
        "\n".join(headline) or "Nothing was violated.",
        drawing(beats, width=width, colour=colour),
        listing(beats, width=width),
    ]
    return "\n\n".join(part for part in parts if part)
