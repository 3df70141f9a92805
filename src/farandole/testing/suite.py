"""What the shipped suites have in common: counts that follow a scale, hooks that an adapter's tests may give, cases that are skipped in words.

No suite knows pytest: a case is a coroutine function with plain asserts, and one that is skipped raises `unittest.SkipTest`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar
from unittest import SkipTest

__all__ = ["Suite", "hook", "skip"]

F = TypeVar("F", bound=Callable[..., Any])


class Suite:
    """A suite of cases.

    Attributes
    ----------
    scale:
        Large counts are multiplied by it, for servers that are slow. With `FULL=1` in the environment it is 1.
    """

    scale: float = 1.0

    def scaled(self, count: int, least: int = 1) -> int:
        """A large count, times `scale`."""
        return count if os.environ.get("FULL") == "1" else max(least, round(count * self.scale))

    def needs(self, name: str) -> None:
        """Skip the case where the adapter's tests do not give this hook."""
        if getattr(getattr(self, name), "missing", False):
            skip(f"{name}() not given")


def hook(function: F) -> F:
    """Something that an adapter's tests may give; see `Suite.needs`."""
    function.missing = True  # type: ignore[attr-defined]
    return function


def skip(why: str) -> NoReturn:
    """Skip the case that is running.

    Raises
    ------
    SkipTest
        Always.
    """
    frame = sys._getframe()
    while frame.f_back is not None and not frame.f_code.co_name.startswith("test_"):
        frame = frame.f_back
    raise SkipTest(f"SKIP: {frame.f_code.co_name} … {why}")
