"""Graphs of all kinds, for property tests; and graphs put in one order, so that two can be compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st
from tests.schema.schemas import schemas

from farandole.graph import (
    AllowedCycle,
    Branch,
    Effects,
    Expectation,
    Graph,
    Message,
    Move,
    Place,
    Reaction,
    Service,
    Trigger,
    Workflow,
)
from farandole.schema import sensitive_paths

TYPES = ["shop.A.v1", "shop.B.v1", "shop.B.v2", "other.C.v1", "Odd/type~1 #", "no: 1"]
TEXT = st.one_of(
    st.sampled_from(
        ["", "a", "yes", "no", "1", "1e3", "0o17", "2024-01-01", "~", "null", "a: b", "- x", "# c", "'", '"', "{", "*a", "<<"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=12),
)
SECONDS = st.one_of(st.none(), st.sampled_from([1.0, 0.1, 0.15000000000000002, 86400.0]))
PLACES = st.builds(
    Place,
    st.sampled_from(["a.py", "src/b c.py", "odd:12", "x#y"]),
    st.one_of(st.none(), st.integers(1, 99)),
    st.sampled_from(["", "/operations/a~1b"]),
)
NAMES = st.sampled_from(["charge", "refund", "on", "send.shop.orders", "naïve name"])


def several(values: st.SearchStrategy[Any], most: int = 3) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(values, max_size=most, unique_by=repr).map(tuple)


TYPE = st.sampled_from(TYPES)
BRANCHES = st.builds(Branch, several(TYPE), PLACES)
EFFECTS = st.builds(
    Effects,
    outside=st.sampled_from([None, "none", "idempotent", "once"]),
    reads=several(st.sampled_from(["credit", "stock"])),
    locks=several(st.sampled_from(["credit", "stock"])),
    step=st.sampled_from([None, "compensatable", "pivot", "retriable"]),
)
MOVES = st.builds(
    Move, st.just("order"), several(st.sampled_from(["new", "paid"])), st.sampled_from([None, "paid"]), st.just(None)
)
TRIGGERS = st.builds(
    Trigger,
    st.sampled_from(["event", "command", "all", "any", "count", "deadline", "process"]),
    several(TYPE),
    by=st.sampled_from([None, "order_id"]),
    within=SECONDS,
    after=several(TYPE),
    unless=several(TYPE),
    expected=st.sampled_from([None, "n"]),
    failing=several(TYPE),
)


@st.composite
def reactions(draw: st.DrawFn, service: str, index: int) -> Reaction:
    name = draw(NAMES)
    return Reaction(
        id=draw(st.sampled_from([f"{service}.{name}", f"{service}.r{index}"])),
        service=service,
        name=name,
        place=draw(PLACES),
        trigger=draw(TRIGGERS),
        emits=draw(several(TYPE)),
        answers=draw(several(several(TYPE, 2))),
        many=draw(several(TYPE)),
        delayed=draw(several(TYPE)),
        exhausted=draw(st.none() | BRANCHES),
        late=draw(st.none() | BRANCHES),
        compensates=draw(st.sampled_from([None, "shop.x.y"])),
        undoes=draw(st.none() | TYPE),
        outside=draw(st.booleans()),
        effects=draw(st.none() | EFFECTS),
        moves=draw(several(MOVES, 2)),
        relies_on=draw(several(TYPE)),
        formerly=draw(st.sampled_from([None, "old"])),
        horizon=draw(st.sampled_from([0.0, 93.462890625])),
        process=draw(st.sampled_from([None, "shop.x.parcel"])),
        parks=draw(st.booleans()),
        group=draw(st.sampled_from([None, "shop.group"])),
        doc=draw(TEXT),
    )


@st.composite
def messages(draw: st.DrawFn, service: str) -> Message:
    schema = draw(st.none() | schemas())
    if schema is not None and draw(st.booleans()):
        schema = {**schema, "title": draw(TEXT), "x-farandole-sensitive": draw(st.booleans())}
    return Message(
        type=draw(TYPE),
        service=service,
        place=draw(PLACES),
        role=draw(st.sampled_from(["owner", "reader"])),
        kind=draw(st.sampled_from(["event", "command"])),
        version=draw(st.sampled_from([(1, 0), (2, 3)])),
        topic=draw(st.sampled_from([None, "shop.orders", "commands", "unknown"])),
        key=draw(st.sampled_from([None, "order_id"])),
        schema=schema,
        sensitive=draw(st.sampled_from([sensitive_paths(schema), ("a.b",), ()])),
        public=draw(st.booleans()),
        doc=draw(TEXT),
        examples=draw(several(st.dictionaries(TEXT, TEXT, max_size=2), 2)),
        former=draw(several(TYPE)),
    )


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    ids = draw(st.lists(st.sampled_from(["shop.orders", "shop.payments", "x.y z"]), min_size=1, max_size=3, unique=True))
    services = tuple(
        Service(
            each,
            draw(PLACES),
            version=draw(st.sampled_from(["0.0.0", "1.0", "yes"])),
            team=draw(st.none() | TEXT),
            cleared=draw(several(TEXT)),
            window=draw(st.sampled_from([1.5, 604800.0])),
            depth=draw(st.sampled_from([8, 32])),
            complete=draw(st.booleans()),
            doc=draw(TEXT),
        )
        for each in ids
    )
    expectations = st.builds(Expectation, TEXT, TYPE, several(TYPE), st.floats(0.5, 1e6))
    workflows = st.builds(
        Workflow, TEXT, PLACES, several(TYPE), several(TYPE), several(TYPE), SECONDS, TEXT, several(expectations, 2)
    )
    return Graph(
        name="shop",
        services=services,
        messages=tuple(message for each in ids for message in draw(several(messages(each)))),
        reactions=tuple(draw(reactions(each, index)) for each in ids for index in range(draw(st.integers(0, 3)))),
        workflows=draw(several(workflows, 2)),
        cycles=draw(several(st.builds(AllowedCycle, several(TYPE), st.integers(1, 5), PLACES, TEXT), 2)),
    )


def in_order(graph: Graph) -> Graph:
    """The graph with everything sorted: documents have an order of their own."""
    words = ("services", "messages", "reactions", "workflows", "cycles")
    return replace(graph, **{word: tuple(sorted(getattr(graph, word), key=repr)) for word in words})
