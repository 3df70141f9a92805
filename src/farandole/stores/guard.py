"""What every store tells a reaction that tries to end the store's transaction, and where that was."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

from farandole.errors import TransactionOwned

__all__ = ["OWN", "caller", "owned", "refuse"]

OWN = "farandole"
"""Savepoints whose names begin like this belong to the store."""

_INSIDE = ("farandole.stores.", "sqlalchemy.", "asyncpg.", "contextlib", "asyncio.", "concurrent.", "threading")
_OWNED = "the store owns it. Return normally to commit, raise to roll back"


def refuse(what: str, why: str = _OWNED) -> NoReturn:
    """Tell the caller that the transaction is not his to end."""
    raise TransactionOwned(f"{caller()} calls {what} in the transaction of a reaction: {why}")


def owned(sql: str) -> TransactionOwned:
    """What to raise for a statement that would end the transaction."""
    return TransactionOwned(f"{caller()} executes {sql.strip()[:40]!r} in the transaction of a reaction: {_OWNED}")


def caller() -> str:
    """`file:line` of whoever called into the store or SQLAlchemy, also across SQLAlchemy's greenlets."""
    stacks: Sequence[FrameType | None] = (sys._getframe(1), _parent_frame())
    for stack in stacks:
        frame = stack
        while frame is not None:
            if not f"{frame.f_globals.get('__name__', '')}.".startswith(_INSIDE):
                return f"{frame.f_code.co_filename}:{frame.f_lineno}"
            frame = frame.f_back
    return "somebody"


def _parent_frame() -> FrameType | None:
    greenlet = sys.modules.get("greenlet")
    parent = greenlet.getcurrent().parent if greenlet else None
    return parent.gr_frame if parent is not None else None
