"""The checkers find what is wrong, name it, and find nothing where nothing is wrong."""

from __future__ import annotations

import pytest

from farandole.brokers.base import Delivery
from farandole.model.envelope import Message
from farandole.testing.checkers import (
    Finding,
    Hold,
    Quantity,
    Waiting,
    altered,
    effects,
    lost,
    out_of_order,
    repeated,
    require,
    stuck,
    two_owners,
    unbalanced,
    uncompensated,
    unexpected,
)


def message(id: str, key: str = "k", topic: str = "t", body: bytes = b"") -> Message:
    return Message(topic, key, id, "T", body)


ABC = [message("a"), message("b"), message("c")]


def words(findings: list[Finding]) -> list[str]:
    return [str(finding) for finding in findings]


# messages


def test_what_never_came_is_lost_and_each_is_named() -> None:
    assert lost(ABC, ["c", "b", "a", "a"], at="x") == []
    [finding] = lost([*ABC, message("a")], ["b"], at="the bank")
    assert finding.ids == ("a", "c")
    assert str(finding) == "lost: a, c never came to the bank"


def test_a_long_list_is_cut_in_words_and_whole_in_ids() -> None:
    [finding] = lost([message(str(n)) for n in range(8)], [], at="x")
    assert finding.words == "0, 1, 2, 3, 4 and 3 more never came to x"
    assert finding.ids == tuple(str(n) for n in range(8))


def test_what_nobody_published_is_unexpected() -> None:
    assert unexpected(ABC, ["a", "c"], at="x") == []
    assert words(unexpected(ABC, ["a", "z", "z"], at="x")) == ["unexpected: z came to x, and nobody published it"]


def test_repeats_are_counted_where_they_are_not_allowed() -> None:
    assert repeated(["a", "b"], at="x") == []
    assert words(repeated(["a", "b", "a", "a"], at="x")) == ["repeated: a came 3 times to x"]


def test_order_is_that_of_publication_within_a_key() -> None:
    assert out_of_order(ABC, ["a", "b", "c"], at="x") == []
    assert words(out_of_order(ABC, ["b", "a", "c"], at="x")) == [
        "out_of_order: key 'k' of t at x: a came after b, which was published later"
    ]


def test_each_that_was_overtaken_is_a_finding() -> None:
    assert [finding.ids for finding in out_of_order(ABC, ["c", "a", "b"], at="x")] == [("a", "c"), ("b", "c")]


def test_repeats_do_not_break_order_on_either_side() -> None:
    assert out_of_order(ABC, ["a", "b", "a", "b", "c", "a"], at="x") == []
    assert out_of_order([*ABC, message("a")], ["a", "b", "c"], at="x") == []
    assert out_of_order(ABC, ["b", "b", "a", "b"], at="x") != []


def test_other_keys_topics_and_strangers_have_no_order() -> None:
    sent = [message("a"), message("b", key="other"), message("c", topic="other")]
    assert out_of_order(sent, ["c", "z", "b", "a"], at="x") == []


def test_a_gap_is_no_disorder() -> None:
    assert out_of_order(ABC, ["a", "c"], at="x") == []


@pytest.mark.parametrize(
    ("again", "what"),
    [
        (message("a", body=b"2"), "body"),
        (message("a", key="other", body=b"1"), "key"),
        (message("a", topic="other", body=b"2"), "topic and body"),
        (Message("t", "k", "a", "Other", b"1"), "type"),
    ],
)
def test_a_repeat_must_be_the_same_in_everything(again: Message, what: str) -> None:
    first = message("a", body=b"1")
    assert altered([first, message("b"), first]) == []
    assert words(altered([first, again])) == [f"altered: a came again with another {what}"]


def test_deliveries_are_repeats_of_messages_wherever_they_stand() -> None:
    assert altered([message("a"), Delivery("t", 3, 9, b"", "k", "a", "T", redelivered=True)]) == []


# effects and owners


def test_what_is_due_is_done_once_and_nothing_else() -> None:
    due = [("pay", "a"), ("pay", "b"), ("ship", "a")]
    assert effects(due, reversed(due)) == []
    assert words(effects(due, [("pay", "a"), ("pay", "a"), ("ship", "a"), ("ship", "b")])) == [
        "effects: pay never did b",
        "effects: pay did a 2 times",
        "effects: ship did b, which was not for it",
    ]


def test_a_partition_may_move_but_not_have_two_owners() -> None:
    moves = [Hold("g", 1, "x", True), Hold("g", 1, "x", False), Hold("g", 1, "y", True)]
    elsewhere = [Hold("g", 2, "x", True), Hold("other", 1, "x", True)]
    assert two_owners([*moves, *elsewhere]) == []
    assert words(two_owners([moves[0], moves[2]])) == ["two_owners: partition 1 of g came to y while x had it"]


def test_only_an_owner_can_lose_a_partition() -> None:
    assert words(two_owners([Hold("g", 1, "x", False)])) == ["two_owners: partition 1 of g went from x, and nobody had it"]
    assert words(two_owners([Hold("g", 1, "y", True), Hold("g", 1, "x", False)])) == [
        "two_owners: partition 1 of g went from x, and y had it"
    ]


# the end


def test_an_outbox_must_be_empty_at_the_end() -> None:
    assert stuck(outboxes={"orders": []}, workflows={}) == []
    assert words(stuck(outboxes={"orders": ["a", "b"]}, workflows={})) == ["stuck: the outbox of orders still holds a, b"]


def test_a_workflow_ends_or_waits_visibly() -> None:
    parked = Waiting("pay", "a", "k", "parked", "w2", reason="no answer")
    behind = Waiting("pay", "b", "k", "parked", "w3")
    workflows = {"w1": "Done", "w2": None, "w3": None}
    assert stuck(outboxes={}, workflows=workflows, waiting=[parked, behind]) == []
    assert words(stuck(outboxes={}, workflows=workflows, waiting=[parked])) == [
        "stuck: the workflow w3 has no outcome, and nothing of it is parked or dead"
    ]


def test_what_waits_or_is_dead_must_say_why() -> None:
    silent = Waiting("pay", "a", "k", "dead", "w1")
    other_key = Waiting("pay", "b", "other", "parked", "w2", reason="no answer")
    assert words(stuck(outboxes={}, workflows={"w1": None}, waiting=[silent, other_key])) == [
        "stuck: a is dead at pay, and nothing of key 'k' says why",
        "stuck: the workflow w1 has no outcome, and nothing of it is parked or dead",
    ]


def test_the_parts_of_a_quantity_are_its_total() -> None:
    assert unbalanced([Quantity("mugs", 5, {"on the shelf": 3, "shipped": 2})]) == []
    assert words(unbalanced([Quantity("mugs", 5, {"on the shelf": 3, "shipped": 1})])) == [
        "unbalanced: mugs: on the shelf 3 + shipped 1 = 4, expected 5"
    ]
    assert words(unbalanced([Quantity("mugs", 5, {"on the shelf": -1, "shipped": 6})])) == [
        "unbalanced: mugs: on the shelf is -1"
    ]


# all together


def test_requiring_nothing_wrong_is_silent_and_all_findings_come_together() -> None:
    require([], [])
    with pytest.raises(AssertionError, match=r"^lost: a never came to x$"):
        require([], lost([message("a")], [], at="x"))
    with pytest.raises(AssertionError, match=r"^2 findings\nlost: a .*\nrepeated: b came 2 times to x$"):
        require(lost([message("a")], [], at="x"), repeated(["b", "b"], at="x"))


def test_an_action_of_a_failed_workflow_must_be_compensated() -> None:
    compensations = {"stock.reserve": "stock.release"}
    acted = [("stock.reserve", "w1"), ("stock.reserve", "w2"), ("stock.reserve", "w3"), ("mail.thank", "w1")]
    found = uncompensated(["w1", "w2"], acted, [("stock.release", "w2")], compensations)
    assert [(finding.rule, finding.ids) for finding in found] == [("uncompensated", ("w1",))]
    assert found[0].words == "stock.reserve took effect in w1, which failed, and stock.release never ran for it"
    assert uncompensated([], acted, [], compensations) == [], "nothing failed"
