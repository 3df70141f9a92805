"""Fulfilment: inside, a process tells each step when it is its turn; outside, it listens and speaks like everybody else."""

from __future__ import annotations

from datetime import timedelta

import msgspec
from sqlalchemy import Column, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Command, Policy, Retry, Service

from ..carrier import Carrier, Refused
from ..events import (
    FulfilmentFailed,
    GoodsMissing,
    GoodsPicked,
    GoodsPutBack,
    HandOver,
    LabelPrinted,
    LabelRefused,
    LabelVoided,
    OrderPaid,
    OrderShipped,
    ParcelHandedOver,
    ParcelRefused,
    PickGoods,
    PrintLabel,
    PutGoodsBack,
    VoidLabel,
)

__all__ = ["Fulfilment", "StockShelf", "fulfilment", "process"]

PATIENT = Policy(retry=Retry(attempts=100, delay=0.05, factor=1.5, longest=1.0))
"""The carrier answers sooner or later; here within a minute or two, so that a demo ends."""

tables = MetaData()
shelves = Table("shelves", tables, Column("sku", String, primary_key=True), Column("pieces", Integer))
picked = Table("picked", tables, Column("order_id", String, primary_key=True), Column("sku", String), Column("state", String))
journal = Table(
    "journal", tables, Column("number", Integer, primary_key=True), Column("order_id", String), Column("what", String)
)

fulfilment = Service("fulfilment", tables=tables, policy=PATIENT, doc="From the shelf to the carrier.")
fulfilment.provide(Carrier, Carrier)


class Fulfilment(msgspec.Struct):
    """What the process knows of an order."""

    sku: str = ""
    address: str = ""
    label: str | None = None


process = fulfilment.process("parcel", by="order_id", state=Fulfilment)


@process.starts(OrderPaid)
async def begin(event: OrderPaid, state: Fulfilment) -> PickGoods:
    """Fetch it."""
    state.sku, state.address = event.sku, event.address
    return PickGoods(order_id=event.order_id, sku=event.sku)


@process.on(GoodsPicked)
async def goods_are_here(event: GoodsPicked, state: Fulfilment) -> PrintLabel:
    """Write on it where it goes."""
    return PrintLabel(order_id=event.order_id, address=state.address)


@process.on(LabelPrinted)
async def label_is_on(event: LabelPrinted, state: Fulfilment) -> HandOver:
    """Give it away."""
    state.label = event.label
    return HandOver(order_id=event.order_id)


@process.completes(ParcelHandedOver)
async def sent(event: ParcelHandedOver, state: Fulfilment) -> OrderShipped:
    """Tell the others."""
    return OrderShipped(order_id=event.order_id, label=state.label or "")


@process.undo(LabelPrinted, until=LabelVoided)
async def void_the_label(event: LabelPrinted) -> VoidLabel:
    """The carrier should not wait for it."""
    return VoidLabel(order_id=event.order_id)


@process.undo(GoodsPicked, until=GoodsPutBack)
async def put_it_back(event: GoodsPicked) -> PutGoodsBack:
    """Only when no label leads to it any more."""
    return PutGoodsBack(order_id=event.order_id)


@process.fails(GoodsMissing, LabelRefused, ParcelRefused)
async def give_up(event: GoodsMissing | LabelRefused | ParcelRefused) -> FulfilmentFailed:
    """All is undone by now: tell the others why."""
    reason = f"no {event.sku} on the shelf" if isinstance(event, GoodsMissing) else event.reason
    return FulfilmentFailed(order_id=event.order_id, reason=reason)


@process.timeout(after=OrderPaid, within=timedelta(hours=2), unless=LabelPrinted, fails=True)
async def too_slow(event: OrderPaid) -> FulfilmentFailed:
    """Nobody waits for ever; but once there is a label, the carrier may be on its way, and only the carrier can say no."""
    return FulfilmentFailed(order_id=event.order_id, reason="it took too long")


class StockShelf(Command):
    sku: str
    pieces: int


@fulfilment.command
async def stock_shelf(command: StockShelf, db: AsyncConnection) -> None:
    """Pieces are put on a shelf."""
    await db.execute(insert(shelves).values(sku=command.sku, pieces=command.pieces))
    for _ in range(command.pieces):
        await _note(db, "", command.sku)


@fulfilment.command
async def pick(command: PickGoods, db: AsyncConnection) -> GoodsPicked | GoodsMissing:
    """Go to the shelf."""
    pieces = (await db.execute(select(shelves.c.pieces).where(shelves.c.sku == command.sku).with_for_update())).scalar() or 0
    if not pieces:
        return GoodsMissing(order_id=command.order_id, sku=command.sku)
    await db.execute(update(shelves).where(shelves.c.sku == command.sku).values(pieces=pieces - 1))
    await db.execute(insert(picked).values(order_id=command.order_id, sku=command.sku, state="picked"))
    await _note(db, command.order_id, "picked")
    return GoodsPicked(order_id=command.order_id)


@fulfilment.command
async def put_back(command: PutGoodsBack, db: AsyncConnection) -> GoodsPutBack:
    """Go to the shelf once more."""
    sku = (await db.execute(select(picked.c.sku).where(picked.c.order_id == command.order_id))).scalar_one()
    await db.execute(update(shelves).where(shelves.c.sku == sku).values(pieces=shelves.c.pieces + 1))
    await db.execute(update(picked).where(picked.c.order_id == command.order_id).values(state="back"))
    await _note(db, command.order_id, "put back")
    return GoodsPutBack(order_id=command.order_id)


@fulfilment.command
async def print_label(command: PrintLabel, carrier: Carrier, db: AsyncConnection) -> LabelPrinted | LabelRefused:
    """Ask the carrier for a label."""
    try:
        label = await carrier.print_label(command.order_id, command.address)
    except Refused as refusal:
        return LabelRefused(order_id=command.order_id, reason=str(refusal))
    await _note(db, command.order_id, "label printed")
    return LabelPrinted(order_id=command.order_id, label=label)


@print_label.exhausted
async def no_label(command: PrintLabel, carrier: Carrier) -> LabelRefused:
    """Whatever the carrier printed and did not say is void."""
    await carrier.void(command.order_id)
    return LabelRefused(order_id=command.order_id, reason="the carrier does not answer")


@fulfilment.command
async def void_label(command: VoidLabel, carrier: Carrier, db: AsyncConnection) -> LabelVoided:
    """Tell the carrier that nothing comes."""
    await carrier.void(command.order_id)
    await _note(db, command.order_id, "label void")
    return LabelVoided(order_id=command.order_id)


@fulfilment.command
async def hand_over(command: HandOver, carrier: Carrier, db: AsyncConnection) -> ParcelHandedOver | ParcelRefused:
    """The carrier fetches it."""
    sku = (await db.execute(select(picked.c.sku).where(picked.c.order_id == command.order_id))).scalar_one()
    try:
        await carrier.collect(command.order_id, fragile=sku == "vase")
    except Refused as refusal:
        return ParcelRefused(order_id=command.order_id, reason=str(refusal))
    await db.execute(update(picked).where(picked.c.order_id == command.order_id).values(state="gone"))
    await _note(db, command.order_id, "handed over")
    return ParcelHandedOver(order_id=command.order_id)


@hand_over.exhausted
async def nobody_came(command: HandOver) -> ParcelRefused:
    """The label is voided then; with it, a parcel that was fetched comes back."""
    return ParcelRefused(order_id=command.order_id, reason="the carrier does not come")


async def _note(db: AsyncConnection, order_id: str, what: str) -> None:
    """Write down what was done, in its order."""
    await db.execute(insert(journal).values(order_id=order_id, what=what))
