"""Processes, commands within a service and delayed events in the graph: read from Python, written as manifests, checked and drawn."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import msgspec
from tests.manifest.graphs import in_order
from tests.manifest.test_round_trip import written

from farandole import Choreography, Command, Event, Later, Service, Workflow
from farandole.checks.registry import rules
from farandole.graph import Graph, Trigger
from farandole.graph.draw import mermaid, picture_of
from farandole.graph.net import net_of
from farandole.graph.of_code import graph_of
from farandole.manifest import document_of, read_folder


class ParcelEvent(Event, key="parcel"):
    parcel: str


class Paid(ParcelEvent):
    pass


class Picked(ParcelEvent):
    pass


class PutBack(ParcelEvent):
    pass


class Labelled(ParcelEvent):
    pass


class Refused(ParcelEvent):
    pass


class Sent(ParcelEvent):
    pass


class NotSent(ParcelEvent):
    pass


class Reminded(ParcelEvent, public=True):
    pass


class Pay(Command):
    parcel: str


class Pick(Command):
    parcel: str


class Label(Command):
    parcel: str


class PutAway(Command):
    parcel: str


class Hands:
    """Outside."""


class State(msgspec.Struct):
    pass


def parcels(*, undo: bool = True, unless: bool = True) -> Choreography:
    """A process that picks (outside) and labels; without an undo, a refused label leaves the goods where nobody wants them."""
    shop, packing = Service("shop"), Service("packing")
    packing.provide(Hands, Hands)
    process = packing.process("parcel", by="parcel", state=State)

    @shop.command
    async def pay(command: Pay) -> tuple[Paid, Later[Reminded]]: ...

    @process.starts(Paid)
    async def begin(event: Paid) -> Pick: ...

    @process.on(Picked)
    async def label(event: Picked, state: State) -> Label: ...

    if undo:

        @process.undo(Picked, until=PutBack)
        async def put_back(event: Picked) -> PutAway: ...

    @process.fails(Refused)
    async def refused(event: Refused) -> NotSent: ...

    @process.timeout(after=Paid, unless=Picked if unless else (), within=timedelta(hours=2), fails=True)
    async def slow(event: Paid) -> NotSent: ...

    @process.completes(Labelled)
    async def done(event: Labelled) -> Sent: ...

    @packing.command
    async def pick(command: Pick, hands: Hands) -> Picked: ...

    @packing.command
    async def do_label(command: Label) -> Labelled | Refused: ...

    if undo:

        @packing.command
        async def put_away(command: PutAway) -> PutBack: ...

    sending = Workflow("sending", starts=Paid, succeeds=Sent, fails=NotSent)
    return Choreography("parcels", shop, packing, workflows=[sending])


def complaints(graph: Graph) -> list[tuple[str, str | None]]:
    return [(finding.rule, finding.subject) for rule in rules().values() if rule.tier == "proof" for finding in rule.check(graph)]


def test_handlers_of_a_process_are_reactions_that_say_so() -> None:
    graph = graph_of(parcels())
    begin, put_back = graph.reaction["parcels.packing.begin"], graph.reaction["parcels.packing.put_back"]
    assert {node.name for node in graph.reactions if node.process == "parcels.packing.parcel"} == {
        "begin", "label", "put_back", "refused", "slow", "done",
    }  # fmt: skip
    assert begin.trigger == Trigger("process", ("parcels.Paid.v1",), "parcel")
    assert begin.emits == ("parcels.Pick.v1",)
    assert put_back.trigger == Trigger(
        "process", ("parcels.Picked.v1", "parcels.PutBack.v1"), after=("parcels.Picked.v1",),
        failing=("parcels.Refused.v1", "parcels.NotSent.v1"),
    )  # fmt: skip
    assert put_back.causes == ("parcels.Picked.v1",)
    assert graph.reaction["parcels.packing.slow"].trigger.kind == "deadline"


def test_what_comes_later_says_so_and_a_posted_command_is_retried() -> None:
    graph = graph_of(parcels())
    pay, pick = graph.reaction["parcels.shop.pay"], graph.reaction["parcels.packing.pick"]
    assert (pay.emits, pay.delayed) == (("parcels.Paid.v1", "parcels.Reminded.v1"), ("parcels.Reminded.v1",))
    assert (pay.horizon, pick.horizon > 0) == (0.0, True)
    net = net_of(graph)
    kinds = {net.arms[index].reaction.name: net.arms[index].kind for index in range(len(net.arms))}
    assert (kinds["pay"], kinds["pick"]) == ("command", "runs")


def test_a_process_is_the_same_after_it_was_written_and_read(tmp_path: Path) -> None:
    graph = graph_of(parcels())
    read, findings = read_folder(written(graph, tmp_path))
    assert findings == []
    assert in_order(read) == in_order(graph)
    sends = document_of(graph, graph.service["parcels.packing"])["operations"]
    assert [name for name in sends if name.startswith("send.")] == ["send.parcels.packing"]  # commands go nowhere


def test_the_checks_are_silent_on_a_sound_process() -> None:
    assert complaints(graph_of(parcels())) == []


def test_a_step_that_nothing_undoes_is_found() -> None:
    assert complaints(graph_of(parcels(undo=False))) == [
        ("missing-compensation", "parcels.packing.pick:parcels.NotSent.v1"),
    ]


def test_a_step_whose_undo_is_never_set_off_is_found() -> None:
    graph = graph_of(parcels())
    blind = tuple(
        replace(node, trigger=replace(node.trigger, failing=("parcels.PutBack.v1",))) if node.trigger.failing else node
        for node in graph.reactions
    )
    assert ("missing-compensation", "parcels.packing.pick:parcels.NotSent.v1") in complaints(replace(graph, reactions=blind))


def test_a_picture_shows_the_process_and_what_is_undone() -> None:
    text = mermaid(picture_of(graph_of(parcels())))
    assert "begin<br/>in parcel" in text
    assert "put_back<br/>in parcel<br/>undoes Picked" in text
    assert '|"later"|' in text
