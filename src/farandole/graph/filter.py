"""Parts of a graph: what belongs to a workflow, to services, or to the neighbourhood of a message.

A part is a graph again. A reaction is shown with the messages that are in the part; what was cut is not an error of anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from farandole.errors import ConfigurationError
from farandole.graph.graph import Graph
from farandole.graph.nodes import Branch, Reaction, family_of, short

__all__ = ["around", "around_message", "of_services", "of_workflow", "only", "services_named"]


def of_workflow(graph: Graph, name: str) -> Graph:
    """What a workflow may lead to, from the reactions that start it to its outcomes; beyond an outcome only compensations follow.

    Raises
    ------
    ConfigurationError
        There is no such workflow.
    """
    workflow = graph.workflow[_named(name, graph.workflow, "workflow", str)]
    doors = [reaction for tp in workflow.starts for reaction in graph.producers.get(tp, ())]
    types = {tp for door in doors for tp in (*door.trigger.receives, *door.effects_of_all_ways)} | set(workflow.starts)
    reactions = {door.id for door in doors}
    todo, seen = list(workflow.starts), set(workflow.starts)
    while todo:
        tp = todo.pop()
        types.add(tp)
        for reaction in graph.consumers.get(tp, ()):
            if tp in workflow.outcomes and not reaction.compensates:
                continue
            reactions.add(reaction.id)
            types.update(reaction.trigger.receives if reaction.trigger.kind in ("all", "count", "deadline") else ())
            new = [effect for effect in reaction.effects_of_all_ways if effect not in seen and tp in reaction.causes]
            seen.update(new)
            todo += new
    part = only(graph, reactions, types)
    return replace(part, name=f"{graph.name}: {workflow.name}", workflows=(workflow,))


def of_services(graph: Graph, names: Iterable[str]) -> Graph:
    """Some services, whole, with those who send them something or hear from them.

    Parameters
    ----------
    names:
        Ids, or names without their domain, or patterns: `payments`, `shop.payments`, `shop.*`.

    Raises
    ------
    ConfigurationError
        There is no such service.
    """
    chosen = services_named(graph, names)
    inner = [reaction for id in chosen for reaction in graph.of_service.get(id, ())]
    types = {tp for reaction in inner for tp in (*reaction.trigger.receives, *reaction.effects_of_all_ways)}
    types |= {tp for id in chosen for tp in graph.owns.get(id, ())}
    said = {tp for reaction in inner for tp in reaction.effects_of_all_ways}
    heard = {tp for reaction in inner for tp in reaction.trigger.receives}
    reactions = {reaction.id for reaction in inner}
    reactions |= {reaction.id for tp in said for reaction in graph.consumers.get(tp, ())}
    reactions |= {reaction.id for tp in heard for reaction in graph.producers.get(tp, ())}
    shown = " and ".join(sorted(short(id) for id in chosen)) if len(chosen) < 4 else f"{len(chosen)} services"
    return replace(only(graph, reactions, types), name=f"{graph.name}: {shown}", workflows=graph.workflows)


def services_named(graph: Graph, names: Iterable[str]) -> frozenset[str]:
    """The ids of services; the same names as in `of_services`.

    Raises
    ------
    ConfigurationError
        There is no such service.
    """
    return frozenset(id for name in names for id in _services(graph, name))


def around_message(graph: Graph, name: str) -> Graph:
    """One message, with the reactions that say or hear it, what they hear, and what they say.

    Raises
    ------
    ConfigurationError
        There is no such message, or there are several that the name could mean.
    """
    return around(graph, _named(name, graph.types, "message", short, family_of))


def around(graph: Graph, tp: str) -> Graph:
    """The same, of a message type in full."""
    before, after = graph.producers.get(tp, ()), graph.consumers.get(tp, ())
    types = {tp, *(cause for one in before for cause in one.causes), *(e for one in after for e in one.effects_of_all_ways)}
    part = only(graph, {reaction.id for reaction in (*before, *after)}, types)
    return replace(part, name=f"{graph.name}: {short(tp)}", workflows=graph.workflows)


def only(graph: Graph, reactions: Collection[str], types: Collection[str]) -> Graph:
    """The graph of these reactions and message types, and of the services that they belong to."""
    ids = sorted((id for id in reactions if id in graph.place_of), key=graph.place_of.__getitem__)
    kept = tuple(_cut(graph.reaction[id], types) for id in ids)
    messages = tuple(node for tp in sorted(types) for node in graph.declarations.get(tp, ()))
    services = {reaction.service for reaction in kept} | {node.service for node in messages if node.role == "owner"}
    return replace(
        graph,
        services=tuple(node for node in graph.services if node.id in services),
        messages=messages,
        reactions=kept,
        workflows=tuple(node for node in graph.workflows if set(types) & {*node.starts, *node.outcomes}),
        cycles=tuple(cycle for cycle in graph.cycles if set(cycle.types) <= set(types)),
    )


def _cut(reaction: Reaction, types: Collection[str]) -> Reaction:
    def kept(several: Iterable[str]) -> tuple[str, ...]:
        return tuple(tp for tp in several if tp in types)

    def branch(one: Branch | None) -> Branch | None:
        return one and replace(one, emits=kept(one.emits))

    trigger = reaction.trigger
    return replace(
        reaction,
        trigger=replace(
            trigger,
            receives=kept(trigger.receives),
            after=kept(trigger.after),
            unless=kept(trigger.unless),
            failing=kept(trigger.failing),
        ),
        emits=kept(reaction.emits),
        answers=tuple(dict.fromkeys(kept(answer) for answer in reaction.answers)),
        exhausted=branch(reaction.exhausted),
        late=branch(reaction.late),
    )


def _services(graph: Graph, name: str) -> list[str]:
    if "*" in name or "?" in name:
        found = [id for id in graph.service if fnmatchcase(id, name)]
        if found:
            return found
    return [_named(name, graph.service, "service", short)]


def _named(name: str, known: Iterable[str], kind: str, *ways: Callable[[str], str]) -> str:
    """The one that has this name, in full or as people say it."""
    known = list(known)
    if name in known:
        return name
    for way in ways:
        found = [id for id in known if way(id) == name]
        if len(found) == 1:
            return found[0]
        if found:
            raise ConfigurationError(f"{name!r} may be {' or '.join(sorted(found))}: say which {kind} you mean")
    said = sorted({ways[0](id) for id in known})
    near = get_close_matches(name, said, 1, 0.6)
    hint = f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(said[:12])}{', …' if len(said) > 12 else ''}"
    raise ConfigurationError(f"there is no {kind} {name!r}. {hint if said else f'There is no {kind} at all'}")
