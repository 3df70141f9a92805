"""A chain as a sequence diagram in Mermaid's language."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.drawing.letters import balanced
from farandole.drawing.mermaid import escaped
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.scene import Row, scene

__all__ = ["mermaid"]

_NOTE = 44  # letters of a line in a note


def mermaid(chain: Chain, *, whole: bool = False) -> str:
    """A `sequenceDiagram`: solid arrows for events, dashed ones for what undoes, crosses where an event was never taken or given up on."""
    shown = scene(chain, whole=whole)
    ids = {name: f"p{number}" for number, name in enumerate(shown.lifelines)}
    across = ",".join(dict.fromkeys((next(iter(ids.values())), list(ids.values())[-1])))
    written = ["sequenceDiagram"]
    written += [f"    participant {id} as {escaped(name)}" for name, id in ids.items()]
    written += [f"    Note over {across}: {_note(text)}" for text in shown.about]
    written += [f"    {line}" for row in shown.rows for line in _statements(row, ids)]
    written += [f"    Note over {across}: … {escaped(shown.left_out)}"] if shown.left_out else []
    return "\n".join([*written, ""])


def _statements(row: Row, ids: dict[str, str]) -> Iterator[str]:
    for heard in row.heard:
        arrow = "-" + "-" * row.undoes + ("x" if heard.lost else ">>")
        yield f"{ids[row.at]}{arrow}{ids[heard.at]}: {escaped(row.label)}"
    if not row.heard:
        yield f"Note over {ids[row.at]}: {_note(row.label)}"
    for at, text in row.notes:
        yield f"Note over {ids.get(at) or ids[row.at]}: {_note(text)}"


def _note(text: str) -> str:
    return "<br/>".join(map(escaped, balanced(text, _NOTE))) or "-"
