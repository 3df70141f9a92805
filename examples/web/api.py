"""Orders over HTTP: placed once per Idempotency-Key, looked up by their number, followed as server-sent events."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel, Field

import farandole
from examples.shop import shop
from examples.shop.events import Line, OrderCancelled, OrderConfirmed, OrderRejected, PlaceOrder, ReceiveStock, StockLine
from farandole import App, CommandRefused, Status

__all__ = ["create"]

PATIENCE = 1.0
"""Seconds that a customer waits for the outcome before being told where to look for it."""
STILL_HERE = 15.0
"""Seconds without news after which a comment keeps the line open."""
SHELVES = {"teapot": 100_000, "cup": 100_000, "unicorn": 0}
WORDS = {
    "running": "under way",
    "succeeded": "confirmed",
    "failed": "failed",
    "compensating": "compensating",
    "compensated": "failed",
    "stalled": "overdue",
    "ended": "failed",
}


class Item(BaseModel):
    """A line of an order; the price in pounds."""

    stock_code: str = Field(min_length=1, max_length=40)
    quantity: int = Field(gt=0, le=1000)
    unit_price: Decimal = Field(ge=0, le=10_000, max_digits=8, decimal_places=3)


class Order(BaseModel):
    """What a customer sends. Without a number of its own, the order gets one."""

    order_id: str | None = Field(default=None, pattern=r"^[\w-]{1,40}$")
    customer_id: str | None = Field(default=None, max_length=40)
    country: str = Field(default="United Kingdom", max_length=40)
    lines: list[Item] = Field(min_length=1, max_length=100)


def create(**where: Any) -> FastAPI:
    """The API, with the shop inside.

    Parameters
    ----------
    where:
        For `farandole.open`: broker, databases, record, which services run here.
    """

    @asynccontextmanager
    async def lifespan(api: FastAPI) -> AsyncIterator[None]:
        async with farandole.open(shop, **where) as app:
            delivery = ReceiveStock(delivery_id="opening", lines=tuple(StockLine(code, many) for code, many in SHELVES.items()))
            await app.send(delivery, idempotency_key="opening")  # once, however often we start
            api.state.app = app
            yield

    api = FastAPI(title="The shop", lifespan=lifespan)

    @api.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> str:
        return Path(__file__).with_name("page.html").read_text(encoding="utf-8")

    @api.post("/orders", status_code=201)
    async def place(
        order: Order,
        request: Request,
        response: Response,
        idempotency_key: Annotated[str, Header(min_length=1, max_length=200)],
        prefer: Annotated[str, Header()] = "",
    ) -> dict[str, Any]:
        """201 with the outcome, or 202 where it takes longer; either way `Location` says where the order is.

        Who says `Prefer: respond-async` (RFC 7240) is answered as soon as the order is known.
        """
        app: App = request.app.state.app
        command = _command(order, idempotency_key)
        try:
            receipt = await app.send(command, idempotency_key=idempotency_key)
        except CommandRefused as refusal:
            raise HTTPException(409, refusal.reason) from None
        if isinstance(receipt.result, OrderRejected):
            raise HTTPException(422, receipt.result.reason)
        if receipt.repeated and (receipt.result.lines, receipt.result.order_id) != (command.lines, command.order_id):
            raise HTTPException(422, "this Idempotency-Key was used for another order")
        response.headers["Location"] = f"/orders/{command.order_id}"
        if "respond-async" not in prefer:
            try:
                outcome = await app.outcome(receipt.correlation_id, timeout=PATIENCE)
            except TimeoutError:
                pass
            else:
                return {"order_id": command.order_id, **_told(outcome)}
        response.status_code = 202
        try:
            async with asyncio.timeout(PATIENCE), aclosing(app.follow(receipt.correlation_id)) as statuses:
                return _as_json(command.order_id, await anext(statuses))
        except TimeoutError:  # the record is away; the order is under way all the same
            return {"order_id": command.order_id, "state": WORDS["running"]}

    @api.get("/orders/{order_id}")
    async def look(order_id: str, request: Request) -> dict[str, Any]:
        """Where the order is, what happened, and what is expected since when."""
        app: App = request.app.state.app
        status = await app.status(await _instance(app, order_id))
        return _as_json(order_id, status)

    @api.get("/orders/{order_id}/events")
    async def follow(order_id: str, request: Request) -> StreamingResponse:
        """The same as server-sent events, until the order is over."""
        app: App = request.app.state.app
        instance = await _instance(app, order_id)
        stream = _stream(app.follow(instance), order_id)
        return StreamingResponse(stream, media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    return api


def _command(order: Order, key: str) -> PlaceOrder:
    number = order.order_id or f"W{blake2b(key.encode(), digest_size=5).hexdigest().upper()}"  # the same for the same key
    return PlaceOrder(
        order_id=number,
        customer_id=order.customer_id,
        country=order.country,
        placed_on=date(2011, 12, 9),
        sequence=1,
        lines=tuple(Line(item.stock_code, item.quantity, item.unit_price) for item in order.lines),
    )


def _told(outcome: Any) -> dict[str, Any]:
    match outcome:
        case OrderConfirmed(total_pence=pence):
            return {"state": "confirmed", "total_pence": pence}
        case OrderCancelled(reason=reason):
            return {"state": "failed", "reason": reason}
        case _:
            return {"state": "failed", "reason": f"it ended with {type(outcome).__name__}"}


async def _instance(app: App, order_id: str) -> str:
    """The workflow instance of an order: the record knows it by the business key."""
    found = await app.record.instances_of("order_id", order_id, "shop.OrderPlaced.v1", limit=1)
    if not found:
        raise HTTPException(404, f"there is no order {order_id}")
    return found[0]


def _as_json(order_id: str, status: Status) -> dict[str, Any]:
    return {
        "order_id": order_id,
        "state": WORDS[status.state],
        "since": _time(status.since),
        "events": [{"what": _name(entry.type), "who": _name(entry.source), "at": _time(entry.time)} for entry in status.events],
        "expected": [
            {
                "what": [_name(tp) for tp in one.types],
                "who": _name(one.service),
                "since": _time(one.since),
                "due": _time(one.due),
                "missing": [_name(tp) for tp in one.missing],
            }
            for one in status.expected
        ],
    }


async def _stream(statuses: AsyncGenerator[Status, None], order_id: str) -> AsyncIterator[str]:
    """An event per change; comments in between, so that nobody on the way takes the line for dead."""
    coming: asyncio.Future[Status] | None = None
    try:
        while True:
            coming = coming or asyncio.ensure_future(anext(statuses))
            done, _ = await asyncio.wait([coming], timeout=STILL_HERE)
            if not done:
                yield ": still here\n\n"
                continue
            try:
                status = coming.result()
            except StopAsyncIteration:
                yield "event: end\ndata: {}\n\n"
                return
            coming = None
            yield f"id: {len(status.events)}\nevent: status\ndata: {json.dumps(_as_json(order_id, status))}\n\n"
    finally:
        if coming is not None:
            coming.cancel()
            await asyncio.wait([coming])
        await statuses.aclose()


def _name(long: str) -> str:
    """`OrderPlaced` of `shop.OrderPlaced.v1`, `orders` of `shop.orders` and of `/shop/orders`."""
    return long.replace("/", ".").removeprefix(".").split(".")[1]


def _time(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
