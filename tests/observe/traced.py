"""A shop that is traced, and the spans that came of it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Any

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import Sampler

import farandole
from farandole import Choreography, Command, Context, Event, Policy, Reject, Retry, Sensitive, Service, World, all_of
from farandole.host import Options
from farandole.observe.traces import Traces


class OrderEvent(Event, key="order_id", topic="shop.orders"):
    order_id: str


class Placed(OrderEvent):
    email: Annotated[str, Sensitive] = "mary@example.org"


class Paid(OrderEvent):
    pass


class Packed(OrderEvent):
    pass


class Shipped(OrderEvent):
    pass


class Place(Command):
    order_id: str
    email: Annotated[str, Sensitive] = "mary@example.org"


class Gateway:
    pass


Charge = Any


TWICE = Policy(retry=Retry(attempts=2, delay=1.0))


def shop(charge: Charge = None, pack: Charge = None) -> Choreography:
    """Placed -> charge (outside) and pack (local) -> both: ship."""
    orders, payments, stock, shipping = (Service(name) for name in ("orders", "payments", "stock", "shipping"))
    payments.provide(Gateway, Gateway())

    @orders.command
    async def place(command: Place) -> Placed:
        if command.order_id == "":
            raise Reject(f"{command.email} gives no number")
        return Placed(order_id=command.order_id, email=command.email)

    @payments.on(Placed, policy=TWICE)
    async def charge_card(order: Placed, gateway: Gateway, context: Context) -> Paid:
        if charge is not None:
            charge(order, context)
        return Paid(order_id=order.order_id)

    @stock.on(Placed, policy=TWICE)
    async def pack_goods(order: Placed) -> Packed:
        if pack is not None:
            pack(order)
        return Packed(order_id=order.order_id)

    @shipping.on(all_of(Paid, Packed))
    async def ship(paid: Paid, packed: Packed) -> Shipped:
        return Shipped(order_id=paid.order_id)

    return Choreography("shop", orders, payments, stock, shipping)


class Heard:
    """The spans that were exported."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def named(self, *names: str) -> list[ReadableSpan]:
        return [span for span in self.spans if span.name in names]

    def one(self, name: str) -> ReadableSpan:
        (span,) = self.named(name)
        return span

    def tree(self) -> list[str]:
        """The names, each below its parent, by time; what a whole trace looks like."""
        below: dict[int | None, list[ReadableSpan]] = {}
        known = {span.context.span_id for span in self.spans}
        for span in self.spans:
            parent = span.parent.span_id if span.parent is not None and span.parent.span_id in known else None
            below.setdefault(parent, []).append(span)

        def lines(parent: int | None, depth: int) -> Iterator[str]:
            for span in sorted(below.get(parent, ()), key=lambda span: (span.start_time or 0, span.name)):
                yield "  " * depth + span.name
                yield from lines(span.context.span_id, depth + 1)

        return list(lines(None, 0))


@asynccontextmanager
async def traced(choreography: Choreography, world: World, traces: Traces) -> AsyncIterator[farandole.App]:
    """The shop in memory."""
    async with farandole.open(
        choreography, broker="memory://", database="sqlite://", record="none", world=world, options=Options(), observe=[traces]
    ) as app:
        yield app


async def run(choreography: Choreography, world: World, heard: Heard, *orders: str) -> farandole.App:
    """These orders, one after the other, until nothing is left to do."""
    async with traced(choreography, world, Traces(heard.provider)) as app:
        for order in orders or ("4711",):
            await app.send(Place(order_id=order))
        await app.idle()
        return app


def of(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})
