"""What becomes of an event after a failure: the whole decision, case by case, and the words that are kept of it."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

import pytest

from farandole.errors import EmissionError, EnvelopeError, OutsideInTransaction, Reject, Skip, TransactionOwned
from farandole.model.event import Event, Sensitive
from farandole.model.policy import Policy, Retry, Settled
from farandole.runtime.inbox import DONE, EXHAUSTED, Failure, after_failure, describe, has_exhausted_attempts
from farandole.stores.base import Verdict

RETRY = Retry(attempts=4, delay=10.0, factor=2.0, jitter=0.5)
NOW = 1000.0


def verdict(
    error: BaseException,
    attempts: int = 1,
    *,
    chance: float = 0.0,
    exhausted_handler: bool = False,
    retry: Retry = RETRY,
    **policy: Any,
) -> Verdict:
    settled = Settled.of(Policy(retry=retry, **policy))
    return after_failure(settled, Failure(error), attempts=attempts, now=NOW, chance=chance, exhausted_handler=exhausted_handler)


def test_success_ends_done_and_the_exhausted_handlers_success_ends_exhausted() -> None:
    assert (Verdict("done"), Verdict("exhausted")) == (DONE, EXHAUSTED)


@pytest.mark.parametrize(("attempts", "wait"), [(1, 10.0), (2, 20.0), (3, 40.0)])
def test_a_failure_with_retries_left_waits_longer_each_time(attempts: int, wait: float) -> None:
    assert verdict(ValueError("no"), attempts) == Verdict(
        "parked", due=NOW + wait, blocks=True, attempts=attempts, reason="ValueError: no", error="ValueError"
    )


def test_chance_takes_a_share_off_the_wait() -> None:
    assert verdict(ValueError(), chance=0.5).due == NOW + 10.0 * 0.75


def test_the_last_failure_is_a_dead_letter_that_lets_its_key_go() -> None:
    assert verdict(ValueError("no"), 4) == Verdict("dead", attempts=4, reason="ValueError: no", error="ValueError")


def test_a_dead_letter_holds_its_key_where_the_policy_says_so() -> None:
    assert verdict(ValueError(), 4, when_dead="hold").blocks


def test_with_skip_a_waiting_event_does_not_block() -> None:
    assert not verdict(ValueError(), on_failure="skip").blocks
    assert not verdict(ValueError(), 4, on_failure="skip", exhausted_handler=True).blocks


def test_skip_is_a_verdict_of_its_own_in_every_run() -> None:
    for attempts in (1, 4, 9):
        assert verdict(Skip("not ours"), attempts) == Verdict("skipped", reason="not ours")


@pytest.mark.parametrize(
    "error",
    [
        Reject("never"),
        EmissionError("undeclared"),
        EnvelopeError("bad"),
        OutsideInTransaction("waits"),
        TransactionOwned("commits"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_another_run_cannot_mend_is_dead_at_once(error: Exception) -> None:
    assert (verdict(error).state, verdict(error).error) == ("dead", type(error).__name__)


def test_errors_that_the_policy_does_not_want_are_dead_at_once() -> None:
    only = Retry(attempts=4, on=(ConnectionError,), never=(ConnectionResetError,))
    assert verdict(ValueError(), retry=only).state == "dead"
    assert verdict(ConnectionResetError(), retry=only).state == "dead"
    assert verdict(ConnectionAbortedError(), retry=only).state == "parked"


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError()])
def test_leaving_the_process_or_cancelling_oneself_is_an_accident_like_others(error: BaseException) -> None:
    assert [verdict(error, n).state for n in (1, 3, 4)] == ["parked", "parked", "dead"]


def test_the_exhausted_handlers_turn_comes_at_once_and_its_runs_are_counted_on() -> None:
    assert verdict(ValueError("no"), 4, exhausted_handler=True) == Verdict(
        "parked", due=NOW, blocks=True, attempts=4, reason="ValueError: no", error="ValueError"
    )


def test_what_is_hopeless_goes_to_the_exhausted_handler_at_once() -> None:
    given = verdict(Reject("never"), 1, exhausted_handler=True)
    assert (given.state, given.due, given.attempts) == ("parked", NOW, 4)


def test_an_exhausted_handler_has_as_many_runs_again_with_waits_from_the_beginning() -> None:
    waits = [verdict(ValueError(), n, exhausted_handler=True).due for n in (5, 6, 7)]
    assert waits == [NOW + 10.0, NOW + 20.0, NOW + 40.0]
    assert verdict(ValueError(), 8, exhausted_handler=True).state == "dead"


def test_an_exhausted_handler_that_fails_without_hope_is_dead_at_once() -> None:
    assert verdict(Reject("never"), 5, exhausted_handler=True).state == "dead"


def test_an_event_that_outlived_all_its_runs_is_dead_at_once_where_there_is_no_exhausted_handler() -> None:
    given = verdict(RuntimeError("the process died"), 5)  # run 4 began and never ended; run 5 is not begun any more
    assert (given.state, given.attempts) == ("dead", 5)


@pytest.mark.parametrize(("attempts", "over"), [(1, False), (4, False), (5, True)])
def test_runs_beyond_the_policys_are_the_exhausted_handlers(attempts: int, over: bool) -> None:
    assert has_exhausted_attempts(Settled(retry=RETRY), attempts) is over


class Signed(Event, key="id"):
    id: str
    pin: Annotated[str, Sensitive]
    initial: Annotated[str, Sensitive] = ""


def test_an_error_is_told_with_its_type_and_a_decision_by_its_reason() -> None:
    assert describe(ValueError("no such account")) == "ValueError: no such account"
    assert describe(ValueError()) == "ValueError"
    assert describe(ValueError("really?")) == "ValueError: really?"
    assert describe(Reject("never valid")) == "never valid"
    assert describe(Skip("not ours")) == "not ours"


def test_sensitive_values_are_blotted_out_wherever_they_stand() -> None:
    assert describe(ValueError("42: 42 is wrong"), Signed(id="1", pin="42")) == "ValueError: ***: *** is wrong"
    assert describe(Reject("not 42"), Signed(id="1", pin="42")) == "not ***"


def test_a_single_character_is_not_blotted_out_since_it_stands_everywhere() -> None:
    assert describe(ValueError("an error"), Signed(id="1", pin="", initial="e")) == "ValueError: an error"


def test_a_text_without_end_is_cut_and_says_so() -> None:
    assert describe(Reject("x" * 2000)) == "x" * 2000
    assert describe(Reject("x" * 2001)) == "x" * 2000 + "…"


def caught(action: Any) -> Failure:
    try:
        action()
    except Exception as error:
        return Failure(error)
    raise AssertionError("it raised nothing")


def test_the_place_is_the_users_own_line_even_where_somebody_elses_code_raised() -> None:
    import sqlalchemy  # installed; wraps functions in generated code

    blames = {
        "python": lambda: json.loads("{"),
        "installed": lambda: sqlalchemy.create_engine("nonsense"),
        "ours": lambda: Settled.of(None),  # type: ignore[arg-type]
        "generated": lambda: exec(compile("1 / 0", "<generated>", "exec")),
        "own": lambda: 1 / 0,
    }
    first = blames["python"].__code__.co_firstlineno
    assert {name: caught(blame).place for name, blame in blames.items()} == {
        name: f"{__file__}:{first + number}" for number, name in enumerate(blames)
    }


def test_where_no_line_is_the_users_the_last_one_is_told() -> None:
    scope: dict[str, Any] = {"Failure": Failure}
    exec(compile("try:\n    1 / 0\nexcept Exception as error:\n    failure = Failure(error)", "<typed>", "exec"), scope)
    assert scope["failure"].place == "<typed>:2"


def test_an_error_that_was_never_raised_has_no_place() -> None:
    assert Failure(ValueError("x")).place is None
