"""Wrong usage of processes: both type checkers object to every line that is marked, and to no other."""

from __future__ import annotations

import msgspec

from farandole import Event, Later, Service


class Placed(Event, key="order_id"):
    order_id: str


class Paid(Event, key="order_id"):
    order_id: str


class Refused(Event, key="order_id"):
    order_id: str


class State(msgspec.Struct):
    lines: int = 0


orders = Service("orders")
process = orders.process("fulfilment", by="order_id", state=State)


@process.starts(Placed)  # wrong: it takes another event
async def begin(event: Paid, state: State) -> None: ...


@process.fails(Paid, Refused)  # wrong: it takes one of two events only
async def give_up(event: Paid, state: State) -> None: ...


@process.undo(Paid)  # wrong: it takes another event
async def undo(event: Refused, state: State) -> None: ...


@process.completes(Paid, compensates=None)  # wrong: no such option
async def done(event: Paid) -> None: ...


async def use() -> None:
    later: Later[Paid] = Later(Placed(order_id="1"), after=1)  # wrong: another event
    Later(Placed(order_id="1"), before=1)  # wrong: no such time
    print(later)
