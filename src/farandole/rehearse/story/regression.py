"""A regression test to paste: the story as its docstring, the plan as its body."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from farandole.drawing.letters import lines

__all__ = ["regression"]

_LONGEST = 72  # letters of the test's name
_WIDTH = 100


def regression(app: str, plan: str, story: Sequence[str], name: str) -> str:
    """A pytest file that plays this rehearsal again.

    Parameters
    ----------
    app:
        Where the choreography is, "examples.shop:shop".
    plan:
        The plan of the run, kept to the letter.
    story:
        What happened, in sentences.
    name:
        The rule that was violated; the test is named for it.
    """
    test = f"test_{_identifier(name)}"
    told = [part for sentence in story for part in lines(sentence, _WIDTH)] or ["Found by a rehearsal."]
    docstring = "\n    ".join(_inside(line) for line in told)
    closing = "\n    " if len(told) > 1 else ""
    return (
        '"""Found by a rehearsal, and made as small as it could be."""\n\n\n'
        f"def {test}(rehearsal):\n"
        f'    """{docstring}{closing}"""\n'
        f'    rehearsal.repeat({_quoted(app)}, """{_inside(plan)}""")\n'
    )


def _identifier(name: str) -> str:
    """Words of a name in ASCII, joined by underscores."""
    ascii_only = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", ascii_only)
    return re.sub(r"\W+", "_", spaced).strip("_").lower()[:_LONGEST].rstrip("_") or "rehearsal"


def _quoted(text: str) -> str:
    return '"' + _escaped(text).replace('"', '\\"').replace("\n", "\\n") + '"'


def _inside(text: str) -> str:
    """What stands between three quotes for this text; lines stay lines, and what cannot be seen is written out."""
    return re.sub(r'"{3,}|"+\Z', lambda quotes: quotes.group().replace('"', '\\"'), _escaped(text))


def _escaped(text: str) -> str:
    return "".join(map(_letter, text))


def _letter(char: str) -> str:
    if char == "\\":
        return "\\\\"
    return char if char.isprintable() or char == "\n" else char.encode("unicode_escape", "surrogatepass").decode()
