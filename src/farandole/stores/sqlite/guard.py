"""The connection that reactions hold: sqlite3's own, from which commit and rollback are taken away."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any, NoReturn

from farandole.errors import StoreError
from farandole.stores.guard import OWN, caller, owned, refuse

__all__ = ["OwnedConnection", "OwnedCursor", "denied"]


class Guard:
    """SQLite's authorizer: transaction control is the store's alone, whoever's text it comes from."""

    def __init__(self) -> None:
        self.own = False
        self.refused: str | None = None

    def __call__(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        ends = action == sqlite3.SQLITE_TRANSACTION or (action == sqlite3.SQLITE_SAVEPOINT and str(second).startswith(OWN))
        if not ends or self.own:
            return sqlite3.SQLITE_OK
        self.refused = str(first)
        return sqlite3.SQLITE_DENY


class OwnedCursor(sqlite3.Cursor):
    """A cursor that writes nowhere but in the transaction of the reaction."""

    connection: OwnedConnection

    def execute(self, sql: str, parameters: Any = (), /) -> OwnedCursor:
        return _execute(self, self.connection, sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> OwnedCursor:
        if not self.connection.in_transaction:
            _over()
        super().executemany(sql, parameters)
        return self

    def executescript(self, sql_script: str, /) -> NoReturn:
        refuse("executescript()", "it commits first. Use execute() for each statement")


_plain_execute = sqlite3.Cursor.execute
_cursor = sqlite3.Connection.cursor
"""Makes cursors. `sqlite3.Cursor(connection)` leaves a weak reference in the connection that only this here ever clears away."""


def _execute(cursor: OwnedCursor, connection: OwnedConnection, sql: str, parameters: Any) -> OwnedCursor:
    """Every statement of a reaction passes here: keep it short."""
    if not connection.in_transaction:
        _over()
    try:
        _plain_execute(cursor, sql, parameters)
    except sqlite3.DatabaseError as error:
        denied(connection.guard, error, sql)
        raise
    return cursor


def _over() -> NoReturn:
    raise StoreError(
        f"{caller()} uses a database connection whose transaction is over: the reaction has returned, or SQLite rolled "
        f"back by itself (INSERT OR ROLLBACK, disk full). Use it inside the reaction only, and let database errors out"
    )


class OwnedConnection(sqlite3.Connection):
    """The writer's connection. What would end its transaction raises `TransactionOwned` and names the caller's line."""

    guard: Guard

    def cursor(self, factory: Any = OwnedCursor) -> Any:
        return super().cursor(factory)

    def plain_cursor(self) -> sqlite3.Cursor:
        """One for the store itself."""
        return _cursor(self, sqlite3.Cursor)

    def execute(self, sql: str, parameters: Any = (), /) -> OwnedCursor:  # sqlite3's own would make an unguarded cursor
        return _execute(_cursor(self, OwnedCursor), self, sql, parameters)

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> OwnedCursor:
        return _cursor(self, OwnedCursor).executemany(sql, parameters)

    def commit(self) -> NoReturn:
        refuse("commit()")

    def rollback(self) -> NoReturn:
        refuse("rollback()")

    def close(self) -> NoReturn:
        refuse("close()")

    def executescript(self, sql_script: str, /) -> NoReturn:
        refuse("executescript()", "it commits first. Use execute() for each statement")

    def __enter__(self) -> NoReturn:
        refuse("with connection:")

    def __exit__(self, *_: object) -> NoReturn:
        refuse("with connection:")

    @property
    def isolation_level(self) -> None:
        """Always None: the store begins and ends transactions itself."""
        return None

    @isolation_level.setter
    def isolation_level(self, value: object) -> NoReturn:
        refuse(f"isolation_level = {value!r}")

    def guarded(self) -> OwnedConnection:
        """Set the guard up; once, by whoever opened it."""
        self.guard = Guard()
        self.set_authorizer(self.guard)
        return self


def denied(guard: Guard, error: sqlite3.DatabaseError, sql: str) -> None:
    """Raise `TransactionOwned` if this error is the guard's doing."""
    if guard.refused is not None:
        guard.refused = None
        raise owned(sql) from error
