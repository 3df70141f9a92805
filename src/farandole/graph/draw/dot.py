"""A graph in the DOT language, for Graphviz and what reads it."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.drawing.ink import broken
from farandole.graph.draw.picture import Arrow, Kind, Look, Node, Picture

__all__ = ["dot"]

_SHAPES: dict[Kind, str] = {
    "event": "box",
    "command": "cds",
    "reaction": "ellipse",
    "all": "hexagon",
    "any": "hexagon",
    "count": "hexagon",
    "deadline": "trapezium",
    "process": "component",
    "service": "box",
    "domain": "box",
}
_COLOURS: dict[Look, str] = {"usual": "#1f5f8b", "fails": "#b3261e", "undoes": "#8b2f6b", "stops": "#5b6b7a"}
_STYLES: dict[Look, str] = {"usual": "solid", "fails": "dashed", "undoes": "dotted", "stops": "solid"}
_FONT = 'fontname="Helvetica,Arial,sans-serif"'


def dot(picture: Picture) -> str:
    """A `digraph`. Services are clusters; a failure is dashed, a compensation dotted; what keeps a deadline back ends in a bar."""
    return "\n".join([*_statements(picture), ""])


def _statements(picture: Picture) -> Iterator[str]:
    ids = {node.id: f"n{number}" for number, node in enumerate(picture.nodes)}
    yield f"digraph {_quoted(picture.name)} {{"
    title = "\n".join(filter(None, (picture.name, picture.subtitle, *picture.left_out)))
    yield f"    graph [label={_quoted(title)}, labelloc=t, rankdir=TB, {_FONT}]"
    yield f"    node [{_FONT}, fontsize=12, height=0.35]"
    yield f"    edge [{_FONT}, fontsize=10]"
    for number, (group, label) in enumerate(picture.groups.items()):
        yield f"    subgraph cluster_{number} {{"
        yield f'        label={_quoted(label)}; style="filled,rounded"; color="#f2f5f8"'
        yield from (f"        {_node(node, ids[node.id])}" for node in picture.nodes if node.group == group)
        yield "    }"
    yield from (f"    {_node(node, ids[node.id])}" for node in picture.nodes if node.group not in picture.groups)
    yield from (f"    {_arrow(arrow, ids)}" for arrow in picture.arrows)
    yield "}"


def _node(node: Node, id: str) -> str:
    sign = {"succeeds": "✓ ", "fails": "✗ ", "": ""}[node.end]
    label = "\n".join([*broken(node.label, 12, 150), *(sign + note for note in node.notes)])
    colour = {"succeeds": "#256b3a", "fails": "#b3261e", "": _COLOURS[node.look]}[node.end]
    fill = {"succeeds": "#e6f4ea", "fails": "#fdecea", "": "#ffffff"}[node.end]
    style = "filled" if node.look == "usual" or node.end else f"filled,{_STYLES[node.look]}"
    wide = ", penwidth=2.5" if node.end else ""
    text = f"label={_quoted(label)}, tooltip={_quoted(node.title or node.label)}"
    return f'{id} [{text}, shape={_SHAPES[node.kind]}, style="{style}", color="{colour}", fillcolor="{fill}"{wide}]'


def _arrow(arrow: Arrow, ids: dict[str, str]) -> str:
    label = f", label={_quoted(arrow.label)}" if arrow.label else ""
    head = ", arrowhead=tee" if arrow.look == "stops" else ""
    look = f'style={_STYLES[arrow.look]}, color="{_COLOURS[arrow.look]}"'
    return f"{ids[arrow.tail]} -> {ids[arrow.head]} [{look}{head}{label}]"


def _quoted(text: str) -> str:
    """A string of DOT; in it a backslash would begin an escape."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
