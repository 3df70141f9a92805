"""Where in the user's own code something happens: not in Python's library, not in installed packages, not in Farandole."""

from __future__ import annotations

import sys
import sysconfig
from functools import lru_cache
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

__all__ = ["awaiting", "calling_place", "is_own", "is_users", "user_place"]

_LIBRARY = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib")})
_OWN = str(Path(__file__).parents[1])
_SHIPPED = str(Path(_OWN) / "examples")  # in a wheel, the shop lies inside the package
_INSTALLED = frozenset({"site-packages", "dist-packages"})


@lru_cache(maxsize=4096)
def is_users(file: str) -> bool:
    """Whether a file is the user's own."""
    if file.startswith("<"):
        return False
    if file.startswith(_SHIPPED):
        return True
    return not (is_own(file) or _INSTALLED.intersection(Path(file).parts) or file.startswith(_LIBRARY))


def is_own(file: str) -> bool:
    """Whether a file is Farandole's."""
    return file.startswith(_OWN) and not file.startswith(_SHIPPED)


def user_place(frame: FrameType | None) -> str | None:
    """`file:line` of the nearest caller that is the user's; None where there is none."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return f"{frame.f_code.co_filename}:{frame.f_lineno}"
        frame = frame.f_back
    return None


def calling_place(depth: int = 1) -> str:
    """The user's place among the callers, or else the nearest one at all."""
    frame = sys._getframe(depth)
    return user_place(frame) or f"{frame.f_code.co_filename}:{frame.f_lineno}"


def awaiting(coroutine: Any) -> tuple[str, bool]:
    """Where a suspended coroutine waits: the user's innermost `file:line in function`, with the framework's behind it.

    Also gives whether there is anything of the user's in it.
    """
    innermost = users = ""
    while coroutine is not None:
        code, line = _position(coroutine)
        if code is not None and "/asyncio/" not in code.co_filename:
            innermost = f"{code.co_filename}:{line} in {code.co_qualname}"
            if is_users(code.co_filename):
                users = innermost
        coroutine = getattr(coroutine, "cr_await", None) or getattr(coroutine, "gi_yieldfrom", None)
    if users and users != innermost:
        return f"{users} (at {innermost})", True
    return innermost or "its end", bool(users)


def _position(coroutine: Any) -> tuple[CodeType | None, int]:
    frame = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    return (None, 0) if frame is None else (frame.f_code, frame.f_lineno)
