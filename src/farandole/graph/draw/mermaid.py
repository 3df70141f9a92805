"""A graph as a flowchart in Mermaid's language, which GitHub, GitLab and many wikis draw."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from farandole.drawing.ink import broken
from farandole.drawing.mermaid import escaped
from farandole.graph.draw.picture import Arrow, Kind, Look, Node, Picture

__all__ = ["mermaid"]

_SHAPES: dict[Kind, tuple[str, str]] = {
    "event": ('["', '"]'),
    "command": ('>"', '"]'),
    "reaction": ('(["', '"])'),
    "all": ('{{"', '"}}'),
    "any": ('{{"', '"}}'),
    "count": ('{{"', '"}}'),
    "deadline": ('[/"', '"\\]'),
    "process": ('[["', '"]]'),
    "service": ('["', '"]'),
    "domain": ('["', '"]'),
}
_SIGNS: dict[Kind, str] = {"all": "⋈ ", "count": "# "}
_ARROWS: dict[Look, str] = {"usual": "-->", "fails": "-.->", "undoes": "-.->", "stops": "--x"}
# Middle tones, with their own grounds: they can be read on light pages and on dark ones.
_CLASSES = {
    "event": "fill:#e7f1f9,stroke:#1f5f8b,color:#14202b",
    "command": "fill:#ffffff,stroke:#1f5f8b,color:#14202b",
    "reaction": "fill:#ffffff,stroke:#33475b,color:#14202b",
    "fails": "fill:#fdecea,stroke:#b3261e,color:#14202b,stroke-dasharray:7 4",
    "undoes": "fill:#ffffff,stroke:#8b2f6b,color:#14202b,stroke-dasharray:2 4",
    "good": "fill:#e6f4ea,stroke:#256b3a,color:#14202b,stroke-width:3px",
    "bad": "fill:#fdecea,stroke:#b3261e,color:#14202b,stroke-width:3px",
}
_LINKS: dict[Look, str] = {
    "usual": "stroke:#3d84b8,stroke-width:2px",
    "fails": "stroke:#d0453b,stroke-width:2px,stroke-dasharray:7 4",
    "undoes": "stroke:#b4559a,stroke-width:2px,stroke-dasharray:2 4",
    "stops": "stroke:#7b8a99,stroke-width:1px",
}
_MOST_ARROWS = 450  # Mermaid refuses to draw more than 500


def mermaid(picture: Picture) -> str:
    """A `flowchart` in it. Services are frames; a failure is dashed, a compensation dotted; what keeps a deadline back ends in a cross."""
    ids = {node.id: f"n{number}" for number, node in enumerate(picture.nodes)}
    return "\n".join([*_statements(picture, ids), ""])


def _statements(picture: Picture, ids: dict[str, str]) -> Iterator[str]:
    arrows = picture.arrows[:_MOST_ARROWS]
    left_out = list(picture.left_out)
    if len(arrows) < len(picture.arrows):
        left_out.append(f"{len(picture.arrows) - len(arrows)} arrows left out: Mermaid draws {_MOST_ARROWS}.")
    yield "flowchart TB"
    for sentence in (picture.name, picture.subtitle, *left_out):
        if sentence:
            yield f"    %% {sentence.replace('%', ' ').replace('{', '(').replace('}', ')')}"
    for number, (group, label) in enumerate(picture.groups.items()):
        yield f'    subgraph g{number}["{escaped(label)}"]'
        yield from (f"        {_node(node, ids[node.id])}" for node in picture.nodes if node.group == group)
        yield "    end"
    yield from (f"    {_node(node, ids[node.id])}" for node in picture.nodes if node.group not in picture.groups)
    for arrow in arrows:
        yield f"    {ids[arrow.tail]} {_ARROWS[arrow.look]}{_label(arrow)} {ids[arrow.head]}"
    yield from _styles(picture.nodes, arrows, ids, len(picture.groups))


def _node(node: Node, id: str) -> str:
    before, after = _SHAPES[node.kind]
    name = "<br/>".join(escaped(line) for line in broken(_SIGNS.get(node.kind, "") + node.label, 13, 150))
    sign = {"succeeds": "✓ ", "fails": "✗ ", "": ""}[node.end]
    notes = "".join(f"<br/>{sign}{escaped(note)}" for note in node.notes)
    return f"{id}{before}{name}{' ↗' if node.outside else ''}{notes}{after}"


def _label(arrow: Arrow) -> str:
    return f'|"{escaped(arrow.label)}"|' if arrow.label else ""


def _styles(nodes: Sequence[Node], arrows: Sequence[Arrow], ids: dict[str, str], groups: int) -> Iterator[str]:
    members: dict[str, list[str]] = defaultdict(list)
    for node in nodes:
        kind = node.kind if node.kind in ("event", "command") else "event" if node.kind in ("service", "domain") else "reaction"
        ends = {"succeeds": "good", "fails": "bad"}
        members[ends.get(node.end) or (node.look if node.look in _CLASSES else kind)].append(ids[node.id])
    if groups:
        yield "    classDef service fill:#8aa0b51f,stroke:#8aa0b5"  # a veil over whatever page it is
        yield f"    class {','.join(f'g{number}' for number in range(groups))} service"
    for name, style in _CLASSES.items():
        if members[name]:
            yield f"    classDef {name} {style}"
            yield f"    class {','.join(members[name])} {name}"
    links: dict[Look, list[str]] = defaultdict(list)
    for number, arrow in enumerate(arrows):
        links[arrow.look].append(str(number))
    for look, numbers in links.items():
        yield f"    linkStyle {','.join(numbers)} {_LINKS[look]}"
