"""A small project, what its commands print, and orders to place in it."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

import farandole
from farandole.brokers import open_broker
from farandole.cli import main
from farandole.cli.target import load_app
from farandole.model.envelope import Message
from farandole.runtime.signals import Signals
from farandole.world import World

CAFE = """
import asyncio, sys
from typing import Annotated
from farandole import Choreography, Command, Event, Policy, Retry, Sensitive, Service, Workflow

class Cashier:
    async def charge(self, order_id):
        if order_id.startswith("bad"):
            raise RuntimeError(f"no luck with {order_id}")
        if order_id.startswith("slow"):
            print("began", flush=True)
            await asyncio.to_thread(sys.stdin.readline)

class OrderEvent(Event, key="order_id"):
    order_id: str

class OrderPlaced(OrderEvent):
    email: Annotated[str, Sensitive]

class PaymentCompleted(OrderEvent): ...

class OrderConfirmed(OrderEvent): ...

class PlaceOrder(Command):
    order_id: str
    email: Annotated[str, Sensitive]

orders = Service("orders")

@orders.command
async def place(command: PlaceOrder) -> OrderPlaced:
    return OrderPlaced(order_id=command.order_id, email=command.email)

@orders.on(PaymentCompleted)
async def confirm(event: PaymentCompleted) -> OrderConfirmed:
    return OrderConfirmed(order_id=event.order_id)

payments = Service("payments")
payments.provide(Cashier, Cashier())

@payments.on(OrderPlaced, policy=Policy(retry=Retry(attempts=1)))
async def charge(order: OrderPlaced, cashier: Cashier) -> PaymentCompleted:
    await cashier.charge(order.order_id)
    return PaymentCompleted(order_id=order.order_id)

email = Service("email")

@email.on(OrderPlaced, policy=Policy(retry=Retry(attempts=3, delay=3600, longest=3600)))
async def notify(order: OrderPlaced) -> None:
    if order.order_id.startswith("poor"):
        raise ValueError(f"cannot write to {order.email}")

checkout = Workflow("checkout", starts=OrderPlaced, succeeds=OrderConfirmed)
shop = Choreography("shop", orders, payments, email, workflows=[checkout])
nothing = 5
"""


class Ear(Signals):
    """Hears the first failure."""

    def __init__(self) -> None:
        self.failure = asyncio.Event()

    def failed(self, reaction: str, event_id: str, state: str, reason: str) -> None:
        self.failure.set()


@dataclass
class Project:
    """A folder with a choreography, and what its commands print."""

    folder: Path
    name: str
    capture: pytest.CaptureFixture[str]

    @property
    def app(self) -> str:
        return f"{self.name}:shop"

    def run(self, *tokens: str) -> tuple[int, str, str]:
        """Exit code, standard output and standard error of a command."""
        self.capture.readouterr()
        code = main(tokens)
        out, err = self.capture.readouterr()
        return code, out, err

    def json(self, *tokens: str) -> Any:
        """What a command prints with --json; it must find nothing wrong."""
        code, out, err = self.run(*tokens, "--json")
        assert code == 0, err
        return json.loads(out)

    def module(self) -> Any:
        load_app(self.app)
        return sys.modules[self.name]

    def place(self, *order_ids: str) -> list[str]:
        """Place orders, let all run that can, and give the correlation ids. `poor…` ones go last: they wait for an hour."""
        module = self.module()

        async def scenario() -> list[str]:
            ear = Ear()
            async with asyncio.timeout(60), farandole.open(module.shop, signals=ear) as app:
                ids: list[str] = []
                for order_id in order_ids:
                    ear.failure.clear()
                    receipt = await app.send(module.PlaceOrder(order_id=order_id, email="me@home.example"))
                    ids.append(receipt.correlation_id)
                    await (ear.failure.wait() if order_id.startswith("poor") else app.idle())
                if not order_ids:
                    await app.idle()
                return ids

        return asyncio.run(scenario())


def publish(
    *bodies: dict[str, object] | bytes, broker: str = "sqlite:///.farandole/broker.db", topic: str = "shop.orders"
) -> None:
    """Put into the log what foreign producers might."""
    world = World()
    messages = [
        Message(
            topic,
            "k",
            str(index),
            "",
            body if isinstance(body, bytes) else msgspec.json.encode({"specversion": "1.0"} | body),
        )
        for index, body in enumerate(bodies)
    ]

    async def scenario() -> Sequence[object]:
        adapter = open_broker(broker, world)
        await adapter.open()
        try:
            return await adapter.publish(messages)
        finally:
            await adapter.close()

    assert all(getattr(result, "error", "?") is None for result in asyncio.run(scenario()))
