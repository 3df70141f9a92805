"""The state of one topic and partition, and fair shares."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from farandole.brokers.base import Delivery
from farandole.brokers.lane import Lane, shares


def at(position: int) -> Delivery:
    return Delivery("t", 0, position, b"")


@given(st.lists(st.integers(1, 50), unique=True), st.randoms())
def test_the_position_is_where_all_before_it_is_settled(positions: list[int], chance: object) -> None:
    positions = sorted(positions)
    lane = Lane(0)
    if positions:
        lane.take(positions)
    unsettled = list(positions)
    while unsettled:
        chance.shuffle(unsettled)  # type: ignore[attr-defined]
        settled, unsettled = unsettled[:3], unsettled[3:]
        lane.settle(settled)
        before = [p for p in positions if p < min(unsettled, default=99)]
        assert lane.position == max(before, default=0)
        assert lane.out == set(unsettled)
    assert not lane.order


@given(st.lists(st.tuples(st.sampled_from(["take", "settle", "return", "retake"]), st.integers(0, 9)), max_size=40))
def test_nothing_is_lost_whatever_happens(steps: list[tuple[str, int]]) -> None:
    lane, end, settled = Lane(0), 0, set[int]()
    for step, number in steps:
        if step == "take":
            fresh = list(range(end + 1, end + 2 + number))
            lane.take(fresh)
            end = fresh[-1]
        elif step == "settle":
            some = sorted(lane.out)[number::2]
            lane.settle(some)
            settled.update(some)
        elif step == "return":
            for position in sorted(lane.out)[number:]:
                lane.give_back(at(position))
        else:
            again = lane.retake(number)
            assert [d.position for d in again] == sorted(d.position for d in again)
            assert len(again) <= number
        unsettled = set(range(1, end + 1)) - settled
        assert lane.out | lane.returned.keys() == unsettled
        assert lane.position == min(unsettled, default=end + 1) - 1
        suspects = lane.left().suspects
        assert all(position - lane.position <= suspects for position in lane.out), "what is in hand is suspect to the next owner"


def test_unknown_positions_change_nothing() -> None:
    lane = Lane(10)
    lane.take([11, 12])
    assert not lane.settle([5, 13, 99])
    lane.give_back(at(99))
    assert (lane.position, lane.out, lane.returned) == (10, {11, 12}, {})


def test_what_was_given_back_may_still_be_settled() -> None:
    lane = Lane(0)
    lane.take([1, 2])
    lane.give_back(at(1))
    assert lane.settle([1])
    assert lane.position == 1
    assert lane.retake(9) == []


def test_suspects_end_by_number_and_by_position() -> None:
    lane = Lane(0, suspects=3, suspects_end=20)
    assert lane.take([10, 20]) == [10, 20]
    assert lane.take([30, 40]) == []  # the third stands behind the end
    assert Lane(0, suspects=2, suspects_end=99).take([1, 2, 3]) == [1, 2]


def test_a_lane_with_messages_in_hand_is_not_passed_by() -> None:
    lane = Lane(5)
    assert lane.pass_by(9)
    assert not lane.pass_by(9)
    lane.take([10])
    assert not lane.pass_by(20)
    assert lane.position == 9


@given(st.integers(1, 50), st.lists(st.integers(0, 50), min_size=1, max_size=9))
def test_shares_are_even_and_complete_and_move_little(partitions: int, held: list[int]) -> None:
    quota = shares(partitions, dict(enumerate(held)))
    assert sum(quota.values()) == partitions
    assert max(quota.values()) - min(quota.values()) <= 1
    assert all(quota[a] >= quota[b] for a in quota for b in quota if held[a] > held[b])
