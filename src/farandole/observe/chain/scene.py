"""A chain as the rows of a sequence diagram: who said what, who heard it, and what became of it there. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from farandole.drawing.letters import plain
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.handled import Handled
from farandole.observe.chain.text import MOST
from farandole.observe.chain.tree import Node
from farandole.observe.chain.words import called, counted, delayed, fate, skews

__all__ = ["Heard", "Row", "Scene", "scene"]


@dataclass(frozen=True, slots=True)
class Heard:
    """A service that an event went to.

    Attributes
    ----------
    at:
        Its lifeline.
    lost:
        Whether it did not come there, or was given up on.
    """

    at: str
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One event.

    Attributes
    ----------
    node:
        It.
    at:
        The lifeline that it comes from; "" where nobody knows.
    label:
        What is written at its arrows.
    heard:
        Where it goes.
    undoes:
        Whether it undoes something.
    notes:
        What is to be said of it, with the lifeline where: troubles, tries, what is expected.
    """

    node: Node
    at: str
    label: str
    heard: tuple[Heard, ...]
    undoes: bool = False
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """The whole.

    Attributes
    ----------
    lifelines:
        From left to right, in the order in which they come in.
    left_out:
        What is not shown, in words; "".
    """

    title: str
    lifelines: tuple[str, ...]
    rows: tuple[Row, ...]
    about: tuple[str, ...] = field(default=())
    left_out: str = ""


OUTSIDE = "outside"
"""Where a command comes from, and what nobody recorded."""


def scene(chain: Chain, *, whole: bool = False) -> Scene:
    """What a diagram shows: commands, then events, each after its causes."""
    nodes = [root for root in chain.roots if root.kind in ("command", "missing")] + list(chain.events)
    shown = nodes if whole else nodes[:MOST]
    rows = tuple(_row(node, chain) for node in shown)
    lifelines = dict.fromkeys(name for row in rows for name in (row.at, *(heard.at for heard in row.heard)))
    left = len(nodes) - len(shown)
    state = "" if chain.status is None or chain.status.workflow is None else f"{chain.status.workflow} {chain.status.state}"
    return Scene(
        plain(f"{state}  {chain.correlation_id}".strip()),
        tuple(lifelines) or (OUTSIDE,),
        rows,
        tuple(skews(chain)),
        f"{counted(left, 'event')} more" if left else "",
    )


def _row(node: Node, chain: Chain) -> Row:
    at = OUTSIDE if node.kind in ("command", "missing") else plain(node.service) or OUTSIDE
    heard: dict[str, bool] = {}
    if node.kind == "command" and node.service:
        heard[plain(node.service)] = False
    for one in node.handled:
        if one.service and one.state != "skipped":
            name = plain(one.service)
            heard[name] = heard.get(name, True) and one.state in ("dead", "never", "refused")
    for child in node.children:  # where nothing is told, whoever answered has heard it
        if child.service and (child.kind == "event" or child.name):
            heard.setdefault(plain(child.service), False)
    label = called(node)
    if delay := delayed(node):
        label += f"  {delay}"
    return Row(
        node, at, label, tuple(Heard(name, lost) for name, lost in heard.items()), bool(node.undoes), tuple(_notes(node, chain))
    )


def _notes(node: Node, chain: Chain) -> Iterator[tuple[str, str]]:
    for one in node.handled:
        if (words := _told(one, node, chain)) and one.service:
            yield plain(one.service), words
    for expected in node.expected:
        service = expected.service.rpartition(".")[2]
        yield plain(service), f"expected: {plain(expected.tell(chain.now))}"
    if node.cyclic:
        yield plain(node.service), f"{called(node)} causes itself"


def _told(one: Handled, node: Node, chain: Chain) -> str:
    """What is worth a note: what is no plain success."""
    if one.state in ("done", "answered", "duplicate") and one.attempts <= 1 and not one.unsaid:
        return ""
    return f"{plain(one.reaction.partition('.')[2] or one.reaction)}: {fate(one, node, chain.now)}"
