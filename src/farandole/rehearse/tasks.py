"""Tasks, futures and weak sets whose order is the same in every process: asyncio keeps them in sets, by address."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["InOrder", "NumberedFuture", "NumberedTask", "is_step", "later"]


class _Numbered:
    """Hashes by a number of its loop instead of its address, so that sets of it have the same order in every process."""

    number: int

    def __hash__(self) -> int:
        return self.number


class NumberedTask(_Numbered, asyncio.Task[Any]):
    """A task of a rehearsal; its default name repeats as well.

    Attributes
    ----------
    node:
        The node that it belongs to.
    """

    node: Any = None

    def __init__(
        self, coroutine: Any, *, number: int, loop: asyncio.AbstractEventLoop, name: str | None, context: Context | None
    ) -> None:
        self.number = number
        named = name or f"{getattr(coroutine, '__qualname__', 'task')} {self.number}"
        super().__init__(coroutine, loop=loop, name=named, context=context)


class NumberedFuture(_Numbered, asyncio.Future[Any]):
    """A future of a rehearsal."""

    def __init__(self, *, number: int, loop: asyncio.AbstractEventLoop) -> None:
        self.number = number
        super().__init__(loop=loop)


class InOrder(WeakKeyDictionary[Any, None]):
    """A weak set that is walked in the order of arrival."""

    def add(self, item: Any) -> None:
        self[item] = None

    def discard(self, item: Any) -> None:
        self.pop(item, None)


def is_step(callback: Any) -> bool:
    """Whether a ready callback is a task's next step: its first, or its waking after what it waited for."""
    return isinstance(getattr(callback, "__self__", None), asyncio.Task) and (
        type(callback).__name__ == "TaskStepMethWrapper" or callback.__name__ in ("task_wakeup", "__step", "__wakeup")
    )


def later(seconds: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
    """A timer of the running loop that belongs to no task, and so to no node: it fires even when the node is dead."""
    return asyncio.get_running_loop().call_later(seconds, callback, *arguments, context=Context())
