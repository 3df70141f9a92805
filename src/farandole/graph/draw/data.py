"""A picture as JSON, for drawings of one's own. The shape is told in docs/graph.md and stays the same between versions."""

from __future__ import annotations

from typing import Any

from farandole.graph.draw.picture import Picture

__all__ = ["data"]


def data(picture: Picture) -> dict[str, Any]:
    """What it shows: groups, nodes, arrows, and what was left out."""
    return {
        "name": picture.name,
        "about": picture.subtitle,
        "by": picture.by,
        "groups": [{"id": id, "label": label} for id, label in picture.groups.items()],
        "nodes": [
            {
                "id": node.id,
                "kind": node.kind,
                "label": node.label,
                "group": node.group or None,
                "look": node.look,
                "end": node.end or None,
                "outside": node.outside,
                "notes": list(node.notes),
                "title": node.title,
            }
            for node in picture.nodes
        ],
        "arrows": [
            {"from": arrow.tail, "to": arrow.head, "look": arrow.look, "label": arrow.label or None} for arrow in picture.arrows
        ],
        "left_out": list(picture.left_out),
    }
