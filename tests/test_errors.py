"""The hierarchy of errors is the one drawn at the top of errors.py."""

from __future__ import annotations

import inspect

import pytest

from farandole import errors
from farandole.errors import CommandRefused, FarandoleError, Reject, Skip


def drawn() -> dict[str, str]:
    """The tree in the docstring: each name with its parent."""
    parents, above = {}, ["FarandoleError"]
    for line in inspect.getdoc(errors).splitlines():  # type: ignore[union-attr]
        bar = max(line.find("├── "), line.find("└── "))
        if bar >= 0:
            depth = bar // 4 + 1
            name = line[bar + 4 :].split()[0]
            parents[name] = above[depth - 1]
            above[depth:] = [name]
    return parents


def test_the_tree_at_the_top_of_the_file_is_true() -> None:
    real = {
        name: cls.__base__.__name__
        for name in errors.__all__
        if issubclass(cls := getattr(errors, name), FarandoleError) and cls is not FarandoleError
    }
    assert len(real) > 10
    assert drawn() == real


def test_every_error_in_the_file_is_named_in_all() -> None:
    classes = [name for name, thing in vars(errors).items() if inspect.isclass(thing) and thing.__module__ == errors.__name__]
    assert sorted(classes) == sorted(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_says_what_it_means(name: str) -> None:
    assert getattr(errors, name).__doc__


@pytest.mark.parametrize("decision", [Reject, Skip])
def test_a_handlers_decision_keeps_its_reason_and_is_no_fault_of_farandole(decision: type[Reject | Skip]) -> None:
    raised = decision("the card is stolen")
    assert raised.reason == str(raised) == "the card is stolen"
    assert not isinstance(raised, FarandoleError)


def test_a_refused_command_keeps_the_reason_apart_from_the_message() -> None:
    error = CommandRefused("PlaceOrder was refused: no stock", reason="no stock")
    assert (str(error), error.reason) == ("PlaceOrder was refused: no stock", "no stock")
