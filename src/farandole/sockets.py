"""Connections to a server that may vanish without a word: its machine lost power, or a firewall forgot them."""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["notice_silence", "watch"]

AFTER, EVERY, TIMES = 15, 5, 3
"""Seconds of silence after which the other side is asked, seconds between questions, and how many go unanswered until it is over."""


def notice_silence(transport: Any) -> None:
    """Let the system end this connection half a minute after its other side vanished (RFC 9293, 3.8.4; RFC 5482).

    Without it, who waits for an answer waits for two hours, or for ever. A server that runs and takes its time is not affected.

    Parameters
    ----------
    transport:
        asyncio's. One that is no TCP connection is left as it is.
    """
    ours = transport.get_extra_info("socket")
    if ours is None or ours.family not in (socket.AF_INET, socket.AF_INET6):
        return
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE" if hasattr(socket, "TCP_KEEPIDLE") else "TCP_KEEPALIVE", AFTER),  # macOS calls it otherwise
        ("TCP_KEEPINTVL", EVERY),
        ("TCP_KEEPCNT", TIMES),
        ("TCP_USER_TIMEOUT", 1000 * (AFTER + EVERY * TIMES)),  # the same for what was sent and not acknowledged; Linux
    ):
        if hasattr(socket, name):
            ours.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def watch(connection: Any) -> None:
    """The same for a connection of asyncpg, which shows no transport; as `init` of its pool."""
    notice_silence(connection._transport)
