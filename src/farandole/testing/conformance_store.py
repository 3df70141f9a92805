"""What every store must do, as tests: subclass `StoreSuite`, say how to make yours, and let pytest collect the class.

    class TestMine(StoreSuite):
        async def make(self, world: World) -> Store:
            return MyStore("mine://localhost/db", world, tables=self.tables)

Tests are coroutine functions on a virtual clock (see `testing.virtual`). The cases stand in `store_transactions`, `store_late`, `store_inbox`,
`store_letters`, `store_tasks`, `store_instances` and `store_outbox`; they count what happens, and cheat nobody: workers compete, leases run out,
processes die at every statement.
"""

from __future__ import annotations

from farandole.testing.store_inbox import InboxCases
from farandole.testing.store_instances import InstanceCases
from farandole.testing.store_late import LateCases
from farandole.testing.store_letters import LetterCases
from farandole.testing.store_outbox import OutboxCases
from farandole.testing.store_tasks import TaskCases
from farandole.testing.store_transactions import TransactionCases

__all__ = ["StoreSuite"]


class StoreSuite(TransactionCases, LateCases, InboxCases, LetterCases, TaskCases, InstanceCases, OutboxCases):
    """Subclass it; see the module."""
