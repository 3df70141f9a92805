"""Payments: charges through a gateway that may fail, answer too late or say no, and never leaves a doubtful charge alone."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Context, Policy, Retry, Service

from ..events import (
    ChargeInDoubt,
    LinesReturned,
    OrderCleared,
    OrderSuspected,
    PaymentFailed,
    PaymentProcessed,
    PaymentRefunded,
    PaymentVoided,
    Refund,
    details,
)
from ..gateway import CardDeclined, Gateway, open_gateway

BRIEF = Policy(retry=Retry(attempts=3, delay=0.05, factor=2.0))
"""A customer waits: after three tries the order fails."""

PATIENT = Policy(retry=Retry(attempts=100, delay=0.05, factor=1.5, longest=1.0))
"""Money that is owed is paid, however long the gateway is away: here a minute or two, so that a demo ends."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Payment(Base):
    """`state` is processed, declined, in doubt or voided."""

    __tablename__ = "payments"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    pence: Mapped[int]
    state: Mapped[str]
    receipt: Mapped[str | None]


class PaidBack(Base):
    """What one return gave back to the payer of one order."""

    __tablename__ = "refunds"

    return_id: Mapped[str] = mapped_column(primary_key=True)
    order_id: Mapped[str] = mapped_column(primary_key=True)
    pence: Mapped[int]


payments = Service("payments", tables=Base.metadata, cleared="customer_id")
payments.provide(Gateway, open_gateway)


@payments.on(OrderCleared, policy=BRIEF)
async def charge(order: OrderCleared, gateway: Gateway, db: AsyncSession, context: Context) -> PaymentProcessed | PaymentFailed:
    """Take the money for an order whose goods are set aside, and that nothing speaks against."""
    try:
        receipt = await gateway.charge(order.order_id, order.total_pence, idempotency_key=context.idempotency_key)
    except CardDeclined as refusal:
        db.add(Payment(order_id=order.order_id, pence=order.total_pence, state="declined", receipt=None))
        return PaymentFailed(order_id=order.order_id, reason=str(refusal))
    db.add(Payment(order_id=order.order_id, pence=order.total_pence, state="processed", receipt=receipt))
    return PaymentProcessed(**details(order), receipt=receipt)


@charge.exhausted
async def gave_up(order: OrderCleared, db: AsyncSession) -> tuple[PaymentFailed, ChargeInDoubt]:
    """The gateway never answered: the order fails now, and whether it was charged is looked after at leisure."""
    db.add(Payment(order_id=order.order_id, pence=order.total_pence, state="in doubt", receipt=None))
    return (
        PaymentFailed(order_id=order.order_id, reason="the gateway did not answer"),
        ChargeInDoubt(order_id=order.order_id),
    )


@payments.on(OrderSuspected)
async def refuse(order: OrderSuspected) -> PaymentFailed:
    """No charge, so no money: whoever works on the order knows what to do then."""
    return PaymentFailed(order_id=order.order_id, reason=order.reason)


@payments.on(ChargeInDoubt, policy=PATIENT)
async def void(doubt: ChargeInDoubt, gateway: Gateway, db: AsyncSession, context: Context) -> PaymentVoided:
    """Nobody pays for a cancelled order: undo whatever the gateway charged."""
    undone = await gateway.void(doubt.order_id, idempotency_key=context.idempotency_key)
    payment = await db.get_one(Payment, doubt.order_id)
    payment.state = "voided"
    return PaymentVoided(order_id=doubt.order_id, pence=undone)


@payments.on(LinesReturned, policy=PATIENT)
async def refund(goods: LinesReturned, gateway: Gateway, db: AsyncSession, context: Context) -> PaymentRefunded:
    """Pay back what came back: a part of one or several orders."""
    parts: dict[str, int] = {}
    for line in goods.accepted:
        parts[line.order_id] = parts.get(line.order_id, 0) + line.pence
    await gateway.refund(parts, idempotency_key=context.idempotency_key)
    db.add_all(PaidBack(return_id=goods.return_id, order_id=order_id, pence=pence) for order_id, pence in parts.items())
    return PaymentRefunded(
        return_id=goods.return_id, refunds=tuple(Refund(order_id=order_id, pence=pence) for order_id, pence in parts.items())
    )
