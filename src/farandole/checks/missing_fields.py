"""Rule: a reader class that needs a field which the owner does not send."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.fields import missing
from farandole.checks.words import names_of
from farandole.graph import Graph
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Reader classes with required fields that the owner's message lacks, or has only sometimes."""
    names = names_of(graph)
    for reader in graph.messages:
        owner = graph.owned.get(reader.type)
        if reader.role != "reader" or owner is None or not reader.schema or not owner.schema:
            continue
        found = list(missing(reader.schema, owner.schema))
        never = [path for path, sometimes in found if not sometimes]
        rarely = [path for path, sometimes in found if sometimes]
        reads = f"{names.service(reader.service)} needs {{}} of {names.message(reader.type)}, "
        sender = names.service(owner.service)
        for fields, what, fix in (
            (never, f"which {sender} does not send.", f"Let {sender} send it, or remove it from the reader class."),
            (
                rarely,
                f"which {sender} sends only sometimes.",
                "Give it a default in the reader class, or make it required where it is sent.",
            ),
        ):
            if fields:
                yield Finding(RULE.id, reader.place, reads.format(listed(fields)) + what, fix, reader.type)


RULE = Rule(
    "missing-fields",
    "proof",
    "error",
    "a field that a reader needs and does not get",
    "Every such event is a dead letter of the reader: it cannot be read at all.",
    check,
)
