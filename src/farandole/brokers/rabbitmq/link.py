"""A connection to RabbitMQ that is made anew after it was lost, and what goes wrong with it in our words."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Coroutine, Iterator
from typing import Any, TypeVar

import aiormq
from aiormq.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError, InvalidFrameError, ProbableAuthenticationError
from pamqp.exceptions import PAMQPException

from farandole.errors import BrokerClosed, BrokerError, ConfigurationError

__all__ = ["PATIENCE", "Link", "hang_up", "in_our_words", "quietly", "said", "to_its_end"]

T = TypeVar("T")
PATIENCE = 15.0
"""Seconds in which a server that can answer has answered."""
_GOODBYE = 5.0
_UNBOUNDED = 0  # frames that a channel keeps to be read: with a bound, a channel that ended holds up its whole connection

_TROUBLES = (AMQPError, ChannelInvalidStateError, PAMQPException, OSError, RuntimeError, TimeoutError)
"""What the library raises when a server, a connection or a channel does not do as asked; a RuntimeError is use after a loss."""


class Link:
    """One connection, made when it is first used, and again when it was lost.

    Parameters
    ----------
    url:
        For the library, with credentials: it is shown nowhere.
    place:
        The URL as messages may show it.
    """

    def __init__(self, url: str, place: str) -> None:
        self.place = place
        self._closed = False
        self._url = url
        self._lock = asyncio.Lock()
        self._connection: AbstractConnection | None = None

    async def connection(self) -> AbstractConnection:
        """The connection; made now if there is none.

        Raises
        ------
        ConfigurationError
            The server refuses user, password or virtual host.
        BrokerError
            It cannot be reached, or is no RabbitMQ.
        """
        async with self._lock:
            if self._closed:
                raise BrokerClosed(f"the broker {self.place} was closed")
            if self._connection is None or not self._connection.is_opened:
                self._connection = await self._connect()
            return self._connection

    async def channel(self, *, confirms: bool = False) -> AbstractChannel:
        """A channel of its own."""
        connection = await self.connection()
        with in_our_words(self.place, "a channel could not be opened"):
            async with asyncio.timeout(PATIENCE):
                return await connection.channel(publisher_confirms=confirms, on_return_raises=False, frame_buffer_size=_UNBOUNDED)

    @contextlib.asynccontextmanager
    async def visit(self, doing: str) -> AsyncIterator[AbstractChannel]:
        """A channel for a few calls; what fails is told as `doing`."""
        channel = await self.channel()
        try:
            with in_our_words(self.place, doing):
                async with asyncio.timeout(PATIENCE):
                    yield channel
        finally:
            await hang_up(channel)

    def another(self) -> Link:
        """Another connection to the same server."""
        return Link(self._url, self.place)

    async def close(self) -> None:
        self._closed = True
        connection, self._connection = self._connection, None
        if connection is not None:
            with quietly():
                async with asyncio.timeout(_GOODBYE):
                    await connection.close()

    async def _connect(self) -> AbstractConnection:
        place = self.place
        try:
            async with asyncio.timeout(PATIENCE):
                return await aiormq.connect(self._url)
        except ProbableAuthenticationError:
            raise ConfigurationError(
                f"{place} refuses this user or password. Say them in the URL: amqp://user:password@host/, "
                f"with % and the two hexadecimal digits for characters such as / and @"
            ) from None
        except InvalidFrameError as error:
            if "Connection.OpenOk" in str(error):
                raise ConfigurationError(
                    f"{place}: there is no such virtual host, or this user may not use it. "
                    f"Make it with rabbitmqctl add_vhost, allow it with rabbitmqctl set_permissions"
                ) from None
            raise BrokerError(f"{place} does not answer as RabbitMQ does") from None
        except TimeoutError:
            raise BrokerError(f"{place} did not answer within {PATIENCE:g} s") from None
        except ValueError as error:
            raise ConfigurationError(f"{place}: the client library cannot use the broker URL: {error}") from None
        except asyncio.CancelledError as error:
            if _is_ours():
                raise
            raise BrokerError(f"{place} cannot be reached: {said(error)}. Is RabbitMQ running there?") from None
        except _TROUBLES as error:
            raise BrokerError(f"{place} cannot be reached: {said(error)}. Is RabbitMQ running there?") from None


async def hang_up(channel: AbstractChannel) -> None:
    """Close a channel, if it still can be closed. A server that takes longer may take its time."""

    async def close() -> None:
        with quietly():
            await channel.close()

    await asyncio.wait([_begun(close())], timeout=_GOODBYE)


async def to_its_end(call: Coroutine[Any, Any, T]) -> T:
    """Await it; whoever is cancelled meanwhile leaves it running.

    The library ends a channel on which it waits for an answer and is cancelled. Where that answer was to a goodbye, it says goodbye twice,
    and the server ends the whole connection.
    """
    return await asyncio.shield(_begun(call))


def _begun(call: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    task = asyncio.create_task(call)
    _running.add(task)
    task.add_done_callback(_running.discard)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it has been seen
    return task


_running: set[asyncio.Task[Any]] = set()


@contextlib.contextmanager
def in_our_words(place: str, doing: str) -> Iterator[None]:
    """Tell the library's errors as ours. It cancels what waits for a connection that was lost; that is no wish to cancel us."""
    try:
        yield
    except TimeoutError:
        raise BrokerError(f"{place}: {doing}: no answer within {PATIENCE:g} s") from None
    except asyncio.CancelledError as error:
        if _is_ours():
            raise
        raise BrokerError(f"{place}: {doing}: {said(error)}") from error
    except _TROUBLES as error:
        raise BrokerError(f"{place}: {doing}: {said(error)}") from error


@contextlib.contextmanager
def quietly() -> Iterator[None]:
    """What fails here does not matter."""
    with contextlib.suppress(BrokerError), in_our_words("", ""):
        yield


def _is_ours() -> bool:
    """Whether the task that runs was cancelled, and not only what it waits for."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def said(error: BaseException | None) -> str:
    """What the server said, without what the library says around it."""
    if error is None or isinstance(error, asyncio.CancelledError):
        return "the connection was closed"
    found = re.search(r"[A-Z]{3,}[A-Z_]* - .*", str(error))
    text = found[0].rstrip('"') if found else str(error.args[-1] if error.args else "")
    return text or type(error).__name__
