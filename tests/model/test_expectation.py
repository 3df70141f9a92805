"""Service levels are declared in words that are checked at once."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from farandole import Choreography, Command, DeclarationError, Event, Service, Workflow, expect
from farandole.graph.of_code import graph_of


class Placed(Event, topic="o"):
    pass


class Paid(Event, topic="p"):
    pass


class Failed(Event, topic="p"):
    pass


class Place(Command):
    pass


def test_an_expectation_stands_in_the_graph_of_its_workflow() -> None:
    orders = Service("orders")

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed()

    level = expect(Paid, Failed, after=Placed, within=timedelta(seconds=30))
    assert (level.name, level.within) == ("Paid or Failed after Placed", 30.0)
    flow = Workflow("checkout", starts=Placed, succeeds=Paid, expects=[level])
    (node,) = graph_of(Choreography("shop", orders, workflows=[flow])).workflows[0].expects
    assert (node.after, node.types, node.within) == ("shop.Placed.v1", ("shop.Paid.v1", "shop.Failed.v1"), 30.0)


@pytest.mark.parametrize(
    ("events", "words", "said"),
    [
        ((), {"after": Placed, "within": 1}, r"expect\(...\) takes one or several classes of Event, got: nothing"),
        ((Place,), {"after": Placed, "within": 1}, "takes one or several classes of Event, got: Place"),
        ((Paid, Paid), {"after": Placed, "within": 1}, "names an event twice: Paid, Paid"),
        ((Paid,), {"after": 5, "within": 1}, "after= takes one or several classes of Event, got: 5"),
        ((Paid,), {"after": Paid, "within": 1}, "Paid cannot be expected after itself. Name the event that comes next"),
        ((Paid,), {"after": Placed, "within": timedelta(0)}, "expected within to be a timedelta or seconds, more than 0"),
        ((Paid,), {"after": Placed, "within": "30s"}, "expected within to be a timedelta or seconds, more than 0, got: '30s'"),
        ((Paid,), {"after": Placed, "within": 1, "name": " "}, "expected name to be a text in one line, got: ' '"),
    ],
)
def test_an_expectation_that_cannot_be_meant_is_refused(events: Any, words: dict[str, Any], said: str) -> None:
    with pytest.raises(DeclarationError, match=said):
        expect(*events, **words)


def test_a_workflow_takes_expectations_of_different_names_and_nothing_else() -> None:
    level = expect(Paid, after=Placed, within=1)
    with pytest.raises(DeclarationError, match="two expectations are called 'Paid after Placed'"):
        Workflow("w", starts=Placed, succeeds=Paid, expects=[level, level])
    with pytest.raises(DeclarationError, match=r"expects= takes a list of expect\(Event, after=…, within=…\), got"):
        Workflow("w", starts=Placed, succeeds=Paid, expects=[Paid])  # type: ignore[list-item]
    with pytest.raises(DeclarationError, match="expects= takes a list"):
        Workflow("w", starts=Placed, succeeds=Paid, expects=level)  # type: ignore[arg-type]


def test_an_expectation_of_an_event_that_nobody_declares_is_a_finding() -> None:
    from tests.checks.sketch import chart, command, workflow

    from farandole.checks.unknown_workflow_event import RULE
    from farandole.graph import Expectation

    known = chart(command("orders.place", "PlaceOrder", "OrderPlaced | OrderConfirmed"), workflow(fails=""))
    level = Expectation("fast", "shop.OrderPlaced.v1", ("shop.OrderConfrmed.v1",), 30.0)
    graph = replace(known, workflows=(replace(known.workflows[0], expects=(level,)),))
    assert list(RULE.check(known)) == []
    (finding,) = RULE.check(graph)
    assert finding.what.startswith("Workflow checkout expects OrderConfrmed, which no service declares")
