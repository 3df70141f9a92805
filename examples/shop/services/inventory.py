"""Inventory: what is on the shelf, set aside, shipped and returned.

For each stock code, on_hand + reserved + shipped - returned is what was received: no piece appears or vanishes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Service

from ..events import (
    InventoryReservationFailed,
    InventoryReserved,
    Line,
    LinesReturned,
    OrderPlaced,
    PaymentFailed,
    PaymentProcessed,
    ReceiveStock,
    ReturnedLine,
    Shortage,
    StockLine,
    StockReceived,
    StockReleased,
    details,
)

metadata = MetaData()

stock = Table(
    "stock",
    metadata,
    Column("stock_code", String, primary_key=True),
    *(Column(name, Integer, nullable=False, default=0) for name in ("received", "on_hand", "reserved", "shipped", "returned")),
)
reservations = Table(
    "reservations",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("stock_code", String, ForeignKey(stock.c.stock_code), primary_key=True),
    Column("quantity", Integer, nullable=False),
    Column("state", String, nullable=False),  # held, shipped or released
)

inventory = Service("inventory", tables=metadata, cleared="customer_id")

_THIS = stock.c.stock_code == bindparam("code")
_MANY = bindparam("many", type_=Integer)
_RECEIVE = update(stock).where(_THIS).values(received=stock.c.received + _MANY, on_hand=stock.c.on_hand + _MANY)
_RESERVE = update(stock).where(_THIS).values(on_hand=stock.c.on_hand - _MANY, reserved=stock.c.reserved + _MANY)
_RELEASE = update(stock).where(_THIS).values(on_hand=stock.c.on_hand + _MANY, reserved=stock.c.reserved - _MANY)
_SHIP = update(stock).where(_THIS).values(reserved=stock.c.reserved - _MANY, shipped=stock.c.shipped + _MANY)
_RESTOCK = update(stock).where(_THIS).values(on_hand=stock.c.on_hand + _MANY, returned=stock.c.returned + _MANY)


@inventory.command
async def receive(delivery: ReceiveStock, db: AsyncConnection) -> StockReceived:
    """Put goods on the shelf."""
    arrived = _by_code(delivery.lines)
    known = await _on_hand(db, arrived)
    new = [{"stock_code": code} for code in arrived if code not in known]
    if new:
        await db.execute(insert(stock), new)
    await db.execute(_RECEIVE, _moves(arrived))
    return StockReceived(delivery_id=delivery.delivery_id, pieces=sum(arrived.values()))


@inventory.on(OrderPlaced)
async def reserve(order: OrderPlaced, db: AsyncConnection) -> InventoryReserved | InventoryReservationFailed:
    """Set every line aside, or none."""
    wanted = _by_code(order.lines)
    on_hand = await _on_hand(db, wanted)
    shortages = tuple(
        Shortage(stock_code=code, wanted=many, on_hand=on_hand.get(code, 0))
        for code, many in wanted.items()
        if on_hand.get(code, 0) < many
    )
    if shortages:
        return InventoryReservationFailed(order_id=order.order_id, shortages=shortages)
    await db.execute(_RESERVE, _moves(wanted))
    rows = [{"order_id": order.order_id, "stock_code": code, "quantity": many, "state": "held"} for code, many in wanted.items()]
    await db.execute(insert(reservations), rows)
    return InventoryReserved(**details(order))


@inventory.on(PaymentFailed, compensates=reserve, undoes=InventoryReserved)
async def release(failure: PaymentFailed, db: AsyncConnection) -> StockReleased:
    """Undo the reservation of an order that nobody pays for."""
    held = await _leave(db, failure.order_id, "released")
    await db.execute(_RELEASE, _moves(held))
    return StockReleased(reference=failure.order_id, reason="payment failed", lines=_lines(held))


@inventory.on(PaymentProcessed)
async def ship(payment: PaymentProcessed, db: AsyncConnection) -> None:
    """What is paid leaves the house."""
    await db.execute(_SHIP, _moves(await _leave(db, payment.order_id, "shipped")))


@inventory.on(LinesReturned)
async def restock(goods: LinesReturned, db: AsyncConnection) -> StockReleased:
    """What comes back can be sold again."""
    back = _by_code(goods.accepted)
    await db.execute(_RESTOCK, _moves(back))
    return StockReleased(reference=goods.return_id, reason="returned", lines=_lines(back))


async def _on_hand(db: AsyncConnection, codes: Iterable[str]) -> dict[str, int]:
    """What is on the shelf, locked in the order of the codes, so that two orders cannot lock each other out."""
    rows = select(stock.c.stock_code, stock.c.on_hand).where(stock.c.stock_code.in_(list(codes))).order_by(stock.c.stock_code)
    return {row.stock_code: row.on_hand for row in await db.execute(rows.with_for_update())}


async def _leave(db: AsyncConnection, order_id: str, state: str) -> dict[str, int]:
    """End an order's reservation; gives what it held."""
    held = update(reservations).where(reservations.c.order_id == order_id, reservations.c.state == "held").values(state=state)
    rows = (await db.execute(held.returning(reservations.c.stock_code, reservations.c.quantity))).all()
    if not rows:
        raise LookupError(f"order {order_id} holds no reservation")
    return {row.stock_code: row.quantity for row in rows}


def _by_code(lines: Iterable[Line | StockLine | ReturnedLine]) -> dict[str, int]:
    """Pieces by stock code: an order may name one code on several lines."""
    pieces: Counter[str] = Counter()
    for line in lines:
        pieces[line.stock_code] += line.quantity
    return dict(sorted(pieces.items()))


def _moves(pieces: dict[str, int]) -> list[dict[str, object]]:
    return [{"code": code, "many": many} for code, many in pieces.items()]


def _lines(pieces: dict[str, int]) -> tuple[StockLine, ...]:
    return tuple(StockLine(stock_code=code, quantity=many) for code, many in pieces.items())
