"""The connection that reactions hold: asyncpg's own, without the means to end the store's transaction."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import asyncpg

from farandole.stores.guard import OWN, owned, refuse

__all__ = ["OwnedConnection"]

_CONTROL = re.compile(
    rf"""(?:^|;) (?:\s | /\*.*?\*/ | --[^\n]*\n)*
    (?: COMMIT | END | ABORT | BEGIN | START\s+TRANSACTION | PREPARE\s+TRANSACTION
      | ROLLBACK (?! \s+ (?:(?:WORK|TRANSACTION)\s+)? TO\b)
      | (?: SAVEPOINT | RELEASE | ROLLBACK\s+(?:(?:WORK|TRANSACTION)\s+)?TO ) (?:\s+SAVEPOINT)? \s+ "?{OWN} ) \b""",
    re.IGNORECASE | re.DOTALL | re.VERBOSE,
)
_QUOTED = re.compile(r"""'(?:[^']|'')*' | "(?:[^"]|"")*" | \$(\w*)\$.*?\$\1\$""", re.DOTALL | re.VERBOSE)
_MANY = 5000

_harmless: set[str] = set()
"""Statements that were looked at."""


def _check(sql: str) -> None:
    """Refuse a statement that would end the transaction. (PostgreSQL has no authorizer: its text is all there is to go by. What gets past
    this is found at the end: the store's savepoint is gone.)
    """
    if sql in _harmless:
        return
    if _CONTROL.search(sql) and _CONTROL.search(_QUOTED.sub(_blotted, sql)):
        raise owned(sql)
    if len(_harmless) >= _MANY:
        _harmless.clear()
    _harmless.add(sql)


def _blotted(quoted: re.Match[str]) -> str:
    return quoted[0].replace(";", " ") if quoted[0].startswith('"') else "''"


def _checked(name: str) -> Callable[..., Any]:
    plain = getattr(asyncpg.Connection, name)

    def call(self: OwnedConnection, sql: str, *args: Any, **options: Any) -> Any:
        if self.held:
            _check(sql)
        return plain(self, sql, *args, **options)

    call.__name__, call.__doc__ = name, plain.__doc__
    return call


def _refused(name: str) -> Callable[..., Any]:
    plain = getattr(asyncpg.Connection, name)

    def call(self: OwnedConnection, *args: Any, **options: Any) -> Any:
        if self.held:
            refuse(f"{name}()")
        return plain(self, *args, **options)

    call.__name__, call.__doc__ = name, plain.__doc__
    return call


class OwnedConnection(asyncpg.Connection):  # type: ignore[misc]  # untyped
    """asyncpg's connection; while a store's transaction is open on it, what would end that raises `TransactionOwned`."""

    held = False
    look: str | None = None
    """The prepared question whether any key waits, once there is one; and how often it was prepared."""
    looked = 0
    own_execute = asyncpg.Connection.execute
    own_fetch = asyncpg.Connection.fetch

    execute = _checked("execute")
    executemany = _checked("executemany")
    fetch = _checked("fetch")
    fetchval = _checked("fetchval")
    fetchrow = _checked("fetchrow")
    fetchmany = _checked("fetchmany")
    cursor = _checked("cursor")
    close = _refused("close")  # `terminate` is not: the pool must be able to
    reset = _refused("reset")

    def prepare(self, query: str, *, name: str | None = None, timeout: float | None = None, record_class: Any = None) -> Any:
        """As asyncpg's; but what was prepared is kept for the next transaction on this connection."""
        if self.held:
            _check(query)
        return self._prepare(query, name=name, timeout=timeout, use_cache=name is None, record_class=record_class)

    def transaction(self, **options: Any) -> AbstractAsyncContextManager[None]:
        """A part that is undone alone when something raises inside it."""
        if not self.held:
            return super().transaction(**options)  # type: ignore[no-any-return]
        if any(value not in (None, False) for value in options.values()):
            refuse(f"transaction({', '.join(options)})", "it is begun already, and the store's URL says how")
        return self._part()

    @asynccontextmanager
    async def _part(self) -> AsyncIterator[None]:
        await self.own_execute("SAVEPOINT part_of_reaction")
        try:
            yield
        except BaseException:
            if not self.is_closed():
                await self.own_execute("ROLLBACK TO part_of_reaction; RELEASE part_of_reaction")
            raise
        await self.own_execute("RELEASE part_of_reaction")

    def get_reset_query(self) -> str:
        """None: a store's connections end no transaction in which a setting was changed for longer."""
        return ""

    def hold(self, held: bool) -> None:
        """A transaction of the store is open here, or is not any more."""
        self.held = held
