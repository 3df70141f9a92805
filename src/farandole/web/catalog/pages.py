"""The page of each message and service, and the lists of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from farandole.graph.draw import picture_of
from farandole.graph.filter import around, of_services
from farandole.graph.nodes import Message, Reaction, family_of, short
from farandole.web.catalog.fields import Field, blotted, fields_of, inner_types
from farandole.web.catalog.frame import Catalog, anchor, table
from farandole.web.catalog.html import Child, Html, code, joined, prose, tag
from farandole.words import exactly, listed

__all__ = ["home_page", "list_page", "message_page", "service_page"]

_MOST_DRAWN = 60
"""With so many reactions around it, a message or service is told in tables only."""


def message_page(catalog: Catalog, family: str) -> list[Child]:
    """An event or a command, in all its versions, the newest first."""
    types = sorted(catalog.families[family], key=_version, reverse=True)
    kind = "Command" if types[0] in catalog.commands else "Event"
    parts: list[Child] = [tag("p", kind, class_="kind"), tag("h1", short(family))]
    if len(types) > 1:
        parts.append(tag("p", "Versions: ", joined(tag("a", tp, href=catalog.of_message(tp)) for tp in types)))
    for tp in types:
        inside = list(_message(catalog, tp))
        parts.append(tag("section", tag("h2", code(tp), id=anchor(tp)), *inside) if len(types) > 1 else tag("div", *inside))
    return parts


def _message(catalog: Catalog, tp: str) -> Iterator[Child]:
    graph, owned = catalog.graph, catalog.graph.owned.get(tp)
    said = owned or next(iter(graph.declarations.get(tp, ())), None)
    if said and said.doc:
        yield prose(said.doc)
    if owned is None:
        yield tag("p", "Nobody here owns it: it comes from elsewhere, or was forgotten.", class_="remark")
    yield _facts(_of_message(catalog, tp, owned))
    nearby = around(graph, tp)
    if nearby.reactions and len(nearby.reactions) <= _MOST_DRAWN:
        yield catalog.drawn(picture_of(nearby, "reaction", catalog.fails))
    if said and said.schema is not None:
        yield from _fields(said)
    if said and said.examples:
        yield tag("h3", "Examples")
        for example in said.examples:
            text = json.dumps(blotted(example, said.sensitive), indent=2, ensure_ascii=False, default=str)
            yield tag("pre", code(text), tabindex="0")
    rows: list[list[Child]] = [[catalog.reaction(one.id), _how(one, tp), _first(one.doc)] for one in graph.producers.get(tp, ())]
    if rows:
        yield tag("h3", "Said by")
        yield table(["Reaction", "When", "What it does"], rows)
    yield tag("h3", "Handled by" if tp in catalog.commands else "Heard by")
    rows = [[catalog.reaction(one.id), _reads(catalog, one, tp), _first(one.doc)] for one in graph.consumers.get(tp, ())]
    if rows:
        yield table(["Reaction", "Reads", "What it does"], rows)
    else:
        yield tag(
            "p", "Nobody here. Consumers outside are expected." if said and said.public else "Nobody here.", class_="remark"
        )


def _of_message(catalog: Catalog, tp: str, owned: Message | None) -> Iterator[tuple[str, Child]]:
    graph = catalog.graph
    yield "Type", code(tp)
    owners = list(dict.fromkeys(node.service for node in graph.declarations.get(tp, ()) if node.role == "owner"))
    if owners:
        yield "Owner", joined(catalog.service(id) for id in owners)
        teams = [team for id in owners if id in graph.service and (team := graph.service[id].team)]
        if teams:
            yield "Team", listed(teams)
    if owned:
        yield "Version", ".".join(map(str, owned.version))
        if owned.topic:
            yield "Topic", code(owned.topic)
        if owned.key:
            yield "Key", ["events of one ", code(owned.key), " stay in order"]
        if owned.sensitive:
            yield "Sensitive", joined(code(path) for path in owned.sensitive)
        if owned.former:
            yield "Also read as", joined(catalog.message(former, former) for former in owned.former)
        if owned.public:
            yield "Public", "consumers outside are expected"
        yield "Declared in", code(str(owned.place))
    for flow in graph.workflows:
        for words, types in (("starts", flow.starts), ("succeeds with it", flow.succeeds), ("fails with it", flow.fails)):
            if tp in types:
                yield "Workflow", [catalog.workflow(flow.name), f" {words}" if words != "starts" else " starts with it"]


def _fields(message: Message) -> Iterator[Child]:
    yield tag("h3", "Fields")
    found = fields_of(message.schema)
    yield _table_of(found, message.key) if found else tag("p", "It has no fields.", class_="remark")
    for name, schema in inner_types(message.schema):
        inner = fields_of(schema)
        if inner:
            yield tag("h4", name)
            yield prose(str(schema.get("description") or ""))
            yield _table_of(inner, None)


def _table_of(fields: Sequence[Field], key: str | None) -> Html:
    rows: list[list[Child]] = [[_name_of(field, key), code(field.type), _meaning(field)] for field in fields]
    return table(["Field", "Type", "Meaning"], rows)


def _name_of(field: Field, key: str | None) -> list[Child]:
    marks: list[Child] = [code(field.name)]
    marks += [" ", tag("span", "key", class_="mark")] if field.name == key else []
    marks += [" ", tag("span", "sensitive", class_="mark sensitive")] if field.sensitive else []
    marks += [" ", tag("span", "optional", class_="mark")] if not field.must else []
    return marks


def _meaning(field: Field) -> list[Child]:
    parts: list[Child] = [prose(field.doc)] if field.doc else []
    parts += [tag("p", field.limits)] if field.limits else []
    parts += [tag("p", "unless given: ", code(field.default))] if field.default else []
    return parts


def _how(reaction: Reaction, tp: str) -> str:
    ways = []
    if tp in reaction.emits:
        ways.append("it ran well")
    if reaction.exhausted and tp in reaction.exhausted.emits:
        ways.append("its retries are used up")
    if reaction.late and tp in reaction.late.emits:
        ways.append("something came too late")
    return ", or ".join(ways)


def _reads(catalog: Catalog, reaction: Reaction, tp: str) -> Child:
    """The fields that a consumer's own class has; all, where it takes the owner's."""
    reader = catalog.graph.read.get((reaction.service, tp))
    if reader is None or reader.schema is None:
        return "all of it"
    names = [field.name for field in fields_of(reader.schema)]
    return joined(code(name) for name in names) if names else "that it happened"


# ---- services ------------------------------------------------------------------------------------------------------------


def service_page(catalog: Catalog, id: str) -> list[Child]:
    """A service: what it is for, what it takes and says, reaction by reaction."""
    graph, service = catalog.graph, catalog.graph.service.get(id)
    reactions = graph.of_service.get(id, ())
    parts: list[Child] = [tag("p", "Service", class_="kind"), tag("h1", short(id))]
    parts += [prose(service.doc)] if service and service.doc else []
    facts: list[tuple[str, Child]] = [("Id", code(id))]
    if service:
        facts += [("Team", service.team)] if service.team else []
        facts += [("Version", service.version)] if service.version != "0.0.0" else []
        facts += [("May read", joined(code(path) for path in service.cleared))] if service.cleared else []
        facts += [("Remembers", f"what it handled, for {exactly(service.window)}"), ("Declared in", code(str(service.place)))]
    parts.append(_facts(facts))
    if service and not service.complete:
        parts.append(tag("p", "It declares what it sends and receives, not what causes what.", class_="remark"))
    nearby = of_services(graph, [id]) if id in graph.service else None
    if nearby and nearby.reactions:
        drawing = picture_of(nearby, None if len(nearby.reactions) > _MOST_DRAWN else "reaction", catalog.fails, frozenset([id]))
        parts.append(catalog.drawn(drawing))
    parts.append(tag("h2", "Reactions") if reactions else tag("p", "It reacts to nothing.", class_="remark"))
    parts += [_reaction(catalog, reaction) for reaction in reactions]
    owned = sorted(set(graph.owns.get(id, ())))
    if owned:
        parts.append(tag("h2", "Its messages"))
        parts.append(table(["Name", "What it says"], [[catalog.message(tp), _first(graph.owned[tp].doc)] for tp in owned]))
    return parts


def _reaction(catalog: Catalog, reaction: Reaction) -> Html:
    place = anchor(reaction.name)
    heading = tag("h3", tag("a", reaction.name, href=catalog.of_reaction(reaction.id)), id=place)
    return tag("section", heading, prose(reaction.doc), _facts(_of_reaction(catalog, reaction)), class_="step")


def _of_reaction(catalog: Catalog, reaction: Reaction) -> Iterator[tuple[str, Child]]:
    trigger = reaction.trigger
    if trigger.kind == "deadline":
        wait = exactly(trigger.within) if trigger.within is not None else "some time"
        yield (
            "Runs",
            [
                f"{wait} after ",
                *catalog.messages(trigger.after),
                " unless " if trigger.unless else "",
                *catalog.messages(trigger.unless),
            ],
        )
    else:
        heads = {
            "all": "When all have come",
            "any": "On the first of",
            "count": "When as many have come as it says",
            "command": "Carries out",
        }
        yield heads.get(trigger.kind, "On"), catalog.messages(trigger.receives)
        if trigger.within is not None:
            yield "Waits at most", exactly(trigger.within)
    if trigger.expected:
        yield "How many", code(trigger.expected)
    yield "Says", catalog.messages(reaction.emits) or "nothing"
    if reaction.exhausted:
        yield "When retries are used up", catalog.messages(reaction.exhausted.emits) or "says nothing"
    elif trigger.kind != "command":
        yield (
            "When retries are used up",
            f"a dead letter, after {exactly(reaction.horizon)} of retries" if reaction.horizon else "a dead letter",
        )
    if reaction.late:
        yield "When something comes too late", catalog.messages(reaction.late.emits) or "says nothing"
    if reaction.compensates:
        yield (
            "Undoes",
            [catalog.reaction(reaction.compensates), *([" and ", catalog.message(reaction.undoes)] if reaction.undoes else [])],
        )
    if reaction.undoes_step:
        yield "Undoes", ["what ", *catalog.messages(trigger.after), " completed, when its process fails"]
    if reaction.process:
        yield "Process", code(reaction.process)
    if reaction.delayed:
        yield "Only after some time", catalog.messages(reaction.delayed)
    if undone := catalog.graph.compensations.get(reaction.id):
        yield "Undone by", joined(catalog.reaction(one.id) for one in undone)
    if reaction.outside:
        yield "Outside", "it calls something outside of its database, which may be slow, fail or happen twice"
    if reaction.moves:
        yield (
            "States",
            joined(f"{m.entity}: {' or '.join(m.valid) or 'new'}" + (f" → {m.to}" if m.to else "") for m in reaction.moves),
        )
    if reaction.relies_on:
        yield "Relies on", ["what came before: ", *catalog.messages(reaction.relies_on)]
    if reaction.formerly:
        yield "Formerly", code(reaction.formerly)
    yield "Declared in", code(str(reaction.place))


# ---- lists ---------------------------------------------------------------------------------------------------------------


def list_page(catalog: Catalog, kind: str) -> list[Child]:
    """All workflows, services, events or commands."""
    rows = list(
        _workflows(catalog) if kind == "workflows" else _services(catalog) if kind == "services" else _messages(catalog, kind)
    )
    heads = {
        "workflows": ("Name", "Starts with", "Ends with", "What it is"),
        "services": ("Name", "Team", "Reactions", "What it is for"),
        "events": ("Name", "Owner", "Heard by", "What it says"),
        "commands": ("Name", "Handled by", "", "What it asks for"),
    }[kind]
    empty = tag("p", f"There are no {kind}.", class_="remark")
    return [
        tag("h1", kind.capitalize()),
        tag("p", f"{len(rows):,} in all.", class_="remark") if rows else empty,
        table(heads, rows),
    ]


def _workflows(catalog: Catalog) -> Iterator[list[Child]]:
    for flow in sorted(catalog.graph.workflows, key=lambda flow: flow.name):
        yield [catalog.workflow(flow.name), catalog.messages(flow.starts), catalog.messages(flow.outcomes), _first(flow.doc)]


def _services(catalog: Catalog) -> Iterator[list[Child]]:
    for id in sorted(catalog.services):
        service = catalog.graph.service.get(id)
        many = str(len(catalog.graph.of_service.get(id, ())))
        yield [catalog.service(id), (service and service.team) or "", many, _first(service.doc if service else "")]


def _messages(catalog: Catalog, kind: str) -> Iterator[list[Child]]:
    graph = catalog.graph
    for tp in sorted(graph.types, key=lambda tp: (short(tp).lower(), tp)):
        if (tp in catalog.commands) != (kind == "commands"):
            continue
        owned = graph.owned.get(tp)
        heard = dict.fromkeys(one.service for one in graph.consumers.get(tp, ()))
        by = str(len(heard)) if kind == "events" and heard else "nobody" if kind == "events" else ""
        yield [catalog.message(tp), catalog.service(owned.service) if owned else "", by, _first(owned.doc if owned else "")]


def home_page(catalog: Catalog) -> list[Child]:
    """The first page: how much there is, the workflows, and the whole picture."""
    graph = catalog.graph
    events = sum(tp not in catalog.commands for tp in graph.types)
    counts = (
        ("services", len(catalog.services)),
        ("events", events),
        ("commands", len(catalog.commands)),
        ("workflows", len(graph.workflows)),
    )
    tiles = [tag("a", tag("strong", f"{many:,}"), f" {kind}", href=f"{kind}.html", class_="tile") for kind, many in counts]
    flows = [
        [catalog.workflow(f.name), catalog.messages(f.starts), catalog.messages(f.outcomes), _first(f.doc)]
        for f in graph.workflows
    ]
    drawn = (
        [tag("h2", "Who says what, and who reacts"), catalog.drawn(picture_of(graph, None, catalog.fails))]
        if graph.reactions
        else []
    )
    return [
        tag("h1", graph.name),
        tag("p", *tiles, class_="tiles"),
        *([tag("h2", "Workflows"), table(["Name", "Starts with", "Ends with", "What it is"], flows)] if flows else []),
        *drawn,
    ]


def _facts(pairs: Iterator[tuple[str, Child]] | Sequence[tuple[str, Child]]) -> Html:
    return tag("dl", *(part for name, value in pairs for part in (tag("dt", name), tag("dd", value))))


def _first(doc: str) -> Html:
    """The first paragraph of a docstring, in a cell."""
    whole = prose(doc.strip().partition("\n\n")[0])
    return Html(whole.removeprefix("<p>").removesuffix("</p>"))


def _version(tp: str) -> tuple[int, str]:
    last = tp.rpartition(".")[2]
    return (int(last[1:]) if tp != family_of(tp) else 0, tp)
