"""Rule: a service that reads sensitive fields without being cleared for them."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.fields import reads
from farandole.checks.words import Names, names_of
from farandole.graph import Graph, Reaction, Service, family_of, short
from farandole.words import listed

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Services that read a sensitive field, and neither own or emit its message nor are cleared for it."""
    names = names_of(graph)
    sensitive: dict[str, set[str]] = {}
    for message in graph.messages:
        if message.sensitive:
            sensitive.setdefault(message.type, set()).update(message.sensitive)
    for tp, marked in sensitive.items():
        told = _insiders(graph, tp)
        receivers: dict[str, Reaction] = {}
        for reaction in graph.consumers.get(tp, ()):
            receivers.setdefault(reaction.service, reaction)
        for id, reaction in receivers.items():
            service = graph.service.get(id)
            if service is None or id in told:
                continue
            found = [path for path in sorted(marked) if _gets(graph, id, tp, path) and not _is_cleared(service, tp, path)]
            if found:
                yield _finding(graph, names, service, reaction, (tp, found))


def _finding(graph: Graph, names: Names, service: Service, reaction: Reaction, what: tuple[str, list[str]]) -> Finding:
    tp, found = what
    reader = graph.read.get((service.id, tp))
    name = names.message(tp)
    clearance = ", ".join(f'"{short(tp)}.{path}"' for path in found)
    least = (
        f"leave {listed(found)} out of its reader class"
        if reader
        else f"read {name} with a reader class of its own, without {listed(found)}"
    )
    return Finding(
        RULE.id,
        reader.place if reader else reaction.place,
        f"{names.service(service.id)} reads {listed(found)} of {name} ({names.reaction(reaction.id)}) and is not cleared for it.",
        f"{least[0].upper()}{least[1:]}; or, if it needs that, clear it: Service({service.name!r}, cleared=({clearance},)).",
        service.id,
    )


def _insiders(graph: Graph, tp: str) -> set[str]:
    """Who knows the values anyway: the owner, and whoever emits it."""
    owners = {node.service for node in graph.messages if node.type == tp and node.role == "owner"}
    return owners | {reaction.service for reaction in graph.producers.get(tp, ())}


def _gets(graph: Graph, service: str, tp: str, path: str) -> bool:
    """Whether this field reaches the service: what its reader class has, or everything where it uses the owner's."""
    reader = graph.read.get((service, tp))
    if reader is None:
        return True
    # A document that says nothing of the fields proves nothing.
    return reader.schema is not None and reads(reader.schema, path)


def _is_cleared(service: Service, tp: str, path: str) -> bool:
    """Whether `cleared` has this field, a field around it, or everything; with or without the message's name."""
    words = path.replace("[]", "").split(".")
    around = [".".join(words[:count]) for count in range(1, len(words) + 1)]
    fits = {"*", *around}
    for name in (short(tp), family_of(tp), tp):
        fits |= {f"{name}.*", *(f"{name}.{part}" for part in around)}
    return any(said.replace("[]", "") in fits for said in service.cleared)


RULE = Rule(
    "sensitive-flow",
    "proof",
    "error",
    "sensitive fields that a service is not cleared for",
    "Personal data spreads into databases, logs and backups of services that nobody counts when it must be deleted.",
    check,
)
