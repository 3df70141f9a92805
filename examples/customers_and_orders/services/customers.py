"""Customers: how much credit each has, and what is held of it for which order.

`reserved` is the sum of what is held. It changes by one statement that looks and takes at once, so that any number of processes may
do so at the same moment, and none of them sees a limit exceeded.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Integer, MetaData, String, Table, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Effects, Reject, Service

from ..events import (
    CreateCustomer,
    CreditLimitExceeded,
    CreditReleased,
    CreditReserved,
    CustomerCreated,
    CustomerNotFound,
    OrderCancelled,
    OrderCreated,
)

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("customer_id", String, primary_key=True),
    Column("name", String, nullable=False),
    Column("limit_cents", Integer, nullable=False),
    Column("reserved_cents", Integer, nullable=False, default=0),
)
reservations = Table(
    "reservations",
    metadata,
    Column("order_id", String, primary_key=True),
    Column("customer_id", String, ForeignKey(accounts.c.customer_id), nullable=False),
    Column("cents", Integer, nullable=False),
    Column("state", String, nullable=False),  # held or released
)

customers = Service("customers", tables=metadata)


@customers.command
async def create(customer: CreateCustomer, db: AsyncConnection) -> CustomerCreated:
    """Let somebody order, up to a limit."""
    if customer.limit_cents < 0:
        raise Reject(f"a limit of {customer.limit_cents} cents: it cannot be below nothing")
    known = select(accounts.c.customer_id).where(accounts.c.customer_id == customer.customer_id)
    if (await db.execute(known)).first() is not None:
        raise Reject(f"customer {customer.customer_id} exists already; a customer id is used once")
    await db.execute(
        insert(accounts).values(customer_id=customer.customer_id, name=customer.name, limit_cents=customer.limit_cents)
    )
    return CustomerCreated(customer_id=customer.customer_id, limit_cents=customer.limit_cents)


@customers.on(OrderCreated, effects=Effects(reads=("credit",), writes=("credit",), locks=("credit",)))
async def reserve(order: OrderCreated, db: AsyncConnection) -> CreditReserved | CreditLimitExceeded | CustomerNotFound:
    """Hold credit for an order, if there is enough."""
    after = accounts.c.reserved_cents + order.cents
    fits = (accounts.c.customer_id == order.customer_id) & (after <= accounts.c.limit_cents)
    taken = await db.execute(update(accounts).where(fits).values(reserved_cents=after))
    if taken.rowcount == 1:
        held = {"order_id": order.order_id, "customer_id": order.customer_id, "cents": order.cents, "state": "held"}
        await db.execute(insert(reservations).values(held))
        return CreditReserved(order_id=order.order_id)
    left = select(accounts.c.limit_cents - accounts.c.reserved_cents).where(accounts.c.customer_id == order.customer_id)
    available = (await db.execute(left)).scalar()
    if available is None:
        return CustomerNotFound(order_id=order.order_id, customer_id=order.customer_id)
    return CreditLimitExceeded(order_id=order.order_id, available_cents=available)


@customers.on(OrderCancelled, effects=Effects(writes=("credit",)))
async def release(order: OrderCancelled, db: AsyncConnection) -> CreditReleased:
    """Free what was held for an order.

    No `compensates=`: that is for what undoes an action within its own workflow, once it has failed. Here the order succeeded, and its
    cancellation, days later, is a workflow of its own.
    """
    held = (reservations.c.order_id == order.order_id) & (reservations.c.state == "held")
    freed = update(reservations).where(held).values(state="released")
    row = (await db.execute(freed.returning(reservations.c.customer_id, reservations.c.cents))).one_or_none()
    if row is None:
        raise LookupError(f"order {order.order_id} holds no credit")
    less = accounts.c.reserved_cents - row.cents
    await db.execute(update(accounts).where(accounts.c.customer_id == row.customer_id).values(reserved_cents=less))
    return CreditReleased(order_id=order.order_id, cents=row.cents)
