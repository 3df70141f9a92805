"""Changes as text for terminals, as Markdown for pull requests, and as JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from farandole.manifest.diff.change import WEIGHTS, Change, Weight

__all__ = ["as_json", "as_markdown", "counted", "lines"]

Style = Literal["", "bold", "dim", "red", "yellow", "green"]
COLOURS: dict[Weight, Style] = {"breaking": "red", "risky": "yellow", "fine": "green"}

_MARKDOWN = re.compile(r"([\\*_\[\]<>|#])")


def counted(changes: Sequence[Change]) -> str:
    """How many of each weight: `1 breaking, 2 risky, 3 fine`."""
    counts = [(sum(change.weight == weight for change in changes), weight) for weight in WEIGHTS]
    return ", ".join(f"{count} {weight}" for count, weight in counts if count) or "nothing changed"


def lines(changes: Sequence[Change]) -> Iterator[list[tuple[str, Style]]]:
    """The lines of a text, each as pieces with their style; the summary comes last, where the eye is when a command ends."""
    for weight in WEIGHTS:
        some = [change for change in changes if change.weight == weight]
        if not some:
            continue
        yield [(weight, COLOURS[weight])]
        for change in some:
            place = "" if change.place is None or weight == "fine" else f"  {change.place}"
            yield [("  ", ""), (change.what, "bold" if weight != "fine" else ""), (place, "dim")]
            if change.why:
                yield [("    why  ", "dim"), (change.why, "")]
            if change.fix:
                yield [("    do   ", "dim"), (change.fix, "")]
        yield []
    yield [(counted(changes), "bold")]


def as_markdown(changes: Sequence[Change], title: str) -> str:
    """For a comment on a pull request: what counts in full, what is fine folded away."""
    out = [f"### {_escaped(title)}", "", counted(changes)]
    for weight in WEIGHTS:
        some = [change for change in changes if change.weight == weight]
        if not some:
            continue
        if weight == "fine":
            out += ["", "<details>", f"<summary>{len(some)} fine</summary>", ""]
        else:
            out += ["", f"#### {weight.capitalize()}", ""]
        for change in some:
            out.append(f"- **{_escaped(change.what)}**" if weight != "fine" else f"- {_escaped(change.what)}")
            out += [f"  <br>Why: {_escaped(change.why)}"] if change.why else []
            out += [f"  <br>Do: {_escaped(change.fix)}"] if change.fix else []
        if weight == "fine":
            out += ["", "</details>"]
    return "\n".join(out) + "\n"


def as_json(changes: Sequence[Change]) -> dict[str, Any]:
    """For programs: a summary, and each change with all that is known of it."""
    return {
        "summary": {weight: sum(change.weight == weight for change in changes) for weight in WEIGHTS},
        "changes": [
            {
                "weight": change.weight,
                "kind": change.kind,
                "subject": change.subject,
                "what": change.what,
                "why": change.why,
                "fix": change.fix,
                "affected": list(change.affected),
                "place": None if change.place is None else str(change.place),
            }
            for change in changes
        ],
    }


def _escaped(text: str) -> str:
    """Without what Markdown would take for marks; text in backticks stays code. Names may come from strangers' manifests."""
    parts = " ".join(text.split()).split("`")
    if len(parts) % 2 == 0 or "" in parts[1:-1] or any("<" in code for code in parts[1::2]):  # these backticks are not ours
        return _MARKDOWN.sub(r"\\\1", "'".join(parts))
    return "`".join(part if index % 2 else _MARKDOWN.sub(r"\\\1", part) for index, part in enumerate(parts))
