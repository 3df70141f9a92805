"""Publishing to RabbitMQ: windows of messages in one write each, and their confirms.

The library's own publish takes a task and three writes per message. Here the frames of a window are put together and written once,
which is three times as fast; the library still reads the confirms.

A window is on its way at once, so one thing can go out of order: where a queue refuses a message (a policy with `reject-publish`, no
default of RabbitMQ) and takes one of the same key behind it in the same window, the first comes later. Nothing after that window is sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from aiormq.abc import AbstractChannel, ChannelFrame
from pamqp import commands as spec
from pamqp.frame import marshal

from farandole.bell import Bell
from farandole.brokers.base import PublishResult
from farandole.brokers.rabbitmq.link import PATIENCE, Link, in_our_words, said
from farandole.errors import BrokerError

__all__ = ["Parcel", "Publisher"]

_MOST = 1000  # messages of a window
_SIZE = 4 * 1024 * 1024  # bytes of a window, if it has more than one message
_FRAME, _HEADER, _BODY, _END, _AROUND = struct.Struct(">BHI"), 2, 3, b"\xce", 8  # of AMQP: a frame, its kinds, its end, its rest


@dataclass(slots=True)
class Parcel:
    """One message on its way: where to, its properties and headers, and what became of it."""

    exchange: str
    route: str
    head: bytes
    body: bytes
    result: PublishResult | None = field(default=None)


class Publisher:
    """All publishing of one broker, on one channel, so that what is published later stands later."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._lock = asyncio.Lock()
        self._channel: Any = None
        self._aside: AbstractChannel | None = None
        self._heads: dict[tuple[str, str], bytes] = {}
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def send(self, parcels: Sequence[Parcel]) -> str | None:
        """Publish, window by window; give each parcel its result. Gives what closed the channel, if something did.

        Raises
        ------
        BrokerError
            Nothing was published: there is no connection, or the server takes nothing now.
        """
        self._busy += 1
        self._idle.clear()
        try:
            room = (await self._link.connection()).connection_tune.frame_max - _AROUND
            for parcel in parcels:
                if len(parcel.head) > room:
                    parcel.result = PublishResult(
                        f"key, id and type have {len(parcel.head)} bytes; AMQP takes {room}", permanent=True
                    )
            for place, window in enumerate(_windows([parcel for parcel in parcels if parcel.result is None])):
                try:
                    trouble = await self._send(window)
                except BrokerError as error:
                    if not place:
                        raise
                    trouble = str(error)
                if trouble is not None or any(parcel.result is not None and parcel.result.error for parcel in window):
                    for parcel in parcels:
                        parcel.result = parcel.result or PublishResult("not tried: something before it in the batch failed")
                    return trouble
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
        return None

    async def tell(self, exchange: str, route: str, body: bytes, *, reply_to: str | None = None) -> None:
        """Say something that may be lost."""
        with in_our_words(self._link.place, "members of a group could not be told"):
            async with asyncio.timeout(PATIENCE / 5):
                if self._aside is None or self._aside.is_closed:
                    self._aside = await self._link.channel()
                properties = spec.Basic.Properties(delivery_mode=1, reply_to=reply_to)
                publish = cast(Any, self._aside).basic_publish
                await publish(body, exchange=exchange, routing_key=route, properties=properties, wait=False)

    async def close(self) -> None:
        """Wait for the confirms that are still to come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await self._idle.wait()

    async def _send(self, window: Sequence[Parcel]) -> str | None:
        """One window; an error is raised only where nothing of it was sent."""
        link = self._link
        async with self._lock:
            connection = await link.connection()
            try:
                async with asyncio.timeout(PATIENCE):
                    await connection.ready()
            except TimeoutError:
                raise BrokerError(
                    f"{link.place} takes no messages now: it has too little memory or disk space (an alarm, see "
                    f"rabbitmq-diagnostics alarms). It was waited for {PATIENCE:g} s; nothing was published"
                ) from None
            channel = self._channel
            if channel is None or channel.is_closed or channel.connection is not connection:
                self._heads.clear()
                self._channel = channel = await link.channel(confirms=True)
            loop = asyncio.get_running_loop()
            with in_our_words(link.place, "nothing was published"):
                frame = ChannelFrame(self._frames(window, channel), should_close=False, drain_future=loop.create_future())
                async with asyncio.timeout(PATIENCE):
                    await channel.write_queue.put(frame)
            # Nothing else ran since the frames were queued: from here on they count, and their confirms are to come.
            confirms: list[asyncio.Future[Any]] = []
            for _ in window:
                channel.delivery_tag += 1
                channel.confirmations[channel.delivery_tag] = confirm = loop.create_future()
                confirms.append(confirm)
        return await self._confirmed(window, confirms, channel)

    async def _confirmed(self, window: Sequence[Parcel], confirms: Sequence[asyncio.Future[Any]], channel: Any) -> str | None:
        """Wait for the confirms of a window, and give each parcel its result. Gives what went wrong with the channel."""
        closing, over, left = channel.closing, Bell(), len(confirms)

        def came(_: object) -> None:
            nonlocal left
            left -= 1
            if not left:
                over.ring()

        def ended(_: object) -> None:
            over.ring()

        closing.add_done_callback(ended)
        for confirm in confirms:
            confirm.add_done_callback(came)
        try:
            await over.wait(PATIENCE)
        finally:
            trouble = _why(closing) if left else None
            largest = _largest(trouble)
            for parcel, confirm in zip(window, confirms, strict=True):
                parcel.result = _result(parcel, confirm, trouble, largest)
                confirm.cancel()
            closing.cancel()
        return trouble

    def _frames(self, window: Sequence[Parcel], channel: Any) -> bytes:
        number, room, parts = channel.number, channel.connection.connection_tune.frame_max - _AROUND, []
        for parcel in window:
            head = self._heads.get((parcel.exchange, parcel.route))
            if head is None:
                publish = spec.Basic.Publish(exchange=parcel.exchange, routing_key=parcel.route)
                head = self._heads[parcel.exchange, parcel.route] = marshal(publish, number)
            parts.append(head)
            body = parcel.body
            parts += _FRAME.pack(_HEADER, number, len(parcel.head)), parcel.head, _END
            for begin in range(0, len(body), room):
                part = body[begin : begin + room]
                parts += _FRAME.pack(_BODY, number, len(part)), part, _END
        return b"".join(parts)


def _windows(parcels: Sequence[Parcel]) -> Iterator[Sequence[Parcel]]:
    begin = size = 0
    for end, parcel in enumerate(parcels):
        if end > begin and (end - begin >= _MOST or size + len(parcel.body) > _SIZE):
            yield parcels[begin:end]
            begin, size = end, 0
        size += len(parcel.body)
    if begin < len(parcels):
        yield parcels[begin:]


def _why(closing: asyncio.Future[Any]) -> str:
    """Why confirms did not come."""
    if not closing.done():
        return f"RabbitMQ did not confirm within {PATIENCE:g} s; it may have the message, or take it later"
    error = None if closing.cancelled() else closing.exception()
    return f"RabbitMQ did not confirm before the connection was lost: {said(error)}"


def _largest(trouble: str | None) -> int | None:
    """The largest message that the server takes, where it closed the channel over a larger one."""
    found = re.search(r"larger than configured max size (\d+)", trouble or "")
    return int(found[1]) if found else None


def _result(parcel: Parcel, confirm: asyncio.Future[Any], trouble: str | None, largest: int | None) -> PublishResult:
    if confirm.done() and not confirm.cancelled():
        if confirm.exception() is None:
            return _PUBLISHED
        return PublishResult("RabbitMQ refused the message: a queue is full, or has no leader now")
    if largest is not None and len(parcel.body) > largest:
        return PublishResult(f"{len(parcel.body)} bytes; this RabbitMQ takes {largest} (max_message_size)", permanent=True)
    return PublishResult(trouble)


_PUBLISHED = PublishResult()
