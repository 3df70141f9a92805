"""Loyalty: a point for every whole pound of an order that is confirmed, less what came back of it; and a tier.

It only listens, and no other service knows of it. It follows orders and returns, which come from two services and so in any order:
what an order is worth is computed from what is known of it, never added to what was.
"""

from __future__ import annotations

from sqlalchemy import MetaData, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from farandole import Service

from ..events import LinesReturned, OrderCancelled, OrderConfirmed, OrderPlaced, PointsChanged

TIERS = ((5000, "gold"), (1000, "silver"), (0, "basic"))
"""From so many points on."""


class Base(DeclarativeBase):
    metadata = MetaData()


class Score(Base):
    """What is known of one order; `state` is placed, confirmed or cancelled, or unheard: its return came first."""

    __tablename__ = "scores"

    order_id: Mapped[str] = mapped_column(primary_key=True)
    customer_id: Mapped[str | None]
    pence: Mapped[int] = mapped_column(default=0)
    returned: Mapped[int] = mapped_column(default=0)
    state: Mapped[str] = mapped_column(default="unheard")
    points: Mapped[int] = mapped_column(default=0)


class Member(Base):
    __tablename__ = "members"

    customer_id: Mapped[str] = mapped_column(primary_key=True)
    points: Mapped[int]


loyalty = Service("loyalty", tables=Base.metadata, cleared="customer_id")

_COLLECT = text(
    "INSERT INTO members VALUES (:customer, :change) "
    "ON CONFLICT (customer_id) DO UPDATE SET points = members.points + excluded.points RETURNING points"
)


@loyalty.on(OrderPlaced, OrderConfirmed, OrderCancelled)
async def follow(order: OrderPlaced | OrderConfirmed | OrderCancelled, db: AsyncSession) -> PointsChanged | None:
    """Note whose order it is, and how it ends. One reaction for all three, so that they come in order; guests collect nothing."""
    score = await db.get(Score, order.order_id, with_for_update=True)
    if isinstance(order, OrderPlaced):
        if order.customer_id is not None:
            score = score or _new(db, order.order_id)
            score.customer_id, score.pence, score.state = order.customer_id, order.total_pence, "placed"
        return None
    if score is None:
        return None
    score.state = "confirmed" if isinstance(order, OrderConfirmed) else "cancelled"
    return await _settle(db, score)


@loyalty.on(LinesReturned)
async def take_back(goods: LinesReturned, db: AsyncSession) -> list[PointsChanged]:
    """What comes back earns nothing. A return may be heard before its order; then `follow` finds it noted here."""
    parts: dict[str, int] = {}
    for line in goods.accepted:
        parts[line.order_id] = parts.get(line.order_id, 0) + line.pence
    changed = []
    for order_id, pence in sorted(parts.items()):  # locked in this order, so that two returns cannot lock each other out
        score = await db.get(Score, order_id, with_for_update=True) or _new(db, order_id)
        score.returned += pence
        if change := await _settle(db, score):
            changed.append(change)
    return changed


def _new(db: AsyncSession, order_id: str) -> Score:
    score = Score(order_id=order_id, customer_id=None, pence=0, returned=0, state="unheard", points=0)
    db.add(score)
    return score


async def _settle(db: AsyncSession, score: Score) -> PointsChanged | None:
    """Give the customer what an order is worth now, less what it was worth before."""
    worth = (score.pence - score.returned) // 100 if score.state == "confirmed" else 0
    change, score.points = worth - score.points, worth
    if not change:
        return None
    points = await db.scalar(_COLLECT, {"customer": score.customer_id, "change": change})
    return PointsChanged(order_id=score.order_id, change=change, tier=tier_of(int(points or 0)))


def tier_of(points: int) -> str:
    """The tier of somebody with so many points."""
    return next(tier for least, tier in TIERS if points >= least)
