"""SQLAlchemy's connections and sessions as reactions hold them: without the means to end the transaction.

On an inline route, where no statement waits, the awaited methods in use everywhere go without SQLAlchemy's greenlet.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session

from farandole.stores.guard import refuse

if TYPE_CHECKING:
    from farandole.stores.alchemy import RoutedDBAPI

__all__ = ["OwnedAsyncConnection", "OwnedAsyncSession", "OwnedConnection", "OwnedSession"]


class OwnedConnection(Connection):
    """SQLAlchemy's connection without the means to end the transaction."""

    dbapi: RoutedDBAPI

    def commit(self) -> NoReturn:
        refuse("connection.commit()")

    def rollback(self) -> NoReturn:
        refuse("connection.rollback()")

    def close(self) -> NoReturn:
        refuse("connection.close()")

    def begin(self) -> NoReturn:
        refuse("connection.begin()", "it is begun already. For a part that may fail alone, use begin_nested()")

    def invalidate(self, exception: BaseException | None = None) -> None:
        """Refused to users. SQLAlchemy calls it too, with the exception, when a statement is cut off: then the store rolls back."""
        if exception is None or exception is not sys.exception():
            refuse("connection.invalidate()")


class OwnedAsyncConnection(AsyncConnection):
    """The same for `async def` reactions."""

    sync_connection: OwnedConnection

    async def execute(self, *args: Any, **options: Any) -> Any:
        dbapi = self.sync_connection.dbapi
        if dbapi.route.inline:
            return dbapi.at_once(self.sync_connection.execute, *args, **options)
        return await super().execute(*args, **options)

    async def exec_driver_sql(self, *args: Any, **options: Any) -> Any:
        dbapi = self.sync_connection.dbapi
        if dbapi.route.inline:
            return dbapi.at_once(self.sync_connection.exec_driver_sql, *args, **options)
        return await super().exec_driver_sql(*args, **options)

    async def start(self, is_ctxmanager: bool = False) -> NoReturn:
        refuse("async with connection:", "it is open already. Use it as it is")

    def begin(self) -> NoReturn:
        refuse("connection.begin()", "it is begun already. For a part that may fail alone, use begin_nested()")


class OwnedSession(Session):
    """SQLAlchemy's session without the means to end the transaction; `begin_nested()` works."""

    bind: OwnedConnection

    def commit(self) -> NoReturn:
        refuse("session.commit()")

    def rollback(self) -> NoReturn:
        refuse("session.rollback()")

    def close(self) -> NoReturn:
        refuse("session.close()")

    def reset(self) -> NoReturn:
        refuse("session.reset()")

    def invalidate(self) -> NoReturn:
        refuse("session.invalidate()")

    def begin(self, nested: bool = False) -> Any:
        if not nested:
            refuse("session.begin()", "it is begun already. For a part that may fail alone, use begin_nested()")
        return super().begin(nested=True)

    def __enter__(self) -> NoReturn:
        refuse("with session:", "it is open already. Use it as it is")


class OwnedAsyncSession(AsyncSession):
    """The same for `async def` reactions."""

    sync_session_class = OwnedSession
    sync_session: OwnedSession

    async def execute(self, *args: Any, **options: Any) -> Any:
        dbapi = self.sync_session.bind.dbapi
        if dbapi.route.inline:
            options["execution_options"] = {**options.get("execution_options", {}), "prebuffer_rows": True}
            return dbapi.at_once(self.sync_session.execute, *args, **options)
        return await super().execute(*args, **options)

    async def get(self, *args: Any, **options: Any) -> Any:
        dbapi = self.sync_session.bind.dbapi
        if dbapi.route.inline:
            return dbapi.at_once(self.sync_session.get, *args, **options)
        return await super().get(*args, **options)

    async def __aenter__(self) -> NoReturn:
        refuse("async with session:", "it is open already. Use it as it is")
