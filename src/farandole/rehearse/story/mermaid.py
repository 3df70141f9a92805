"""A sequence diagram in Mermaid's language, for pages that draw it themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from farandole.drawing.letters import balanced
from farandole.drawing.mermaid import escaped
from farandole.rehearse.beats import Beat
from farandole.rehearse.story.relevance import Fold
from farandole.rehearse.story.scene import Look, Row, scene

__all__ = ["mermaid"]

_ARROWS: dict[Look, str] = {"arrow": "->>", "again": "-->>", "answer": "-->", "lost": "-x"}
_MARKS: dict[Look, str] = {"crash": "✗ ", "restart": "↻ ", "failed": "! ", "fault": "↯ ", "violation": "✗ "}
_NOTE = 44  # letters of a line in a note


def mermaid(beats: Sequence[Beat | Fold]) -> str:
    """A `sequenceDiagram` of what matters. Faults, crashes and the violation are notes; what was lost ends in a cross."""
    shown = scene(beats)
    ids = {name: f"p{number}" for number, name in enumerate(shown.lifelines or ("nobody",))}
    across = ",".join(dict.fromkeys((next(iter(ids.values())), list(ids.values())[-1])))
    written = ["sequenceDiagram"]
    written += [f"    participant {id} as {escaped(name)}" for name, id in ids.items()]
    written += [f"    {line}" for row in shown.rows for line in _statements(row, ids, across)]
    return "\n".join([*written, ""])


def _statements(row: Row, ids: dict[str, str], across: str) -> Iterator[str]:
    if row.look in _ARROWS:
        yield f"{ids[row.at]}{_ARROWS[row.look]}{ids[row.to]}: {escaped(row.label)}"
    else:
        text = "<br/>".join(map(escaped, balanced(_MARKS.get(row.look, "") + row.label, _NOTE)))
        yield f"Note over {ids[row.at] if row.at else across}: {text or '-'}"
