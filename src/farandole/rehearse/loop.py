"""The event loop of rehearsals: time is virtual, and a seed decides which of the ready tasks goes on.

    loop = RehearsalLoop(seed=7)
    result = loop.play(program())         # the same seed, the same run

What asyncio promises is kept, so that no program fails here that could not fail on a real loop: plain callbacks run in the order
in which they were asked for, and no task overtakes a callback that was there before it. All else is up to the seed.

A run that cannot go on is cut: `Deadlock`, `OutOfTime`, `EndlessLoop`, or `OutsideWorld` where something reaches outside.
"""

from __future__ import annotations

import asyncio
import gc
import heapq
import itertools
import random
import sys
import threading
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from contextvars import Context, ContextVar
from operator import itemgetter
from types import FrameType
from typing import Any, NoReturn, Protocol, TypeVar

from farandole.rehearse.cuts import REFUSED, Cut, Deadlock, EndlessLoop, OutOfTime, OutsideWorld
from farandole.rehearse.places import awaiting, calling_place
from farandole.rehearse.tasks import InOrder, NumberedFuture, NumberedTask, is_step
from farandole.rehearse.trace import Trace

__all__ = ["NODE", "Node", "RehearsalLoop"]

T = TypeVar("T")


class Node(Protocol):
    """A simulated process: where tasks run. See `RehearsalWorld`."""

    node: str
    dead: bool
    frozen: bool

    def resumed(self) -> None: ...


NODE: ContextVar[Node | None] = ContextVar("farandole_node", default=None)
"""The node that a task belongs to; tasks inherit it."""

_HOUR = 3600.0
_MANY = 200_000
_SHOWN = 20
_ROUNDS = 10  # how often what is left is cancelled
_ARRIVAL = itemgetter(0)


class RehearsalLoop(asyncio.BaseEventLoop):
    """See above.

    Parameters
    ----------
    seed:
        The same seed and program make the same run.
    trace:
        Where every task step is written.
    horizon:
        How long the run may go on, in seconds of virtual time.
    patience:
        How many task steps may run, and how many crash points one step may pass, while no time passes.
    lines:
        How many lines of code one step may execute; None: not counted, since counting makes the run many times slower. It finds
        the endless loop that neither awaits nor passes a crash point.

    Attributes
    ----------
    steps:
        How many task steps have run.
    quiet:
        Is asked, when nothing is ready, to let something happen before time passes; gives whether anything did.
    unhandled:
        What was told to the loop's exception handler, such as a task's error that nobody looked at.
    """

    def __init__(
        self,
        seed: int = 0,
        trace: Trace | None = None,
        *,
        horizon: float = _HOUR,
        patience: int = _MANY,
        lines: int | None = None,
    ) -> None:
        super().__init__()
        self.seed = seed
        self.trace = Trace() if trace is None else trace
        self._write = self.trace.append
        self.steps = 0
        self.unhandled: list[dict[str, Any]] = []
        self.quiet: Callable[[], bool] | None = None
        self._numbers = itertools.count(1)
        self._chance = random.Random(f"{seed}/schedule")
        self._now = 0.0
        self._horizon = horizon
        self._patience = patience
        self._line_limit = lines
        self._points = self._line_count = 0
        self._steps_then = 0  # how many had run when time passed ...
        self._since: Counter[str] = Counter()  # ... and how many of each task since
        self._arrivals = itertools.count()
        self._waiting_steps: list[tuple[int, asyncio.Handle]] = []  # by arrival
        self._callbacks: deque[tuple[int, asyncio.Handle]] = deque()
        self._living = InOrder()
        self._held: list[tuple[Node, asyncio.Handle]] = []  # of nodes that are frozen or dead
        self._graves: list[asyncio.Task[Any]] = []
        self._owner = threading.get_ident()
        self._verdict: Cut | None = None
        self._unwinding = False
        self._steps_limit = sys.maxsize
        self._ready: deque[asyncio.Handle]
        self._scheduled: list[asyncio.TimerHandle]
        self._asyncgens = InOrder()
        self.set_exception_handler(lambda _, context: self.unhandled.append(context))

    # ---- running ---------------------------------------------------------------------------------------------------------

    def play(self, main: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine to its end, cancel what it left behind, and close the loop.

        Raises
        ------
        Cut
            The run could not go on.
        """
        collecting = gc.isenabled()
        gc.disable()  # when it runs, and so when it finalizes, depends on what the process did before
        try:
            with _current(self):
                try:
                    result: T = self.run_until_complete(self.create_task(main, name="main"))
                finally:
                    self.trace.seal()
                    self._look_at_errors()
                    left = self._unwind()
                    self.close()
        finally:
            if collecting:
                gc.enable()
        if left:
            raise EndlessLoop(f"these do not end when they are cancelled:\n{_indented(left)}")
        return result

    def cut(self, verdict: Cut) -> NoReturn:
        """End the run with this, whatever the running task makes of it."""
        self._verdict = self._verdict or verdict
        raise verdict

    def choose(self, count: int) -> int:
        """Which of so many candidates runs next. Override it to explore by other means than a seed."""
        return self._chance.randrange(count)

    def time(self) -> float:
        """Virtual time, in seconds since the loop was made."""
        return self._now

    def note(self, node: str, what: str) -> None:
        """Write something into the trace, at the time it is."""
        self._write((self._now, node, what))

    def point(self, node: str, name: str) -> None:
        """A crash point was passed: it stands in the trace, and too many in one step are an endless loop."""
        self._write((self._now, node, name))
        self._points += 1
        if self._points > self._patience and not self._unwinding:
            self.cut(
                EndlessLoop(
                    f"{self._whose()} passed {self._patience} crash points without a pause, lately {name} for {calling_place(2)}: a loop "
                    f"that never ends? Let it end, or await context.sleep()"
                )
            )

    def bury(self, node: Node) -> None:
        """Keep what a dead node has left until the run ends: collected earlier, its `finally` blocks would run now."""
        self._graves += [task for task in self._living if task.node is node and not task.done()]

    def go_on(self, node: Node) -> None:
        """A node that was frozen goes on, where it stood."""
        self._ready.extend(handle for held, handle in self._held if held is node)
        self._held = [(held, handle) for held, handle in self._held if held is not node]

    @property
    def running_here(self) -> bool:
        """Whether the run goes on, and this is its thread; not any more while it unwinds."""
        return self.is_running() and not self._unwinding and threading.get_ident() == self._owner

    def waiting(self) -> list[str]:
        """What every unfinished task waits for, a line each; those that wait in the user's own code come first."""
        waits = [(task.get_name(), *awaiting(task.get_coro())) for task in self._living if not (task.done() or _is_dead(task))]
        return [f"{name}: {place}" for name, place, _ in sorted(waits, key=lambda wait: not wait[2])]

    def _run_once(self) -> None:
        self._fire()
        self._sort()
        if not self._waiting_steps and not self._callbacks:
            if self.quiet is not None and not self._unwinding and self.quiet():
                return
            if not self._stopping:  # type: ignore[attr-defined]
                self._pass_time()
            return
        handle, stepping = self._next()
        if handle._cancelled:
            return
        node = handle._context.get(NODE)  # type: ignore[attr-defined]
        if node is not None and not self._unwinding:
            if node.dead or node.frozen:
                self._held.append((node, handle))
                return
            if stepping:
                node.resumed()
                if node.dead or node.frozen:
                    self._ready.append(handle)
                    return
        if stepping:
            self._count(handle, "" if node is None else node.node)
            if self.steps > self._steps_limit:
                self.stop()
        if self._line_limit is None:
            handle._run()
        else:
            self._run_counted(handle, self._line_limit)
        if self._verdict is not None and not self._unwinding:
            raise self._verdict

    def _sort(self) -> None:
        """Tell apart what became ready: steps of tasks, and plain callbacks."""
        ready = self._ready
        while ready:
            handle = ready.popleft()
            queue = self._waiting_steps if is_step(handle._callback) else self._callbacks  # type: ignore[attr-defined]
            queue.append((next(self._arrivals), handle))

    def _next(self) -> tuple[asyncio.Handle, bool]:
        """The next callback, or any step that stood before it."""
        steps, callbacks = self._waiting_steps, self._callbacks
        eligible = bisect_left(steps, callbacks[0][0], key=_ARRIVAL) if callbacks else len(steps)
        candidates = eligible + bool(callbacks)
        chosen = self.choose(candidates) if candidates > 1 else 0
        if chosen == eligible:
            return callbacks.popleft()[1], False
        return steps.pop(chosen)[1], True

    def _count(self, handle: asyncio.Handle, node: str) -> None:
        task = handle._callback.__self__  # type: ignore[attr-defined]
        name = task.get_name()
        self.steps += 1
        self._points = 0
        self._since[name] += 1
        self.note(node, f"step {name}")
        if self.steps - self._steps_then > self._patience and not self._unwinding:
            busiest = ", ".join(f"{name} ({count} steps)" for name, count in self._since.most_common(3))
            raise EndlessLoop(
                f"{self._patience} steps ran and no time passed: {busiest}. A loop that waits for no time, such as `await sleep(0)`? "
                f"Let it wait for what it needs, or for some time\n{self._tasks()}"
            )

    def _pass_time(self) -> None:
        """Nothing is ready: go to the next timer."""
        timers = self._scheduled
        while timers and timers[0]._cancelled:
            self._drop_timer()
        if not timers:
            if self._unwinding:
                self.stop()
                return
            raise Deadlock(f"at {self._now:g} s nothing is ready and no timer is set; it would wait for ever.\n{self._tasks()}")
        when = timers[0].when()
        if when > self._horizon and not self._unwinding:
            raise OutOfTime(
                f"the run goes on beyond its limit of {self._horizon:g} s of virtual time. Raise the limit, or look who still waits:\n"
                f"{self._tasks()}"
            )
        self._since.clear()
        self._steps_then = self.steps
        self._now = max(self._now, when)

    def _fire(self) -> None:
        """Timers whose time has come are ready."""
        while self._scheduled and self._scheduled[0].when() <= self._now:
            handle = self._drop_timer()
            if not handle._cancelled:
                self._ready.append(handle)

    def _drop_timer(self) -> asyncio.TimerHandle:
        handle = heapq.heappop(self._scheduled)
        handle._scheduled = False  # type: ignore[attr-defined]
        return handle

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Cancelled timers are dropped when their time comes."""

    def _run_counted(self, handle: asyncio.Handle, limit: int) -> None:
        def count(_: FrameType, event: str, __: Any) -> Any:
            self._line_count += event == "line"
            if self._line_count > limit:
                self.cut(
                    EndlessLoop(
                        f"{self._whose()} executed {limit} lines without a pause and is at {calling_place(2)}: a loop that never ends? "
                        f"Let it end, or await context.sleep()"
                    )
                )
            return count

        self._line_count = 0
        before = sys.gettrace()
        sys.settrace(count)
        try:
            handle._run()
        finally:
            sys.settrace(before)

    def _whose(self) -> str:
        task = asyncio.current_task(self)
        return "a callback" if task is None else task.get_name()

    def _tasks(self) -> str:
        return _indented(self.waiting())

    def _look_at_errors(self) -> None:
        """Tell the errors of tasks that nobody looked at: Python tells them when it collects garbage, which may be never."""
        for task in self._living:
            if _is_dead(task):
                task._log_traceback = False
            elif task.done() and task._log_traceback:
                task._log_traceback = False
                self.call_exception_handler(
                    {"message": "nobody looked at the error of a task", "exception": task.exception(), "task": task}
                )

    def _unwind(self) -> list[str]:
        """Cancel what is left, again where it does not end at once; its `finally` blocks run. Gives what is still there."""
        self._unwinding = True
        self._ready.extend(handle for _, handle in self._held)
        for _ in range(_ROUNDS):
            left = [task for task in self._living if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            self._steps_limit = self.steps + self._patience
            end = self.call_later(60.0, self.stop)
            self.run_forever()
            end.cancel()
        self._steps_limit = self.steps + self._patience
        shutdown = self.create_task(self.shutdown_asyncgens(), name="shutdown")
        shutdown.add_done_callback(lambda _: self.stop())
        for _ in range(_ROUNDS):  # the end of the program may have left a stop behind
            if not shutdown.done():
                self.run_forever()
        return self.waiting()

    # ---- tasks -----------------------------------------------------------------------------------------------------------

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None, **_: Any) -> asyncio.Task[Any]:  # type: ignore[override]
        """A task with a number of its own."""
        self._check_closed()  # type: ignore[attr-defined]
        task = NumberedTask(coro, number=next(self._numbers), loop=self, name=name, context=context)
        task.node = NODE.get() if context is None else context.get(NODE)
        self._living.add(task)
        return task

    def create_future(self) -> asyncio.Future[Any]:
        """A future with a number of its own."""
        return NumberedFuture(number=next(self._numbers), loop=self)

    # ---- outside ---------------------------------------------------------------------------------------------------------

    def call_soon_threadsafe(self, callback: Callable[..., Any], *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        """From its own thread only: Python finalizes async generators this way."""
        if threading.get_ident() != self._owner:
            self.cut(
                OutsideWorld(f"{calling_place(2)} calls into the rehearsal from another thread. {REFUSED['run_in_executor'][1]}")
            )
        return self.call_soon(callback, *args, context=context)

    def _write_to_self(self) -> None:
        """Nobody sleeps in a selector."""


def _is_dead(task: NumberedTask) -> bool:
    return task.node is not None and task.node.dead


def _refusal(what: str, instead: str) -> Callable[..., NoReturn]:
    def refuse(self: RehearsalLoop, *_: Any, **__: Any) -> NoReturn:
        self.cut(
            OutsideWorld(f"{calling_place(2)} (in {self._whose()}) reaches for {what}, which no rehearsal can repeat. {instead}")
        )

    return refuse


for _method, _words in REFUSED.items():
    setattr(RehearsalLoop, _method, _refusal(*_words))


@contextmanager
def _current(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)


def _indented(lines: list[str]) -> str:
    more = [f"and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return "\n".join(f"  {line}" for line in [*lines[:_SHOWN], *more])
