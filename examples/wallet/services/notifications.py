"""Notifications: one letter when a top-up ends, and one when money came back; kept in an outbound box for whatever sends mail."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Service

from ..events import ChargeReversed, TopUpCompleted, TopUpFailed


class Base(DeclarativeBase):
    metadata = MetaData()


class Letter(Base):
    """Nothing in the table keeps a second letter out: that is the inbox's work."""

    __tablename__ = "letters"

    number: Mapped[int] = mapped_column(primary_key=True)
    topup_id: Mapped[str]
    account_id: Mapped[str]
    kind: Mapped[str]  # completed, failed or returned
    text: Mapped[str]


notifications = Service("notifications", tables=Base.metadata)


@notifications.on(TopUpCompleted, TopUpFailed)
async def tell(end: TopUpCompleted | TopUpFailed, db: AsyncSession) -> None:
    """How it ended."""
    if isinstance(end, TopUpCompleted):
        kind, words = "completed", f"{_pounds(end.pence)} are in your wallet."
    else:
        kind, words = (
            "failed",
            f"{_pounds(end.pence)} are not in your wallet: {end.reason}. What was charged, if anything, goes back.",
        )
    db.add(Letter(topup_id=end.topup_id, account_id=end.account_id, kind=kind, text=words))


@notifications.on(ChargeReversed)
async def tell_return(reversal: ChargeReversed, db: AsyncSession) -> None:
    """That money is back, where there was any."""
    if reversal.returned_pence:
        words = f"{_pounds(reversal.returned_pence)} are back on your card."
        db.add(Letter(topup_id=reversal.topup_id, account_id=reversal.account_id, kind="returned", text=words))


def _pounds(pence: int) -> str:
    return f"£{pence // 100}.{pence % 100:02}"
