"""Which messages tell of a failure."""

from __future__ import annotations

from tests.graph.kit import checkout, graph, reaction, workflow

from examples.shop import shop
from farandole.graph import Graph, short
from farandole.graph.draw import failing
from farandole.graph.of_code import graph_of


def failures(whole: Graph) -> set[str]:
    return {short(type) for type in failing(whole)}


def test_the_failures_of_the_shop_are_those_that_a_person_would_name() -> None:
    assert failures(graph_of(shop)) == {
        "ChargeInDoubt",
        "InventoryReservationFailed",
        "OrderCancelled",
        "OrderSuspected",
        "PaymentFailed",
        "PaymentVoided",
    }


def test_used_up_retries_lateness_and_bad_outcomes_are_failures() -> None:
    assert failures(checkout()) == {"PaymentFailed", "ShippedTooLate", "OrderExpired"}


def test_what_may_still_end_well_is_no_failure() -> None:
    whole = graph(
        reaction("a.try_it", "Begun", "Stumbled"),
        reaction("a.again", "Stumbled", "Done"),
        reaction("a.give_up", "Stumbled", "GivenUp"),
        workflows=[workflow("trying", "Begun", "Done", "GivenUp")],
    )
    assert failures(whole) == {"GivenUp"}


def test_without_workflows_only_declared_failures_are_known() -> None:
    assert failures(graph(reaction("a.go", "Begun", "Done"), reaction("a.stop", "Done", "Over"))) == set()


def test_what_a_compensation_answers_to_is_a_failure_and_what_it_says_is_none() -> None:
    whole = graph(reaction("a.take", "Begun", "Taken"), reaction("a.give_back", "Refused", "GivenBack", compensates="a.take"))
    assert failures(whole) == {"Refused"}
