"""The suite for brokers: it passes a broker that is right, and each mistake is found by a case that is named beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from unittest import SkipTest

import pytest
from tests.testing.wrong_brokers import MISTAKES, Frail

from farandole.brokers.base import Broker
from farandole.brokers.lane import Lane
from farandole.brokers.log import Log
from farandole.brokers.memory import MemoryBroker
from farandole.errors import BrokerClosed
from farandole.model.envelope import Message
from farandole.testing import virtual
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World

CASES = sorted(name for name in dir(BrokerSuite) if name.startswith("test_"))


class Suite(BrokerSuite):
    """The suite on brokers of one class that share a log."""

    shaken = (0.0, 0.0)
    lease = 12.0
    broker: type[Frail] = Frail
    log_class: type[Log] = Log

    def __init__(self) -> None:
        self.log = self.log_class(12)
        self.made: list[Frail] = []

    async def make(self, world: World) -> Broker:
        self.made.append(self.broker(self.log, world))
        return self.made[-1]

    async def refuse_some(self, broker: Broker, messages: Sequence[Message]) -> None:
        assert isinstance(broker, Frail)
        broker.refused = list(messages)

    async def restart(self) -> None:
        for n, broker in enumerate(self.made):
            if n % 2:
                broker.answers = False
            else:
                await broker.close()


class TestABrokerThatIsRight:
    @pytest.mark.parametrize("case", CASES)
    def test_every_case_passes_or_says_why_not(self, case: str) -> None:
        virtual.run(getattr(Suite(), case)())


@pytest.mark.parametrize(("broker", "case"), MISTAKES, ids=lambda value: getattr(value, "__name__", value))
def test_a_mistake_is_found_by_the_case_that_is_made_for_it(broker: type[Frail], case: str) -> None:
    suite = type("Wrong", (Suite,), {"broker": broker, "patience": 20.0})()
    with pytest.raises((AssertionError, BrokerClosed, TimeoutError, UnicodeEncodeError)):
        virtual.run(getattr(suite, case)())


def test_a_restart_that_forgets_what_was_settled_is_found_though_nothing_is_lost() -> None:
    class Forgetful(Suite):
        async def restart(self) -> None:
            await super().restart()
            for group in self.log.groups.values():
                for key, lane in group.lanes.items():
                    group.lanes[key] = Lane(max(0, lane.position - 3))

    with pytest.raises(AssertionError, match=r"came again 1 times, and there are 0 reasons for it"):
        virtual.run(Forgetful().test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order())


# ---- what is not claimed, or not there -------------------------------------------------------------------------------------


def test_what_is_not_claimed_is_skipped_and_says_so() -> None:
    class ClaimsLess(Frail):
        capabilities = replace(MemoryBroker.capabilities, fenced_ack=False)

    suite = type("Less", (Suite,), {"broker": ClaimsLess})()
    with pytest.raises(SkipTest) as skipped:
        virtual.run(suite.test_a_late_ack_changes_nothing())
    assert str(skipped.value) == "SKIP: test_a_late_ack_changes_nothing … fenced_ack not claimed"


class NoHooks(BrokerSuite):
    async def make(self, world: World) -> Broker:
        return Frail(Log(3), world)


@pytest.mark.parametrize(
    ("case", "hook"),
    [
        ("test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order", "restart"),
        ("test_a_message_that_may_be_tried_again_is_overtaken_by_none_of_its_key", "refuse_some"),
    ],
)
def test_a_case_whose_hook_is_missing_says_so(case: str, hook: str) -> None:
    with pytest.raises(SkipTest) as skipped:
        virtual.run(getattr(NoHooks(), case)())
    assert str(skipped.value) == f"SKIP: {case} … {hook}() not given"


def test_a_case_that_was_taken_away_is_noticed() -> None:
    suite = type("Fewer", (NoHooks,), {"test_topics_do_not_mix": None})()
    with pytest.raises(AssertionError, match="test_topics_do_not_mix"):
        virtual.run(suite.test_what_is_claimed_is_said_and_no_case_was_taken_away())


def test_counts_follow_the_scale_unless_all_of_them_are_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    suite = type("Slow", (NoHooks,), {"scale": 0.1})()
    monkeypatch.delenv("FULL", raising=False)
    assert [suite.scaled(count, 30) for count in (10_000, 100)] == [1000, 30]
    monkeypatch.setenv("FULL", "1")
    assert suite.scaled(10_000) == 10_000


def test_the_subscriptions_of_a_test_are_handed_over_for_tidying_up() -> None:
    tidied: list[set[str | None]] = []

    class Tidy(Suite):
        async def tidy(self, scene: Any) -> None:
            tidied.append({subscription.group for subscription in scene.named})

    virtual.run(Tidy().test_each_group_gets_everything())
    ((one, two),) = tidied
    assert {str(one)[-2:], str(two)[-2:]} == {"-1", "-2"}
