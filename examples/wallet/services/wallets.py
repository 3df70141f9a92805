"""Wallets: the door for top-ups, and what people see of them. It waits for the bank, but not for ever."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import MetaData
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Move, Reject, Service

from ..events import (
    ChargeDeclined,
    ChargeReversed,
    PostingRefused,
    TopUp,
    TopUpCompleted,
    TopUpFailed,
    TopUpInitiated,
    TopUpOverdue,
    TopUpPosted,
    about,
)

PATIENCE = timedelta(seconds=4)
"""How long the bank has. So short that a demo ends; where a customer looks at a page it is a minute."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Request(Base):
    """`state` is pending, completed or failed; `overdue`: it was decided only after the deadline."""

    __tablename__ = "topups"

    topup_id: Mapped[str] = mapped_column(primary_key=True)
    account_id: Mapped[str]
    pence: Mapped[int]
    state: Mapped[str]
    reason: Mapped[str | None] = mapped_column(default=None)
    returned_pence: Mapped[int] = mapped_column(default=0)
    overdue: Mapped[bool] = mapped_column(default=False)


wallets = Service("wallets", tables=Base.metadata)


@wallets.command
async def top_up(request: TopUp, db: AsyncSession) -> TopUpInitiated:
    """Begin."""
    if request.pence <= 0:
        raise Reject(f"a top-up of {request.pence} pence: there is nothing to charge")
    if await db.get(Request, request.topup_id) is not None:
        raise Reject(f"top-up {request.topup_id} exists already; a top-up id is used once")
    db.add(Request(topup_id=request.topup_id, account_id=request.account_id, pence=request.pence, state="pending"))
    return TopUpInitiated(topup_id=request.topup_id, account_id=request.account_id, pence=request.pence, card=request.card)


@wallets.deadline(after=TopUpInitiated, unless=(TopUpPosted, PostingRefused, ChargeDeclined), within=PATIENCE)
async def remind(request: TopUpInitiated) -> TopUpOverdue:
    """Nobody has decided in time. This service does not decide either: the money may just now be on its way into the ledger."""
    return TopUpOverdue(**about(request))


@remind.late
async def note(answer: TopUpPosted | PostingRefused | ChargeDeclined, db: AsyncSession) -> None:
    """Decided now, mostly because of the reminder. `complete` and `fail` take it as any other answer; here people see that it took long."""
    (await db.get_one(Request, answer.topup_id)).overdue = True


@wallets.on(TopUpPosted, states=Move("top-up", valid=("pending",), to="completed", by="topup_id"))
async def complete(posted: TopUpPosted, db: AsyncSession) -> TopUpCompleted:
    """The money is in the wallet."""
    request = await db.get_one(Request, posted.topup_id)
    if request.state != "pending":
        raise ValueError(f"top-up {posted.topup_id} is {request.state}, and the ledger has credited it")
    request.state = "completed"
    return TopUpCompleted(**about(posted))


@wallets.on(PostingRefused, ChargeDeclined, states=Move("top-up", valid=("pending",), to="failed", by="topup_id"))
async def fail(refusal: PostingRefused | ChargeDeclined, db: AsyncSession) -> TopUpFailed | None:
    """The ledger or the bank said no. Both may: the ledger while the bank was silent, the bank later on."""
    request = await db.get_one(Request, refusal.topup_id, with_for_update=True)
    if request.state == "failed":
        return None
    if request.state != "pending":
        raise ValueError(f"top-up {refusal.topup_id} is {request.state}, and was refused: {refusal.reason}")
    request.state, request.reason = "failed", refusal.reason
    return TopUpFailed(**about(refusal), reason=refusal.reason)


@wallets.on(ChargeReversed)
async def give_back(reversal: ChargeReversed, db: AsyncSession) -> None:
    """People see what came back to their card."""
    (await db.get_one(Request, reversal.topup_id)).returned_pence = reversal.returned_pence
