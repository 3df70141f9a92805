"""Sends invoices into the shop: customers at the same time, each customer's invoices one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from farandole import CommandRefused, World

from .databases import Sight
from .events import OrderConfirmed, OrderPlaced, PlaceOrder, ReceiveStock, ReturnLines, ReturnRejected, StockLine
from .reader import Invoice
from .services.returns import NOT_YET

if TYPE_CHECKING:
    from farandole import App, Receipt
    from farandole.rehearse import Stage

__all__ = ["fill_shelves", "order_command", "return_command", "submit"]

_PER_DELIVERY = 500


async def fill_shelves(app: App | Stage, stock: Mapping[str, int]) -> None:
    """Let the initial stock arrive, once however often it is called."""
    codes = list(stock)
    for begin in range(0, len(codes), _PER_DELIVERY):
        lines = tuple(StockLine(stock_code=code, quantity=stock[code]) for code in codes[begin : begin + _PER_DELIVERY])
        delivery = f"initial-{begin // _PER_DELIVERY}"
        await app.send(ReceiveStock(delivery_id=delivery, lines=lines), idempotency_key=delivery)


async def submit(
    app: App | Stage,
    invoices: Sequence[Invoice],
    *,
    databases: Sight,
    world: World,
    customers: int = 64,
    timeout: float = 120.0,
    done: Callable[[Invoice], None] = lambda _: None,
) -> None:
    """Submit every invoice and wait for its outcome.

    Parameters
    ----------
    app:
        The running shop, or the stage of its rehearsal.
    invoices:
        In file order. Sent again after a crash, they change nothing: the invoice number is the idempotency key.
    databases:
        Where to look for outcomes that came before a crash.
    world:
        Where waiting comes from.
    customers:
        How many customers at once.
    timeout:
        Seconds until an invoice counts as stuck; its customer then stops, and the figures show it as open.
    done:
        Called after each outcome.
    """
    chains = iter(_by_customer(invoices))

    async def serve() -> None:
        for chain in chains:
            await _Customer(app, databases, world, timeout).submit(chain, done)

    async with asyncio.TaskGroup() as group:
        for _ in range(customers):
            group.create_task(serve())


def _by_customer(invoices: Sequence[Invoice]) -> list[list[Invoice]]:
    """Each customer's invoices in file order; every guest stands alone."""
    chains: dict[str, list[Invoice]] = {}
    for invoice in invoices:
        chains.setdefault(invoice.customer_id or f"guest {invoice.number}", []).append(invoice)
    return list(chains.values())


class _Customer:
    """Submits one invoice after the other, and remembers which orders were confirmed."""

    def __init__(self, app: App | Stage, databases: Sight, world: World, timeout: float) -> None:
        self._app = app
        self._databases = databases
        self._world = world
        self._timeout = timeout
        self._confirmed: list[str] = []

    async def submit(self, chain: Sequence[Invoice], done: Callable[[Invoice], None]) -> None:
        for invoice in chain:
            try:
                async with asyncio.timeout(self._timeout):
                    await (self._give_back(invoice) if invoice.is_return else self._order(invoice))
            except TimeoutError:
                return
            done(invoice)

    async def _order(self, invoice: Invoice) -> None:
        receipt = await self._app.send(order_command(invoice), idempotency_key=invoice.number)
        if not isinstance(receipt.result, OrderPlaced):
            return
        if receipt.repeated:
            confirmed = await self._look(
                "orders", "SELECT state = 'confirmed' FROM orders WHERE order_id = :id AND state <> 'placed'", invoice
            )
        else:
            confirmed = isinstance(await self._app.outcome(receipt.correlation_id), OrderConfirmed)
        if confirmed:
            self._confirmed.append(invoice.number)

    async def _give_back(self, invoice: Invoice) -> None:
        receipt = await self._send_return(invoice)
        if isinstance(receipt.result, ReturnRejected):
            return
        if receipt.repeated:
            await self._look("returns", "SELECT 1 FROM returns WHERE return_id = :id AND refunded AND restocked", invoice)
        else:
            await self._app.outcome(receipt.correlation_id)

    async def _look(self, service: str, sql: str, invoice: Invoice) -> bool:
        """Wait until a database has the outcome of something that was sent before a crash: its event may be long gone."""
        wait = 0.02
        while not (rows := self._databases.rows(service, sql, id=invoice.number)):
            await self._world.sleep(wait)
            wait = min(1.0, wait * 1.5)
        return bool(rows[0][0])

    async def _send_return(self, invoice: Invoice) -> Receipt:
        """Ask until the service has heard of every order that the customer knows to be confirmed."""
        command = return_command(invoice, self._confirmed)
        wait = 0.005
        while True:
            try:
                return await self._app.send(command, idempotency_key=invoice.number)
            except CommandRefused as refusal:
                if refusal.reason != NOT_YET:
                    raise
            await self._world.sleep(wait)
            wait = min(0.2, wait * 2)


def order_command(invoice: Invoice) -> PlaceOrder:
    """The command that an order's invoice stands for."""
    return PlaceOrder(
        order_id=invoice.number,
        customer_id=invoice.customer_id,
        country=invoice.country,
        placed_on=invoice.day,
        sequence=invoice.sequence,
        lines=invoice.lines,
    )


def return_command(invoice: Invoice, confirmed: Sequence[str]) -> ReturnLines:
    """The command that a return's invoice stands for: quantities count what comes back."""
    lines = tuple(StockLine(stock_code=line.stock_code, quantity=-line.quantity) for line in invoice.lines)
    return ReturnLines(return_id=invoice.number, customer_id=invoice.customer_id, lines=lines, confirmed=tuple(confirmed))
