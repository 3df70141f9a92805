"""A shop in which orders get stuck in every way, each as its id says: `dead 3`, `parked 1`, …"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from farandole import Choreography, Command, Event, Policy, Reject, Retry, Service, Skip, Workflow, all_of, expect
from farandole.stores.record import Alert

LIMIT = 90.0


class OrderEvent(Event, key="order_id"):
    order_id: str


class Placed(OrderEvent):
    kind: str = "fine"


class PlacedAbroad(Placed):
    pass


class Paid(OrderEvent, topic="payments"):
    pass


class Reserved(OrderEvent):
    pass


class Packed(OrderEvent, topic="machines"):
    """By a machine elsewhere, which says so where an order is bulky."""


class Bulky(OrderEvent):
    pass


class Confirmed(OrderEvent):
    pass


class Place(Command):
    order_id: str
    kind: str = "fine"


KINDS = ("down", "dead", "parked", "behind", "join", "silent", "skipped", "outbox")
"""In which ways orders get stuck."""


def shop(*, level: float | None = None) -> Choreography:
    """The choreography; `customs` is never run in tests.

    Parameters
    ----------
    level:
        Paid is expected so many seconds after Placed.
    """
    orders, payments, stock, customs = (Service(name) for name in ("orders", "payments", "stock", "customs"))

    @orders.command
    async def place(command: Place) -> Placed | PlacedAbroad:
        tp = PlacedAbroad if command.kind == "down" else Placed
        return tp(order_id=command.order_id, kind=command.kind)

    @customs.on(PlacedAbroad)
    async def clear(order: PlacedAbroad) -> Paid:
        return Paid(order_id=order.order_id)

    @payments.on(Placed, policy=Policy(retry=Retry(attempts=20, delay=30, longest=30, jitter=0.0)))
    async def charge(order: Placed) -> Paid:
        if order.kind == "dead":
            raise Reject("the card is stolen")
        if order.kind == "parked":
            raise OSError("the bank is away")
        return Paid(order_id=order.order_id)

    @stock.on(Placed)
    async def reserve(order: Placed) -> Reserved | Bulky | None:
        if order.kind == "skipped":
            raise Skip("nothing on the shelf")
        if order.kind == "join":
            return Bulky(order_id=order.order_id)
        return None if order.kind == "silent" else Reserved(order_id=order.order_id)

    @orders.on(all_of(Paid, Reserved))
    async def confirm(paid: Paid, reserved: Reserved) -> Confirmed:
        return Confirmed(order_id=paid.order_id)

    @orders.on(all_of(Bulky, Packed))
    async def send(bulky: Bulky, packed: Packed) -> Confirmed:
        return Confirmed(order_id=bulky.order_id)

    levels = [] if level is None else [expect(Paid, after=Placed, within=level)]
    checkout = Workflow(
        "checkout", starts=(Placed, PlacedAbroad), succeeds=Confirmed, within=timedelta(seconds=LIMIT), expects=levels
    )
    return Choreography("shop", orders, payments, stock, customs, workflows=[checkout])


RUNNING = ("orders", "payments", "stock")


class Ear:
    """A sink."""

    name = "ear"

    def __init__(self) -> None:
        self.told: list[Alert] = []
        self.texts: list[str] = []
        self.deaf = False

    async def tell(self, alerts: Sequence[Alert], text: str) -> None:
        if self.deaf:
            raise OSError("https://secret.example/token is away")
        self.told += alerts
        self.texts.append(text)

    @property
    def brief(self) -> list[tuple[str, str]]:
        """What was told: the rule, and whether it opened or is over."""
        return [(alert.rule, "open" if alert.resolved is None else "over") for alert in self.told]
