"""What a choreography is made of, as plain data: the same whether it was read from Python or from manifests.

Everything is named as on the wire: a message `shop.OrderPlaced.v1`, a service `shop.payments`, a reaction `shop.payments.charge`. Nothing
here refers to a Python class, so services in other languages have the same nodes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from farandole.model.effects import Effects, Move

__all__ = [
    "DEPTH",
    "WINDOW",
    "AllowedCycle",
    "Branch",
    "Edge",
    "Effects",
    "Expectation",
    "Message",
    "Move",
    "Place",
    "Reaction",
    "Service",
    "Trigger",
    "Workflow",
    "family_of",
    "short",
]

WINDOW = 7 * 86_400.0
"""How long an inbox remembers what it handled, unless it says otherwise; seconds."""
DEPTH = 32
"""How long a chain of causes may be, unless a service says otherwise."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is declared: a line of a file, or a JSON pointer (RFC 6901) into a manifest.

    Attributes
    ----------
    file:
        The path, as it was given or as Python knows it.
    line:
        From 1, or None where it is not known.
    pointer:
        Such as `/operations/charge`; "" for the whole document, or for Python.
    """

    file: str
    line: int | None = None
    pointer: str = ""

    def __str__(self) -> str:
        line = "" if self.line is None else f":{self.line}"
        return f"{self.file}{line}" + (f"#{self.pointer}" if self.pointer else "")


@dataclass(frozen=True, slots=True)
class Message:
    """What one service says of one event or command: its owner, or a service that reads it with a class of its own.

    Attributes
    ----------
    type:
        The CloudEvents type, `shop.OrderPlaced.v1`.
    service:
        Who says this: `shop.orders`.
    role:
        `"owner"`: the service that emits the event or handles the command. `"reader"`: a service with a reader class, which has the
        fields that it needs.
    kind:
        `"event"` or `"command"`.
    version:
        (major, minor) of this declaration; the major is part of the type.
    topic, key:
        The topic in full, `shop.orders`, and the field that keeps events in order; None: not said.
    schema:
        JSON Schema of its data, complete in itself (`$defs` inside). None: not said, as in manifests of others.
    sensitive:
        Its sensitive fields, as dotted paths: `address.street`; items of arrays are `items[].name`.
    public:
        Whether consumers outside of the choreography are expected.
    doc:
        The docstring, or "".
    examples:
        Payloads, for people.
    former:
        Older versions of the same fact that the owner still emits, or upcasts from: wire types.
    """

    type: str
    service: str
    place: Place
    role: Literal["owner", "reader"] = "owner"
    kind: Literal["event", "command"] = "event"
    version: tuple[int, int] = (1, 0)
    topic: str | None = None
    key: str | None = None
    schema: Mapping[str, Any] | None = None
    sensitive: tuple[str, ...] = ()
    public: bool = False
    doc: str = ""
    examples: tuple[Mapping[str, Any], ...] = ()
    former: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Trigger:
    """What sets a reaction off.

    Attributes
    ----------
    kind:
        `"event"`: one of several types. `"command"`. `"all"`: a join, when every type has come. `"any"`: the first of them.
        `"count"`: a counted join, when as many have come as `expected` says. `"deadline"`: `within` after one of `after`, unless one of
        `unless` came. `"process"`: a step of a process manager.
    receives:
        All message types that it consumes; for a deadline those of `after` and `unless`.
    by:
        The field by which instances are told apart; None: the events' keys.
    within:
        Seconds: how long a join waits, or a deadline runs; None: for ever.
    after, unless:
        Of a deadline. What undoes a step of a process runs with `after`, the event that completed the step.
    failing:
        Of what undoes a step of a process: the types that make the process fail, or that tell of it where a timeout does.
    expected:
        The field that says how many a counted join waits for.
    """

    kind: Literal["event", "command", "all", "any", "count", "deadline", "process"]
    receives: tuple[str, ...]
    by: str | None = None
    within: float | None = None
    after: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    expected: str | None = None
    failing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Branch:
    """Another way on, beside the reaction itself: what runs when retries are used up, or when something comes too late.

    `answers` is as in `Reaction`.
    """

    emits: tuple[str, ...]
    place: Place
    answers: tuple[tuple[str, ...], ...] = ()

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """What it may answer: in each alternative some types together, or none."""
        return self.answers or tuple((tp,) for tp in self.emits) or ((),)


@dataclass(frozen=True, slots=True)
class Reaction:
    """One arrow bundle of the graph: what it takes and what it may emit.

    Attributes
    ----------
    id:
        `shop.payments.charge`: its identity, which keeps a name from before a rename.
    name, formerly:
        The function's name, and the one that it had before, if declared.
    emits:
        The types that it may emit, one of them or several; among them commands of its own service, which it hands over.
    answers:
        The alternatives: each the types that it emits together, () for nothing. Empty: each of `emits` alone.
    many:
        Types of which it may emit several at once (a list in the annotation).
    delayed:
        Types that it emits only after some time (`Later[…]` in the annotation).
    exhausted, late:
        The other ways on, or None.
    compensates, undoes:
        The reaction (its id) that this one undoes, and that one's success event.
    outside:
        Whether it calls the outside, so that it may be slow, fail, and happen twice.
    effects, moves:
        What is declared beyond events.
    relies_on:
        Types that must have been handled here before: order that it relies on.
    horizon:
        The longest time, in seconds, that its retries take.
    process:
        The process that it is a handler of, by id: `shop.orders.fulfilment`; or None.
    parks:
        Whether later events of a key wait behind a failed one.
    group:
        The consumer group that feeds it.
    """

    id: str
    service: str
    name: str
    place: Place
    trigger: Trigger
    emits: tuple[str, ...] = ()
    answers: tuple[tuple[str, ...], ...] = ()
    many: tuple[str, ...] = ()
    delayed: tuple[str, ...] = ()
    exhausted: Branch | None = None
    late: Branch | None = None
    compensates: str | None = None
    undoes: str | None = None
    outside: bool = False
    effects: Effects | None = None
    moves: tuple[Move, ...] = ()
    relies_on: tuple[str, ...] = ()
    formerly: str | None = None
    horizon: float = 0.0
    process: str | None = None
    parks: bool = True
    group: str | None = None
    doc: str = ""

    @property
    def causes(self) -> tuple[str, ...]:
        """The types that may lead to what it emits: those of `after` for a deadline or an undo, otherwise all that it receives."""
        return self.trigger.after if self.trigger.kind == "deadline" or self.undoes_step else self.trigger.receives

    @property
    def undoes_step(self) -> bool:
        """Whether it undoes a step of its process."""
        return self.trigger.kind == "process" and bool(self.trigger.after)

    @property
    def alternatives(self) -> tuple[tuple[str, ...], ...]:
        """What it may answer: in each alternative some types together, or none."""
        return self.answers or tuple((tp,) for tp in self.emits) or ((),)

    @property
    def may_emit_nothing(self) -> bool:
        """Whether one alternative is to emit nothing."""
        return () in self.alternatives

    @property
    def effects_of_all_ways(self) -> tuple[str, ...]:
        """What it may emit in any way: itself, when retries are used up, or when something comes too late."""
        more = tuple(tp for branch in (self.exhausted, self.late) if branch is not None for tp in branch.emits)
        return tuple(dict.fromkeys(self.emits + more))


@dataclass(frozen=True, slots=True)
class Service:
    """Who reacts.

    Attributes
    ----------
    id:
        `shop.payments`; what is before the last dot is its domain.
    team:
        Who owns it, for people.
    cleared:
        Sensitive fields that it may read: `OrderPlaced.email`, `email`, or `*`.
    window:
        How long its inbox remembers, in seconds.
    depth:
        The longest chain of causes that it takes part in.
    complete:
        Whether it declares its reactions. A plain AsyncAPI document says what is sent and received, not what causes what: then it is not.
    """

    id: str
    place: Place
    version: str = "0.0.0"
    team: str | None = None
    cleared: tuple[str, ...] = ()
    window: float = WINDOW
    depth: int = DEPTH
    complete: bool = True
    doc: str = ""

    @property
    def domain(self) -> str:
        """What is before its name: `shop`."""
        return self.id.rpartition(".")[0]

    @property
    def name(self) -> str:
        """What is behind its domain: `payments`."""
        return self.id.rpartition(".")[2]


@dataclass(frozen=True, slots=True)
class Expectation:
    """A service level: one of these types is to follow `after` within so many seconds."""

    name: str
    after: str
    types: tuple[str, ...]
    within: float


@dataclass(frozen=True, slots=True)
class Workflow:
    """A named business flow: types that start it, types that end it well or badly, how long it should take (seconds), and what should follow what."""

    name: str
    place: Place
    starts: tuple[str, ...]
    succeeds: tuple[str, ...]
    fails: tuple[str, ...] = ()
    within: float | None = None
    doc: str = ""
    expects: tuple[Expectation, ...] = ()

    @property
    def outcomes(self) -> tuple[str, ...]:
        """The types that end it."""
        return self.succeeds + self.fails


@dataclass(frozen=True, slots=True)
class AllowedCycle:
    """A cycle that somebody wants: through all of these message types, at most so many times round."""

    types: tuple[str, ...]
    at_most: int
    place: Place
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Edge:
    """One arrow: when `cause` comes, `reaction` may emit `effect`, in this way."""

    cause: str
    reaction: str
    effect: str
    way: Literal["emits", "exhausted", "late"] = field(default="emits")


def short(name: str) -> str:
    """The part that people say: `OrderPlaced` of `shop.OrderPlaced.v1`, `payments` of `shop.payments`."""
    words = name.split(".")
    if len(words) > 1 and words[-1][:1] == "v" and words[-1][1:].isdigit():
        words.pop()
    return words[-1]


def family_of(message: str) -> str:
    """The type without its major version: `shop.OrderPlaced`."""
    head, dot, last = message.rpartition(".")
    return head if dot and last[:1] == "v" and last[1:].isdigit() else message
