"""Runs one outside reaction: its handler without a transaction, then the transaction that writes what it did.

The handler's database opens when it is used. From its first write on it holds the write lock, so it must not wait for anything
but SQL any more: call the outside first, then write. Plain `def` handlers run in a thread.
"""

from __future__ import annotations

import asyncio
import types
from collections.abc import AsyncIterator, Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from farandole.errors import OutsideInTransaction
from farandole.runtime.breaker import Breakers, Permit
from farandole.runtime.plan import Plan, run_in_time
from farandole.stores.base import LateTransaction, Store, Transaction

__all__ = ["Outside"]


class Outside:
    """Runs outside reactions of one service."""

    def __init__(self, store: Store, threads: int, breakers: Breakers) -> None:
        self.breakers = breakers
        self._store = store
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="farandole")

    @asynccontextmanager
    async def run(
        self, plan: Plan, event: Any, context: Any, error: Exception | None, permit: Permit
    ) -> AsyncIterator[tuple[Transaction, Any]]:
        """Run the handler; inside the `with`, write what goes with it. Leaving it commits; raising undoes all.

        The permit hears how the handler ended.

        Raises
        ------
        TimeoutError
            The handler took longer than its policy allows.
        """
        late = self._store.begin_late()
        try:
            try:
                value = await self._call(plan, event, late, context, error)
            except BaseException as failure:
                permit.failed(plan.takes, failure)
                raise
            permit.succeeded(plan.takes)
            async with late.finish() as transaction:
                yield transaction, value
        finally:
            await late.close()

    async def _call(self, plan: Plan, event: Any, late: LateTransaction, context: Any, error: Exception | None) -> Any:
        if plan.is_async:
            return await run_in_time(
                plan, _watched(plan.call(event, late, context, error), late, plan, inline=self._store.inline)
            )
        loop = asyncio.get_running_loop()
        return await run_in_time(plan, loop.run_in_executor(self._threads, plan.call, event, late, context, error))

    def close(self) -> None:
        """Let the threads go; one that hangs is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)


@types.coroutine
def _watched(coroutine: Coroutine[Any, Any, Any], late: LateTransaction, plan: Plan, *, inline: bool) -> Generator[Any, Any, Any]:
    """Pass a handler's awaits on to the loop, but none while it holds the write lock.

    Where statements run inline, whoever suspends waits for something that is not SQL.
    """
    step: Any = coroutine.send
    value: Any = None
    while True:
        try:
            awaited = step(value)
        except StopIteration as done:
            return done.value
        if inline and late.writing:
            coroutine.close()
            raise OutsideInTransaction(
                f"{plan.id} ({plan.place}) awaits something that is not SQL after it began to write, which would hold the write lock "
                f"meanwhile. Call the outside first, then write"
            )
        try:
            value = yield awaited
            step = coroutine.send
        except BaseException as thrown:
            value = thrown
            step = coroutine.throw
