"""Wrong declarations and calls of reactions. Both type checkers must object to each line marked `# wrong`, and to no other."""

from __future__ import annotations

from farandole import Command, Event, Guard, Policy, Service


class Placed(Event):
    order_id: str


class Paid(Event):
    order_id: str


class Failed(Event):
    order_id: str


class Place(Command):
    order_id: str


class Gateway:
    pass


payments = Service("payments")


@payments.on(Placed)
async def charge(order: Placed, gateway: Gateway) -> Paid | Failed:
    return Paid(order_id=order.order_id)


@payments.on(Placed)  # wrong: the handler takes another event
async def other_event(order: Paid) -> None: ...


@payments.on(Placed, Paid)  # wrong: the handler takes one of the two
async def half(order: Placed) -> None: ...


@payments.on(Placed)  # wrong: the handler takes no event
async def nothing() -> None: ...


@charge.exhausted  # wrong: it takes another event
async def gave_up(order: Paid) -> Failed:
    return Failed(order_id="1")


@payments.on(Failed, compensate=charge)  # wrong: no such keyword
async def misspelt(event: Failed) -> None: ...


@payments.on(Failed, compensates=Paid)  # wrong: a reaction is compensated, not an event
async def undo(event: Failed) -> None: ...


@payments.on(Failed, policy=Policy(on_failure="stop"))  # wrong: no such answer to a failure
async def stop(event: Failed) -> None: ...


@payments.on("Failed")  # wrong: a class, not its name
async def named(event: Failed) -> None: ...


async def state(event: Event) -> str:
    return "open"


def blocking(event: Event) -> str:
    return "open"


async def number(event: Event) -> int:
    return 1


Guard(blocking, "open")  # wrong: its reader is `async def`
Guard(number, "open")  # wrong: a state is no number
Guard(state, 5)  # wrong: nor is a valid one
Guard(state, "open", otherwise="stop")  # wrong: no such answer to another state


@payments.on(Failed, guard="open")  # wrong: who reads it?
async def guarded(event: Failed) -> None: ...


@payments.command(policy=Policy())  # wrong: a command has no such option
async def pay(command: Place) -> None: ...


@payments.command(guard=state)
async def pay_in_time(command: Place) -> None: ...


async def use() -> None:
    placed = Placed(order_id="1")
    result: Paid = await charge(placed, Gateway())  # wrong: it may be Failed as well
    await charge(placed)  # wrong: the gateway is missing
    await charge(Paid(order_id="1"), Gateway())  # wrong: another event
    await charge(placed, gateway="visa")  # wrong: no gateway
    await charge(order=placed, gateway=Gateway())  # wrong: the event is given by position
    await pay_in_time(placed)  # wrong: an event is no command
