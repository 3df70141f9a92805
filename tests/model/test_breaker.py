"""Circuit breakers: the declaration, and the state machine against a simple model."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from farandole import Breaker, DeclarationError, EmissionError, Reject, Service, Skip
from farandole.model.breaker import Circuit

THREE = Breaker(failures=3, within=10, rest=5, longest=12)


def opened(breaker: Breaker = THREE) -> Circuit:
    circuit = Circuit(breaker)
    for _ in range(breaker.failures):
        ticket = circuit.enter(100.0)
        assert ticket is not None
        circuit.failed(ticket, 100.0)
    assert circuit.state == "open"
    return circuit


def test_it_opens_after_so_many_failures_in_so_long_a_time() -> None:
    circuit = Circuit(THREE)
    for at in (0.0, 1.0, 10.5, 11.5):
        ticket = circuit.enter(at)
        assert (circuit.state, ticket) == ("closed", 0)
        circuit.failed(0, at)
    assert circuit.state == "closed", "no three of them lie in ten seconds"
    circuit.failed(0, 20.0)
    assert (circuit.state, circuit.until) == ("open", 25.0)


def test_nothing_runs_while_it_is_open_then_one_probe_decides() -> None:
    circuit = opened()
    assert (circuit.enter(104.9), circuit.room(104.9)) == (None, 0)
    assert circuit.room(105.0) == 1
    probe = circuit.enter(105.0)
    assert probe is not None
    assert (circuit.state, circuit.enter(105.0), circuit.room(900.0)) == ("half open", None, 0)
    circuit.succeeded(probe)
    assert (circuit.state, circuit.room(105.0)) == ("closed", None)


def test_each_probe_that_fails_makes_the_rest_longer_up_to_a_limit_until_one_succeeds() -> None:
    circuit, rests = opened(), []
    for _ in range(4):
        now = circuit.until
        probe = circuit.enter(now)
        assert probe is not None
        circuit.failed(probe, now)
        rests.append(circuit.until - now)
    assert rests == [10, 12, 12, 12]
    probe = circuit.enter(circuit.until)
    assert probe is not None
    circuit.succeeded(probe)
    for _ in range(3):
        circuit.failed(circuit.enter(200.0) or 0, 200.0)
    assert circuit.until == 205.0, "and the next rest is short again"


def test_a_probe_that_tells_nothing_makes_room_for_another() -> None:
    circuit = opened()
    probe = circuit.enter(105.0)
    assert probe is not None
    circuit.left(probe)
    assert (circuit.state, circuit.room(105.0)) == ("open", 1)


def test_runs_from_before_say_nothing_of_what_is_now() -> None:
    circuit = Circuit(THREE)
    old = circuit.enter(0.0)
    assert old is not None
    for _ in range(3):
        circuit.failed(old, 1.0)
    circuit.succeeded(old)
    circuit.failed(old, 3.0)
    assert (circuit.state, circuit.until) == ("open", 6.0)
    assert circuit.enter(6.0) is not None
    for late in (circuit.succeeded, circuit.left, lambda ticket: circuit.failed(ticket, 7.0)):
        late(old)
        assert circuit.state == "half open"


class Model:
    """The same in the simplest words: who may speak is a set, and what opens it is looked up in all that was told."""

    def __init__(self) -> None:
        self.heard: set[int] = set()
        self.probe: int | None = None
        self.told: list[float] = []
        self.until: float | None = None
        self.fails = 0

    def may(self, now: float) -> bool:
        return self.until is None or (self.probe is None and now >= self.until)

    def begin(self, run: int) -> None:
        if self.until is None:
            self.heard.add(run)
        else:
            self.probe, self.heard = run, {run}

    def end(self, run: int, how: str, now: float) -> None:
        if run not in self.heard:
            return
        self.heard.discard(run)
        if self.probe is not None:
            self.probe = None
            if how == "well":
                self.until, self.told, self.fails = None, [], 0
            elif how == "badly":
                self.fails += 1
                self.until = now + min(12.0, 5.0 * 2**self.fails)
        elif how == "badly":
            self.told.append(now)
            if len([at for at in self.told[-3:] if now - at <= 10]) == 3:
                self.until, self.heard = now + 5.0, set()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("wait"), st.floats(0.0, 15.0)),
        st.tuples(st.just("begin"), st.none()),
        st.tuples(st.sampled_from(["well", "badly", "silent"]), st.integers(0, 5)),
    ),
    max_size=60,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_it_does_what_a_simple_model_does(steps: list[tuple[str, float | int | None]]) -> None:
    circuit, model, now, running, count = Circuit(THREE), Model(), 0.0, list[tuple[int, int]](), 0
    for what, value in steps:
        if what == "wait":
            now += float(value or 0)
        elif what == "begin":
            may = model.may(now)
            ticket = circuit.enter(now)
            assert (ticket is not None) == may
            if ticket is not None:
                model.begin(count)
                running.append((count, ticket))
                count += 1
        elif running:
            run, ticket = running.pop(int(value or 0) % len(running))
            model.end(run, what, now)
            end = {"well": circuit.succeeded, "badly": lambda t: circuit.failed(t, now), "silent": circuit.left}[what]  # noqa: B023 - called at once
            end(ticket)
        assert circuit.state == ("closed" if model.until is None else "open" if model.probe is None else "half open")
        if model.until is not None:
            assert circuit.until == model.until
        assert (circuit.room(now) != 0) == model.may(now)


@pytest.mark.parametrize(
    ("error", "counts"),
    [
        (TimeoutError(), True),
        (OSError(), True),
        (ValueError(), False),
        (FileNotFoundError(), False),
        (Reject("no"), False),
        (Skip("no"), False),
        (EmissionError("ours"), False),
        (KeyboardInterrupt(), False),
    ],
)
def test_which_errors_count_is_said(error: BaseException, counts: bool) -> None:
    assert Breaker(on=(OSError, Reject), ignore=FileNotFoundError).counts(error) is counts


def test_all_errors_count_by_default_but_for_what_is_meant_and_what_is_ours() -> None:
    assert [Breaker().counts(error) for error in (ValueError(), Reject("no"), Skip("no"), EmissionError("ours"), SystemExit())] == [
        True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"failures": 0}, "expected failures to be an integer >= 1, got: 0"),
        ({"failures": True}, "expected failures to be an integer >= 1, got: True"),
        ({"within": 0}, "expected within to be more than 0 seconds, got: 0"),
        ({"rest": timedelta(0)}, "expected rest to be more than 0 seconds"),
        ({"longest": "long"}, "expected longest to be more than 0 seconds, got: 'long'"),
        ({"on": "OSError"}, "on= takes classes of exceptions, got: 'OSError'"),
        ({"ignore": (3,)}, "ignore= takes classes of exceptions"),
    ],
)
def test_a_breaker_that_makes_no_sense_is_refused(wrong: dict[str, object], says: str) -> None:
    with pytest.raises(DeclarationError, match=says):
        Breaker(**wrong)  # type: ignore[arg-type]


def test_what_is_local_has_no_breaker() -> None:
    with pytest.raises(DeclarationError, match=r"payments.provide\(int\): what is local has no breaker"):
        Service("payments").provide(int, 5, local=True, breaker=Breaker())
