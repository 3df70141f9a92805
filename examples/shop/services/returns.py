"""Returns: takes goods back for orders it knows to be confirmed.

It never asks the orders service: it keeps what it heard of the lines sold. Hearing takes a moment, so a customer may be ahead of
it. The command therefore names the orders that the customer knows to be confirmed; until the service knows them too, it
refuses, and the caller asks again.
"""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import MetaData, String, TypeDecorator, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Reject, Service

from ..allocation import Sold, allocate
from ..events import (
    LinesReturned,
    OrderConfirmed,
    OrderPlaced,
    PaymentRefunded,
    RejectedLine,
    ReturnCompleted,
    ReturnLines,
    ReturnRejected,
    StockReleased,
)

NOT_YET = "not every confirmed order is known here yet; ask again in a moment"


class Exact(TypeDecorator[Decimal]):
    """A decimal kept as text: SQLite's numbers would round it."""

    impl = String
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: object) -> str | None:
        return None if value is None else str(value)

    def process_result_value(self, value: str | None, dialect: object) -> Decimal | None:
        return None if value is None else Decimal(value)


class Base(DeclarativeBase):
    metadata = MetaData()


class KnownOrder(Base):
    __tablename__ = "known_orders"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str] = mapped_column(index=True)
    sequence: Mapped[int]
    confirmed: Mapped[bool]


class SoldLine(Base):
    __tablename__ = "sold_lines"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    stock_code: Mapped[str]
    unit_price: Mapped[Decimal] = mapped_column(Exact)
    left: Mapped[int]


class Return(Base):
    """`verdict` is accepted, partial or rejected; money and goods come back on their own ways."""

    __tablename__ = "returns"

    return_id: Mapped[str] = mapped_column(primary_key=True)
    verdict: Mapped[str]
    refund_pence: Mapped[int]
    refunded: Mapped[bool] = mapped_column(default=False)
    restocked: Mapped[bool] = mapped_column(default=False)


class TakenLine(Base):
    """What one line of a return gave back."""

    __tablename__ = "taken_lines"

    return_id: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[str]
    stock_code: Mapped[str]
    quantity: Mapped[int]
    pence: Mapped[int]


returns = Service("returns", tables=Base.metadata, cleared="customer_id")


@returns.on(OrderPlaced, OrderConfirmed)
async def remember(order: OrderPlaced | OrderConfirmed, db: AsyncSession) -> None:
    """Keep what a customer buys. One reaction for both events, so that they come in order; guests cannot return anything."""
    if isinstance(order, OrderConfirmed):
        await db.execute(update(KnownOrder).where(KnownOrder.order_id == order.order_id).values(confirmed=True))
    elif order.customer_id is not None:
        db.add(KnownOrder(order_id=order.order_id, customer_id=order.customer_id, sequence=order.sequence, confirmed=False))
        rows = [
            {
                "order_id": order.order_id,
                "position": position,
                "stock_code": line.stock_code,
                "unit_price": line.unit_price,
                "left": line.quantity,
            }
            for position, line in enumerate(order.lines)
        ]
        await db.execute(insert(SoldLine), rows)


@returns.command
async def take_back(goods: ReturnLines, db: AsyncSession) -> LinesReturned | ReturnRejected:
    """Decide line by line; see `allocation` for the rule."""
    if await db.get(Return, goods.return_id) is not None:
        raise Reject(f"return {goods.return_id} exists already; a return id is used once")
    if goods.customer_id is None:
        guest = tuple(RejectedLine(line.stock_code, line.quantity, "a guest cannot return") for line in goods.lines)
        db.add(Return(return_id=goods.return_id, verdict="rejected", refund_pence=0))
        return ReturnRejected(return_id=goods.return_id, rejected=guest)
    await _need_to_know(db, goods.confirmed)
    sold = await _sold(db, goods.customer_id, {line.stock_code for line in goods.lines})
    before = [line.left for line in sold]
    accepted, rejected = allocate(goods.lines, sold)
    changed = [line for line, left in zip(sold, before, strict=True) if line.left != left]
    if changed:
        rows = [{"order_id": line.order_id, "position": line.position, "left": line.left} for line in changed]
        await db.execute(update(SoldLine), rows)
    verdict = "rejected" if not accepted else "partial" if rejected else "accepted"
    refund = sum(line.pence for line in accepted)
    db.add(Return(return_id=goods.return_id, verdict=verdict, refund_pence=refund))
    db.add_all(
        TakenLine(
            return_id=goods.return_id,
            position=position,
            order_id=line.order_id,
            stock_code=line.stock_code,
            quantity=line.quantity,
            pence=line.pence,
        )
        for position, line in enumerate(accepted)
    )
    if not accepted:
        return ReturnRejected(return_id=goods.return_id, rejected=tuple(rejected))
    return LinesReturned(return_id=goods.return_id, accepted=tuple(accepted), rejected=tuple(rejected), refund_pence=refund)


@returns.on(PaymentRefunded, StockReleased)
async def complete(part: PaymentRefunded | StockReleased, db: AsyncSession) -> ReturnCompleted | None:
    """A return ends when both its money and its goods are back, whichever comes first."""
    return_id = part.return_id if isinstance(part, PaymentRefunded) else part.reference
    goods = await db.get(Return, return_id, with_for_update=True)
    if goods is None:  # stock released for a cancelled order
        return None
    if isinstance(part, PaymentRefunded):
        goods.refunded = True
    else:
        goods.restocked = True
    return ReturnCompleted(return_id=return_id) if goods.refunded and goods.restocked else None


async def _need_to_know(db: AsyncSession, confirmed: tuple[str, ...]) -> None:
    known = select(func.count()).where(KnownOrder.order_id.in_(confirmed), KnownOrder.confirmed)
    if confirmed and await db.scalar(known) != len(set(confirmed)):
        raise Reject(NOT_YET)


async def _sold(db: AsyncSession, customer_id: str, codes: set[str]) -> list[Sold]:
    """The customer's confirmed lines of these codes, latest order first."""
    rows = (
        select(SoldLine.order_id, SoldLine.position, SoldLine.stock_code, SoldLine.unit_price, SoldLine.left)
        .join(KnownOrder, KnownOrder.order_id == SoldLine.order_id)
        .where(KnownOrder.customer_id == customer_id, KnownOrder.confirmed, SoldLine.stock_code.in_(codes))
        .order_by(KnownOrder.sequence.desc(), SoldLine.position)
    )
    return [Sold(*row) for row in await db.execute(rows)]
