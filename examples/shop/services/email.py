"""Email: a confirmation for every payment, kept in an outbound box for whatever sends mail."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Service

from ..events import PaymentProcessed


class Base(DeclarativeBase):
    metadata = MetaData()


class Confirmation(Base):
    __tablename__ = "confirmations"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    text: Mapped[str]


email = Service("email", tables=Base.metadata, cleared="customer_id")


@email.on(PaymentProcessed)
async def confirm(payment: PaymentProcessed, db: AsyncSession) -> None:
    """Thank the customer."""
    pounds = f"{payment.total_pence // 100}.{payment.total_pence % 100:02}"
    text = f"Thank you! Order {payment.order_id} ({len(payment.lines)} lines, £{pounds}) is paid. {payment.receipt}."
    db.add(Confirmation(order_id=payment.order_id, customer_id=payment.customer_id, text=text))
