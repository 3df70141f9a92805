"""Graphs made at random, and edits of them, for tests of what reads graphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from hypothesis import strategies as st

from farandole.graph import AllowedCycle, Branch, Effects, Graph, Message, Move, Place, Reaction, Service, Trigger, Workflow

AT = Place("shop.py", 1)

Draw = Callable[[st.SearchStrategy[Any]], Any]


def of(*names: str) -> dict[str, Any]:
    """A schema of text fields; a name with ? is optional."""
    return {
        "type": "object",
        "properties": {name.rstrip("?"): {"type": "string"} for name in names},
        "required": [name for name in names if not name.endswith("?")],
    }


def event(name: str, service: str, *names: str, **more: Any) -> Message:
    """An event that a service owns."""
    said = {"topic": f"shop.{service}", "key": "order_id", "schema": of("order_id", *names)}
    return Message(f"shop.{name}.v1", f"shop.{service}", AT, **(said | more))


def reader(name: str, service: str, *names: str, **more: Any) -> Message:
    """What a service reads of an event of another."""
    return event(name, service, *names, role="reader", topic="shop.orders", **more)


def service(name: str, **more: Any) -> Service:
    return Service(f"shop.{name}", AT, **more)


def reaction(name: str, on: str, *emits: str, **more: Any) -> Reaction:
    """`payments.charge` on `OrderPlaced` (or `A|B`), emitting these."""
    owner = name.partition(".")[0]
    said = {
        "trigger": Trigger("event", types(*on.split("|"))),
        "emits": types(*emits),
        "group": f"shop.{owner}",
        "name": name.partition(".")[2],
    }
    return Reaction(id=f"shop.{name}", service=f"shop.{owner}", place=AT, **(said | more))


def types(*names: str) -> tuple[str, ...]:
    return tuple(f"shop.{name}.v1" for name in names)


def changed(graph: Graph, kind: str, index: int, **values: Any) -> Graph:
    """The graph with other values in one node: `changed(g, "reactions", 0, outside=True)`."""
    nodes = list(getattr(graph, kind))
    nodes[index] = replace(nodes[index], **values)
    return replace(graph, **{kind: tuple(nodes)})


def without(graph: Graph, kind: str, index: int) -> Graph:
    """The graph without one node."""
    nodes = getattr(graph, kind)
    return replace(graph, **{kind: nodes[:index] + nodes[index + 1 :]})


# --- at random

_types = st.sampled_from(["string", "integer", "number", "boolean"])
_texts = st.sampled_from(["", "Says what it is.", "Another text."])
_some_text = st.sampled_from([None, "a", "b"])


@st.composite
def schemas(draw: Draw) -> dict[str, Any]:
    """The schema of an event with a key, and a field inside another."""
    names = draw(st.lists(st.sampled_from(["email", "total", "country", "lines"]), unique=True))
    found: dict[str, Any] = {name: {"type": draw(_types)} for name in names}
    if draw(st.booleans()):
        found["address"] = {"$ref": "#/$defs/Address"}
    defs = {"Address": {"type": "object", "properties": {"street": {"type": draw(_types)}}, "required": ["street"]}}
    required = ["order_id", *(name for name in found if draw(st.booleans()))]
    return {"type": "object", "properties": {"order_id": {"type": "string"}} | found, "required": required, "$defs": defs}


@st.composite
def graphs(draw: Draw) -> Graph:
    """A choreography of a few services whose declarations fit each other in form, if not in sense."""
    services = [f"s{number}" for number in range(draw(st.integers(1, 4)))]
    messages = [
        event(
            f"Event{number}",
            draw(st.sampled_from(services)),
            schema=draw(schemas()),
            public=draw(st.booleans()),
            doc=draw(_texts),
            version=(1, draw(st.integers(0, 2))),
        )
        for number in range(draw(st.integers(1, 6)))
    ]
    known = [message.type for message in messages]
    some = st.lists(st.sampled_from(known), unique=True, max_size=3).map(tuple)
    any_of = st.lists(st.sampled_from(known), unique=True, min_size=1, max_size=3).map(tuple)
    reactions: list[Reaction] = []
    for number in range(draw(st.integers(1, 8))):
        owner = draw(st.sampled_from(services))
        received = draw(any_of)
        deadline = draw(st.booleans())
        trigger = (
            Trigger("deadline", received, after=received[:1], unless=received[1:], within=draw(st.sampled_from([60.0, 90.0])))
            if deadline
            else Trigger(draw(st.sampled_from(["event", "all", "any"])), received, by=draw(_some_text))
        )
        emits = draw(some)
        outside = draw(st.booleans())
        reactions.append(
            reaction(
                f"{owner}.r{number}",
                "",
                trigger=trigger,
                emits=emits,
                answers=(*((tp,) for tp in emits), ()) if draw(st.booleans()) else (),
                many=emits[: draw(st.integers(0, 1))],
                exhausted=Branch(draw(some), AT) if draw(st.booleans()) else None,
                late=Branch(draw(some), AT) if draw(st.booleans()) else None,
                outside=outside,
                group=f"shop.{owner}" + f".r{number}" * outside,
                horizon=draw(st.sampled_from([0.0, 60.0])),
                parks=draw(st.booleans()),
                doc=draw(_texts),
                relies_on=draw(some),
                effects=draw(st.sampled_from([None, Effects("once", writes=("credit",))])),
                moves=draw(st.sampled_from([(), (Move("order", ("placed",), "paid"),)])),
            )
        )
    for index, one in enumerate(reactions):
        earlier = [other for other in reactions[:index] if other.service == one.service and other.emits]
        if earlier and draw(st.booleans()):
            reactions[index] = replace(one, compensates=earlier[0].id, undoes=earlier[0].emits[0])
    read = {(one.service, tp) for one in reactions for tp in one.trigger.receives}
    messages += [
        Message(tp, who, AT, "reader", topic="shop.orders", schema=draw(schemas()))
        for who, tp in sorted(read)
        if not any((m.service, m.type) == (who, tp) for m in messages) and draw(st.booleans())
    ]
    return Graph(
        "shop",
        tuple(service(name, team=draw(_some_text), window=draw(st.sampled_from([3600.0, 7200.0]))) for name in services),
        tuple(messages),
        tuple(reactions),
        tuple(Workflow(f"flow{n}", AT, known[:1], draw(some), draw(some), 60.0) for n in range(draw(st.integers(0, 2)))),
        tuple(AllowedCycle(draw(any_of), 3, AT) for _ in range(draw(st.integers(0, 1)))),
    )


UNCOMPARED = {"place", "id", "service", "role", "type"}
"""Where something is, which is no change, and what it is known by: with another one it is another thing."""


def editable(node: Any) -> list[str]:
    """The fields of a node that can be edited, each on its own."""
    identity = {Workflow: {"name"}, AllowedCycle: {"types"}}.get(node if isinstance(node, type) else type(node), set())
    return [field.name for field in fields(node) if field.name not in UNCOMPARED | identity]
