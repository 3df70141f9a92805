"""Bank: asks the bank to charge cards, under one key per top-up, and never leaves a doubtful charge alone."""

from __future__ import annotations

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Context, Policy, Retry, Service

from ..bank_api import Bank, CardDeclined, open_bank
from ..events import (
    BankCharged,
    ChargeDeclined,
    ChargeInDoubt,
    ChargeReversed,
    PostingRefused,
    ReversalFailed,
    TopUpEvent,
    TopUpInitiated,
    about,
)

BRIEF = Policy(retry=Retry(attempts=3, delay=0.2, factor=2.0), timeout=2.5)
"""A customer waits: three tries, of two and a half seconds at most."""

PATIENT = Policy(retry=Retry(attempts=200, delay=0.1, factor=1.5, longest=2.0), timeout=2.5)
"""Money that is not ours goes back, however long the bank is away: here some minutes, so that a demo ends."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Charge(Base):
    """`state` is charged, declined, in doubt or reversed."""

    __tablename__ = "charges"

    topup_id: Mapped[str] = mapped_column(primary_key=True)
    pence: Mapped[int]
    state: Mapped[str]


bank = Service("bank", tables=Base.metadata, cleared="card")
bank.provide(Bank, open_bank)


@bank.on(TopUpInitiated, policy=BRIEF)
async def charge(request: TopUpInitiated, api: Bank, db: AsyncSession, context: Context) -> BankCharged | ChargeDeclined:
    """Take the money from the card."""
    try:
        receipt = await api.charge(request.topup_id, request.card, request.pence, idempotency_key=context.idempotency_key)
    except CardDeclined as refusal:
        await _note(db, request, "declined")
        return ChargeDeclined(**about(request), reason=str(refusal))
    await _note(db, request, "charged")
    return BankCharged(**about(request), receipt=receipt)


@charge.exhausted
async def doubt(request: TopUpInitiated, db: AsyncSession) -> ChargeInDoubt:
    """The bank never answered. Whether it charged, only a reversal can make certain."""
    await _note(db, request, "in doubt")
    return ChargeInDoubt(**about(request))


@bank.on(PostingRefused, compensates=charge, undoes=BankCharged, policy=PATIENT)
async def reverse(refusal: PostingRefused, api: Bank, db: AsyncSession, context: Context) -> ChargeReversed:
    """Give back what was charged, or make certain that nothing was."""
    undone = await api.reverse(refusal.topup_id, idempotency_key=context.idempotency_key)
    await _note(db, refusal, "reversed")
    return ChargeReversed(**about(refusal), returned_pence=undone)


@reverse.exhausted
async def call_them(refusal: PostingRefused) -> ReversalFailed:
    """No machine can help any more."""
    return ReversalFailed(**about(refusal))


async def _note(db: AsyncSession, event: TopUpEvent, state: str) -> None:
    await db.merge(Charge(topup_id=event.topup_id, pence=event.pence, state=state))
