"""The rehearsal loop: what asyncio promises holds, all else is up to the seed, and what cannot go on is cut and told."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from farandole.bell import Bell
from farandole.rehearse.cuts import REFUSED, Cut, Deadlock, EndlessLoop, OutOfTime, OutsideWorld
from farandole.rehearse.loop import RehearsalLoop

SEEDS = range(40)


def here(text: str) -> str:
    """`file:line` of the one line of this file that ends with a text."""
    lines = Path(__file__).read_text(encoding="utf-8").splitlines()
    [number] = [number for number, line in enumerate(lines, start=1) if line.endswith(text)]
    return f"{__file__}:{number}"


def play(program: Callable[[], Awaitable[Any]], seed: int = 0, **options: Any) -> Any:
    async def main() -> Any:
        return await program()

    return RehearsalLoop(seed, **options).play(main())


# --- what the seed decides, and what it does not


async def three_tasks() -> str:
    said: list[str] = []

    async def say(what: str) -> None:
        for _ in range(3):
            said.append(what)
            await asyncio.sleep(0)

    async with asyncio.TaskGroup() as group:
        for name in "abc":
            group.create_task(say(name))
    return "".join(said)


def test_the_seed_decides_which_task_goes_on_and_the_same_seed_decides_the_same() -> None:
    orders = {seed: play(three_tasks, seed) for seed in SEEDS}
    assert len(set(orders.values())) > len(SEEDS) // 2
    assert {order[0] for order in orders.values()} == set("abc")
    assert orders == {seed: play(three_tasks, seed) for seed in SEEDS}


def test_whoever_always_chooses_the_first_has_the_order_of_asyncio() -> None:
    class First(RehearsalLoop):
        def choose(self, count: int) -> int:
            return 0

    async def callbacks_and_tasks() -> str:
        said: list[str] = []
        loop = asyncio.get_running_loop()
        for name in "xyz":
            loop.call_soon(said.append, name)
            asyncio.create_task(asyncio.sleep(0)).add_done_callback(lambda _, name=name: said.append(name.upper()))
        return await three_tasks() + "".join(said)

    assert First().play(callbacks_and_tasks()) == asyncio.run(callbacks_and_tasks()) == "abcabcabcxyzXYZ"


def test_plain_callbacks_run_in_the_order_in_which_they_were_asked_for() -> None:
    async def program() -> list[int]:
        ran: list[int] = []
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                loop.call_soon(ran.append, number)
                group.create_task(asyncio.sleep(0))
        await asyncio.sleep(0.1)
        return ran

    assert all(play(program, seed) == list(range(10)) for seed in SEEDS)


def test_no_task_overtakes_a_callback_that_was_there_before_it_though_it_may_fall_behind_later_ones() -> None:
    async def program() -> str:
        ran: list[str] = []
        loop = asyncio.get_running_loop()

        async def task() -> None:
            ran.append("task")

        loop.call_soon(ran.append, "before")
        asyncio.create_task(task())  # noqa: RUF006 - awaited by the clock
        loop.call_soon(ran.append, "after")
        await asyncio.sleep(0.1)
        return " ".join(ran)

    assert {play(program, seed) for seed in SEEDS} == {"before task after", "before after task"}


def test_a_done_callback_has_run_before_whoever_awaits_the_task_goes_on() -> None:
    async def program() -> bool:
        told: list[str] = []
        task = asyncio.create_task(asyncio.sleep(1.0))
        task.add_done_callback(lambda _: told.append("done"))
        await task
        return told == ["done"]

    assert all(play(program, seed) for seed in SEEDS)


def test_a_timer_that_cancels_a_task_is_a_plain_callback() -> None:
    loop = RehearsalLoop()

    async def program() -> bool:
        task = asyncio.create_task(asyncio.sleep(10.0), name="sleeper")
        loop.call_later(1.0, task.cancel)
        with contextlib.suppress(asyncio.CancelledError):
            await task
        return task.cancelled()

    assert loop.play(program())
    assert [(time, what) for time, _, what in loop.trace.entries if "sleeper" in what] == [
        (0.0, "step sleeper"),
        (1.0, "step sleeper"),
    ]


# --- time


def test_waiting_takes_no_time_and_the_clock_jumps_from_timer_to_timer() -> None:
    async def program() -> list[float]:
        times: list[float] = []

        async def wait(seconds: float) -> None:
            await asyncio.sleep(seconds)
            times.append(asyncio.get_running_loop().time())

        async with asyncio.TaskGroup() as group:
            for seconds in (3000.0, 1.5, 0.25):
                group.create_task(wait(seconds))
        return times

    assert play(program) == [0.25, 1.5, 3000.0]


def test_a_timer_of_no_time_comes_although_others_are_always_ready() -> None:
    async def program() -> int:
        fired, turns = asyncio.Event(), 0
        asyncio.get_running_loop().call_later(0.0, fired.set)
        while not fired.is_set():
            await asyncio.sleep(0)
            turns += 1
        return turns

    assert play(program) < 100


def test_timeouts_queues_locks_and_gather_work_as_on_any_loop() -> None:
    async def program() -> list[object]:
        queue: asyncio.Queue[int] = asyncio.Queue(1)
        lock = asyncio.Lock()

        async def put() -> None:
            for number in range(5):
                async with lock:
                    await queue.put(number)

        async def get() -> list[int]:
            return [await asyncio.wait_for(queue.get(), 5.0) for _ in range(5)]

        got, _ = await asyncio.gather(get(), put())
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(queue.get(), 2.0)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.0):
                await asyncio.Event().wait()
        return [got, asyncio.get_running_loop().time()]

    assert all(play(program, seed) == [[0, 1, 2, 3, 4], 5.0] for seed in SEEDS)


# --- what does not go on


def test_a_deadlock_is_told_at_once_with_what_every_task_waits_for() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()  # the event that never comes

    async def program() -> None:
        asyncio.current_task().set_name("the caller")  # type: ignore[union-attr]
        await asyncio.create_task(stuck(), name="the callee")  # here it waits

    with pytest.raises(Deadlock) as told:
        play(program)
    text = str(told.value)
    assert "at 0 s nothing is ready and no timer is set" in text
    assert f"the callee: {here('# the event that never comes')} in test_a_deadlock" in text
    assert f"the caller: {here('# here it waits')}" in text


def test_who_waits_in_the_users_own_code_is_told_before_the_frameworks_many() -> None:
    bells = [Bell() for _ in range(30)]

    async def stuck() -> None:
        await asyncio.Event().wait()  # the user's own

    async def program() -> None:
        async with asyncio.TaskGroup() as group:
            for number, bell in enumerate(bells):
                group.create_task(bell.wait(1000.0), name=f"part {number}")
            group.create_task(stuck(), name="stuck")

    with pytest.raises(OutOfTime) as told:
        play(program, horizon=10.0)
    first, second, *others = str(told.value).splitlines()[1:]
    assert {line.split(":")[0].strip() for line in (first, second)} == {"main", "stuck"}
    assert f"stuck: {here('# the user' + chr(39) + 's own')} in " in f"{first}{second}"
    assert "/farandole/bell.py:" in others[0]
    assert others[-1] == "  and 12 more"


def test_beyond_the_limit_of_virtual_time_the_run_is_cut_and_its_finally_blocks_run() -> None:
    ended: list[str] = []

    async def program() -> None:
        try:
            while True:  # noqa: ASYNC110 - for ever
                await asyncio.sleep(7.0)
        finally:
            await asyncio.sleep(3.0)
            ended.append("finally")

    with pytest.raises(OutOfTime, match=r"limit of 100 s of virtual time(?s:.*)main: .*test_loop\.py:\d+ in "):
        play(program, horizon=100.0)
    assert ended == ["finally"]


def test_a_loop_that_awaits_without_time_passing_is_cut_with_the_tasks_that_run() -> None:
    async def program() -> None:
        while True:  # noqa: ASYNC110 - for ever
            await asyncio.sleep(0)

    with pytest.raises(EndlessLoop, match=r"1000 steps ran and no time passed: main \(100[01] steps\)"):
        play(program, patience=1000)


def test_what_has_time_between_may_go_on_and_only_the_steps_since_then_are_told() -> None:
    async def program() -> None:
        for _ in range(300):
            await asyncio.sleep(0.001)
            for _ in range(10):
                await asyncio.sleep(0)
        while True:  # noqa: ASYNC110 - for ever
            await asyncio.sleep(0)

    with pytest.raises(EndlessLoop, match=r"time passed: main \(100[01] steps\)"):
        play(program, patience=1000)


def test_many_steps_may_pass_many_crash_points_together() -> None:
    loop = RehearsalLoop(patience=100)

    async def program() -> int:
        for _ in range(10):
            for _ in range(60):
                loop.point("node", "store.find:before")
            await asyncio.sleep(0)
        return loop.steps

    assert loop.play(program()) == 11


def test_a_loop_that_only_passes_crash_points_is_cut_with_its_place() -> None:
    loop = RehearsalLoop(patience=500)

    async def program() -> None:
        while True:
            try:
                loop.point("node", "store.find:before")  # again and again
            except Exception:  # whoever catches errors does not catch this
                continue

    with pytest.raises(EndlessLoop) as told:
        loop.play(program())
    assert f"main passed 500 crash points without a pause, lately store.find:before for {here('# again and again')}" in str(
        told.value
    )


def test_a_loop_that_does_nothing_but_run_is_cut_with_its_place_where_lines_are_counted() -> None:
    async def program() -> None:
        number = 0
        while True:
            number += 1

    before = sys.gettrace()
    with pytest.raises(EndlessLoop, match=rf"executed 5000 lines without a pause and is at {__file__}:\d+"):
        play(program, lines=5000)
    assert sys.gettrace() is before
    assert isinstance(play(three_tasks, lines=5000), str)


def test_a_cut_that_a_handler_swallows_ends_the_run_all_the_same() -> None:
    loop = RehearsalLoop()

    async def program() -> str:
        with contextlib.suppress(BaseException):
            loop.cut(Cut("enough"))
        await asyncio.sleep(1.0)
        return "went on"

    with pytest.raises(Cut, match="enough"):
        loop.play(program())


# --- the end


def test_what_is_left_behind_is_cancelled_and_the_error_of_the_program_comes_through() -> None:
    ended: list[str] = []

    async def beside() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("beside")

    async def program() -> None:
        asyncio.create_task(beside())  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(0.1)
        raise LookupError("the program's own")

    with pytest.raises(LookupError, match="the program's own"):
        play(program)
    assert ended == ["beside"]


def test_a_task_that_does_not_end_when_it_is_cancelled_is_named() -> None:
    async def stubborn() -> None:
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.Event().wait()

    async def program() -> None:
        asyncio.create_task(stubborn(), name="stubborn")  # noqa: RUF006 - left behind on purpose
        await asyncio.sleep(0.1)

    with pytest.raises(EndlessLoop, match=r"do not end when they are cancelled:\n  stubborn: .*test_loop.py:\d+"):
        play(program)


def test_what_spins_on_although_it_is_cancelled_is_named_as_well() -> None:
    async def spinning(begun: asyncio.Event) -> None:
        begun.set()
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0)

    async def program() -> None:
        begun = asyncio.Event()
        asyncio.create_task(spinning(begun), name="spinning")  # noqa: RUF006 - left behind on purpose
        await begun.wait()

    with pytest.raises(EndlessLoop, match=r"do not end when they are cancelled:\n  spinning: "):
        play(program, patience=300)


def test_a_generator_whose_end_waits_for_ever_hides_no_error_of_the_program() -> None:
    held: list[AsyncIterator[int]] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.Event().wait()

    async def program() -> None:
        held.append(numbers())
        await anext(held[0])
        raise LookupError("the program's own")

    with pytest.raises(LookupError, match="the program's own"):
        play(program)


def test_a_loop_that_was_stopped_before_it_runs_returns_at_once() -> None:
    loop = RehearsalLoop()
    loop.stop()
    loop.run_forever()
    loop.close()
    assert loop.steps == 0


def test_async_generators_are_finalized_in_the_run() -> None:
    ended: list[str] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
            yield 2
        finally:
            await asyncio.sleep(0.1)
            ended.append("finally")

    async def program() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1.0)
        assert ended == ["finally"]
        left = numbers()
        await anext(left)
        ended.append(str(len(ended)))
        raise asyncio.CancelledError(left)

    with pytest.raises(asyncio.CancelledError):
        play(program)
    assert ended == ["finally", "1", "finally"]


def test_async_generators_that_are_left_behind_end_in_an_order_that_the_seed_decides_and_not_their_addresses() -> None:
    held: list[AsyncIterator[int]] = []  # so that those of the second run lie elsewhere

    def order(seed: int) -> list[int]:
        ended: list[int] = []

        async def numbers(number: int) -> AsyncIterator[int]:
            try:
                yield number
            finally:
                ended.append(number)

        async def program() -> None:
            left = [numbers(number) for number in range(30)]
            held.extend(left)
            for generator in left:
                await anext(generator)

        play(program, seed)
        return ended

    assert sorted(order(1)) == list(range(30))
    assert order(1) == order(1) != order(2)


def test_the_trace_ends_with_the_program_and_errors_that_nobody_looked_at_are_kept() -> None:
    loop = RehearsalLoop()

    async def fail() -> None:
        task = asyncio.current_task()  # a circle, which only the garbage collector would find
        raise LookupError(task)

    async def program() -> int:
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        asyncio.create_task(fail(), name="unseen")  # noqa: RUF006 - nobody looks at it
        seen = asyncio.create_task(fail())
        await asyncio.wait([seen])
        seen.exception()
        await asyncio.sleep(0.1)
        return loop.trace.count

    assert loop.play(program()) == loop.trace.count
    assert [type(context["exception"]) for context in loop.unhandled] == [ZeroDivisionError, LookupError]
    assert loop.unhandled[1]["task"].get_name() == "unseen"
    assert loop.is_closed()


# --- outside


@pytest.mark.parametrize("method", REFUSED)
def test_each_method_that_reaches_outside_is_refused(method: str) -> None:
    async def program() -> None:
        getattr(asyncio.get_running_loop(), method)(None)

    what, instead = REFUSED[method]
    with pytest.raises(OutsideWorld) as told:
        play(program)
    assert f"{__file__}:" in str(told.value)
    assert f"reaches for {what}" in str(told.value)
    assert str(told.value).endswith(instead)


async def hop() -> None:
    await asyncio.to_thread(print)  # a thread


async def connect() -> None:
    await asyncio.open_connection("localhost", 1)  # a connection


async def spawn() -> None:
    await asyncio.create_subprocess_exec("true")  # a process


async def listen() -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, print)  # a signal


@pytest.mark.parametrize(
    ("program", "mark"), [(hop, "# a thread"), (connect, "# a connection"), (spawn, "# a process"), (listen, "# a signal")]
)
def test_the_users_line_is_named_and_no_handler_takes_the_refusal_for_a_failure(
    program: Callable[[], Awaitable[None]], mark: str
) -> None:
    async def handler() -> None:
        with contextlib.suppress(Exception):
            await program()

    with pytest.raises(OutsideWorld) as told:
        play(handler)
    assert str(told.value).startswith(f"{here(f'  {mark}')} (in main) reaches for ")


def test_a_call_from_another_thread_is_refused_there_and_cuts_the_run() -> None:
    loop = RehearsalLoop()
    refused: list[BaseException] = []

    def call() -> None:
        try:
            loop.call_soon_threadsafe(print)
        except OutsideWorld as error:
            refused.append(error)

    async def program() -> None:
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
        await asyncio.sleep(1.0)

    with pytest.raises(OutsideWorld, match="from another thread"):
        loop.play(program())
    assert len(refused) == 1
