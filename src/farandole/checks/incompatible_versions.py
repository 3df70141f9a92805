"""Rule: a reader whose declaration does not fit what the owner sends."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.fields import missing, without_required
from farandole.checks.unemitted import emitted
from farandole.checks.words import Names, names_of
from farandole.graph import Graph, family_of, short
from farandole.schema.compatibility import breaks
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Readers whose schema refuses what the owner may send, and consumers of a major version that nobody emits any more."""
    names = names_of(graph)
    for reader in graph.messages:
        owner = graph.owned.get(reader.type)
        if reader.role != "reader" or owner is None or not reader.schema or not owner.schema or reader.schema == owner.schema:
            continue
        # Missing fields have a rule of their own, with a better remedy.
        needed = without_required(reader.schema) if any(missing(reader.schema, owner.schema)) else reader.schema
        if reasons := breaks(owner.schema, needed):
            yield Finding(
                RULE.id,
                reader.place,
                f"{names.service(reader.service)} cannot read every {names.message(reader.type)} that "
                f"{names.service(owner.service)} may send: {'; '.join(reasons)}.",
                f"Let the reader class take what is sent ({owner.place}), or let {names.service(owner.service)} send a new major version.",
                reader.type,
            )
    yield from _bygone(graph, names)


def _bygone(graph: Graph, names: Names) -> Iterator[Finding]:
    """Consumed types of which only other major versions are emitted."""
    there = emitted(graph)
    versions: dict[str, list[str]] = {}
    for tp in sorted(there):
        versions.setdefault(family_of(tp), []).append(tp)
    for tp, consumers in graph.consumers.items():
        if tp in there or family_of(tp) not in versions or consumers[0].trigger.kind == "command":
            continue
        sent = versions[family_of(tp)]
        yield Finding(
            RULE.id,
            consumers[0].place,
            f"{listed(names.reaction(node.id) for node in consumers)} consumes {_numbered(tp)}, but only "
            f"{listed(map(_numbered, sent))} is emitted.",
            f"React to {_numbered(sent[-1])}, or let its owner go on emitting {_numbered(tp)} until nobody needs it.",
            tp,
        )


def _numbered(tp: str) -> str:
    return f"{short(tp)} {tp.rpartition('.')[2]}"


RULE = Rule(
    "incompatible-versions",
    "proof",
    "error",
    "a reader that cannot read what is sent",
    "The events that it cannot read become dead letters, one by one, as soon as they are sent.",
    check,
)
