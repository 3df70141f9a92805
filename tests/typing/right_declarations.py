"""Right usage: neither type checker may object to a line of it, and both must infer these types."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from enum import Enum
from typing import Annotated, Any, Literal, Protocol, assert_type

import msgspec

import farandole
from farandole import (
    Choreography,
    Command,
    Effects,
    Event,
    Guard,
    Later,
    Move,
    Policy,
    Process,
    Reaction,
    Reject,
    Retry,
    Sensitive,
    Service,
    Skip,
    Workflow,
    all_items,
    all_of,
    allow_cycle,
    any_of,
)


class OrderEvent(Event, topic="orders", key="order_id"):
    order_id: str


class OrderPlaced(OrderEvent, version="1.0"):
    email: Annotated[str, Sensitive]
    total_cents: int = 0


class OrderShipped(OrderPlaced):
    parcel: str  # after one with a default: fine, because fields are given by keyword


class PaymentCompleted(Event, version="2.1", name="Paid", key=None):
    order_id: str


class PaymentFailed(Event):
    order_id: str


class PaymentRefunded(Event):
    order_id: str


class CustomerMoved(Event, of="crm.customers"):
    city: str


class PlaceOrder(Command):
    order_id: str


class Size(Enum):
    SMALL = 1


class Gateway(Protocol):
    async def charge(self, cents: int) -> None: ...


class RealGateway:
    async def charge(self, cents: int) -> None: ...


async def open_gateway() -> AsyncIterator[Gateway]:
    yield RealGateway()


placed = OrderPlaced(order_id="1", email="a@b.c")
assert_type(placed.total_cents, int)
assert_type(placed.replace(total_cents=3), OrderPlaced)
shipped = OrderShipped(order_id="1", email="a@b.c", parcel="p")

orders = Service("orders")
payments = Service("payments", policy=Policy(retry=Retry(attempts=3, delay=0.5), timeout=timedelta(seconds=5)))
payments.provide(Gateway, open_gateway)
payments.provide(dict, {}, local=True)


@payments.on(OrderPlaced, policy=Policy(on_failure="skip", concurrency=4), formerly="take_money")
async def charge(order: OrderPlaced, gateway: Gateway) -> PaymentCompleted | PaymentFailed:
    if order.total_cents < 0:
        raise Reject("nothing to pay")
    await gateway.charge(order.total_cents)
    return PaymentCompleted(order_id=order.order_id)


@charge.exhausted
async def gave_up(order: OrderPlaced, gateway: Gateway, error: Exception) -> PaymentFailed:
    return PaymentFailed(order_id=order.order_id)


@payments.on(PaymentFailed, compensates=charge, undoes=PaymentCompleted)
async def refund(event: PaymentFailed, *, gateway: Gateway) -> PaymentRefunded | None:
    raise Skip("nothing was charged")


@orders.command
async def place(command: PlaceOrder) -> OrderPlaced:
    return OrderPlaced(order_id=command.order_id, email="")


@orders.on(PaymentCompleted, PaymentFailed)
async def finish(event: PaymentCompleted | PaymentFailed) -> None: ...


@orders.on(PaymentCompleted, PaymentFailed, PaymentRefunded)
def count(event: PaymentCompleted | PaymentFailed | PaymentRefunded) -> list[OrderShipped]:
    return []


@orders.on(PaymentCompleted, PaymentFailed, PaymentRefunded, CustomerMoved)
async def audit(event: Event) -> tuple[OrderShipped, ...]:  # a base accepts them all
    return ()


@orders.on(OrderPlaced, PaymentCompleted, PaymentFailed, PaymentRefunded, CustomerMoved, policy=Policy())
async def everything(event: Event) -> None: ...


async def use() -> None:
    gateway = RealGateway()
    assert_type(await charge(placed, gateway), PaymentCompleted | PaymentFailed)
    assert_type(await charge(placed, gateway=gateway), PaymentCompleted | PaymentFailed)
    assert_type(await refund(PaymentFailed(order_id="1"), gateway=gateway), PaymentRefunded | None)
    assert_type(await place(PlaceOrder(order_id="1")), OrderPlaced)
    assert_type(await gave_up(placed, gateway, ValueError()), PaymentFailed)
    assert_type(count(PaymentFailed(order_id="1")), list[OrderShipped])


anything: Reaction[OrderPlaced, ..., Any] = charge
checkout = Workflow("checkout", starts=OrderPlaced, succeeds=PaymentCompleted, fails=(PaymentFailed,), within=timedelta(1))
shop = Choreography("shop", orders, payments, workflows=[checkout])


async def run() -> None:
    async with farandole.open(shop) as app:
        receipt = await app.send(PlaceOrder(order_id="1"), idempotency_key="k")
        assert_type(receipt, farandole.Receipt)
        assert_type(receipt.correlation_id, str)


shipping = Service("shipping", version="1.2.0", team="logistics", cleared="OrderPlaced.email")


class LinePicked(Event, topic="picks", key="order_id", public=True):
    order_id: str
    line_count: int


@shipping.on(all_of(OrderPlaced, OrderShipped), by="order_id", within=timedelta(hours=1), effects=Effects(writes=("stock",)))
async def pack(placed: OrderPlaced, shipped: OrderShipped, gateway: Gateway) -> PaymentFailed | None: ...


@pack.late
async def too_late(event: OrderPlaced | OrderShipped) -> None: ...


@shipping.on(any_of(PaymentFailed, PaymentRefunded), by="order_id")
async def first_of(event: PaymentFailed | PaymentRefunded) -> None: ...


@shipping.on(
    all_items(LinePicked, expected="line_count"), states=Move("order", valid=("new", "open"), to="packed", by="order_id")
)
async def gather(lines: Sequence[LinePicked]) -> None: ...


@shipping.deadline(after=OrderPlaced, unless=(PaymentFailed, PaymentRefunded), within=timedelta(minutes=15), by="order_id")
async def give_up(order: OrderPlaced) -> PaymentFailed | None: ...


assert_type(allow_cycle(OrderPlaced, at_most=3).at_most, int)


async def order_state(event: OrderEvent) -> str | None:
    return event.order_id or None


async def door_state(event: Event) -> Literal["open", "shut"]:
    return "open"


async def size(event: Event) -> Size | None: ...


@orders.on(PaymentFailed, guard=Guard(door_state, "open", None, otherwise="wait"))
async def knock(event: PaymentFailed) -> PaymentRefunded:
    return PaymentRefunded(order_id=event.order_id)


@orders.on(all_of(OrderPlaced, OrderShipped), guard=Guard(size, Size.SMALL), by="order_id")
async def wrap(placed: OrderPlaced, shipped: OrderShipped) -> None: ...


@orders.command(states=Move("order", valid=("placed",), to="cancelled"), guard=order_state, effects=Effects())
async def cancel(command: PlaceOrder, gateway: Gateway) -> PaymentFailed:
    return PaymentFailed(order_id=command.order_id)


async def use_guarded() -> None:
    assert_type(await knock(PaymentFailed(order_id="1")), PaymentRefunded)
    assert_type(await cancel(PlaceOrder(order_id="1"), RealGateway()), PaymentFailed)


class ReminderDue(Event, key="order_id"):
    order_id: str


@shipping.on(OrderPlaced)
async def remind(event: OrderPlaced) -> Later[ReminderDue] | None:
    assert_type(Later(ReminderDue(order_id="1"), after=timedelta(days=1)), Later[ReminderDue])
    return Later(ReminderDue(order_id=event.order_id), after=3600)


async def reminds() -> None:
    assert_type(await remind(OrderPlaced(order_id="1", email="e")), Later[ReminderDue] | None)


class Parcel(msgspec.Struct):
    weight: int = 0


class Weigh(Command):
    order_id: str


parcel = shipping.process("parcel", by="order_id", state=Parcel)
assert_type(parcel, Process[Parcel])


@parcel.starts(OrderPlaced)
async def begin_parcel(event: OrderPlaced, state: Parcel, gateway: Gateway) -> Weigh | None: ...


@parcel.on(PaymentFailed, PaymentRefunded, policy=Policy(timeout=5))
async def either(event: PaymentFailed | PaymentRefunded, state: Parcel) -> None: ...


@parcel.undo(PaymentRefunded, until=PaymentFailed)
async def undo_it(event: PaymentRefunded) -> Later[ReminderDue] | None: ...


@parcel.timeout(after=OrderPlaced, within=timedelta(hours=1), fails=True)
async def parcel_is_slow(event: OrderPlaced) -> None: ...


@parcel.completes(ReminderDue)
async def parcel_done(event: ReminderDue) -> None: ...


@parcel.upgrade
def parcel_v2(old: Parcel) -> Parcel:
    return old


async def parcels(gateway: Gateway) -> None:
    assert_type(await begin_parcel(OrderPlaced(order_id="1", email="e"), Parcel(), gateway), Weigh | None)
