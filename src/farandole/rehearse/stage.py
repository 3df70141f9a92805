"""The stage: where a scenario plays the clients of a choreography, who try until they get an answer."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from farandole.errors import CommandRefused, DeclarationError, FarandoleError
from farandole.model.envelope import Message, decode, hashed_id
from farandole.model.wire import Binding, Wire
from farandole.rehearse.process import Gone
from farandole.rehearse.view import View
from farandole.rehearse.world import RehearsalWorld
from farandole.runtime.door import Receipt

if TYPE_CHECKING:
    from farandole.rehearse.ground import Ground

__all__ = ["Stage"]

_TRIES = 5
_OURS = (Gone, FarandoleError)


class Stage(View):
    """Given to a scenario: a client that is never killed, and all that a `View` sees.

    Attributes
    ----------
    world:
        The client's own clock and chance.
    chance:
        What the scenario draws from: the same seed, the same draws, whatever goes wrong.
    share:
        How much of its work the scenario should do, from 0 to 1: less, where a failing run is being made shorter. `some` heeds it.
    """

    def __init__(self, ground: Ground, share: float = 1.0) -> None:
        super().__init__(ground)
        self.world = RehearsalWorld(ground.loop, "client")
        self.chance = random.Random(f"{ground.seed}/scenario")
        self.share = share
        self.sent = 0
        self._outcomes: dict[str, Any] = {}
        self._waiting: dict[str, list[asyncio.Future[Any]]] = {}
        self._ends = _ends(ground)
        ground.cluster.listeners.append(self._stored)

    def some(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items, or their first ones where a failing run is being made shorter; always at least one."""
        return items[: max(1, round(len(items) * self.share))]

    async def sleep(self, seconds: float) -> None:
        """Let virtual time pass."""
        await self.world.sleep(seconds)

    async def send(self, command: Any, *, idempotency_key: str | None = None, correlation_id: str | None = None) -> Receipt:
        """Send a command to the process of the service that handles it, again and again until it answers.

        Parameters
        ----------
        idempotency_key:
            By default one that no other command has.

        Raises
        ------
        CommandRefused
            The handler rejected it. What else the handler raises comes through once the faults are over and it does so again.
        DeclarationError
            No service handles it.
        """
        handler = self._ground.choreography.commands.get(type(command))
        if handler is None:
            raise DeclarationError(f"send({type(command).__name__}): no service of {self._ground.choreography.name} handles it")
        self.sent += 1
        key = idempotency_key or f"command {self.sent}"
        name, tries = type(command).__name__, 0
        binding = self._ground.wire.by_class[type(command)]
        told = {"id": hashed_id(f"{handler.id}\n{binding.type}\n{key}"), "key": _key(binding, command)}
        while True:
            self._ground.tell("command", "client", name, to=handler.service, note="again" if tries else "", **told)
            try:
                receipt: Receipt = await self._ground.process_of(handler.service).ask(
                    lambda app: app.send(command, idempotency_key=key, correlation_id=correlation_id)
                )
            except CommandRefused as refusal:
                self._ground.tell("refused", handler.service, name, note=refusal.reason, **told)
                raise
            except Exception as error:
                tries += self._ground.healed
                if tries > _TRIES or (self._ground.calm and not isinstance(error, _OURS)):
                    raise
                await self.sleep(0.2 + self.world.random())
            else:
                self._ground.tell("answered", handler.service, name, **told)
                return receipt

    async def outcome(self, correlation_id: str, timeout: float | None = None) -> Any:
        """Wait for the event that ends a workflow instance, and give it.

        Raises
        ------
        TimeoutError
            It did not come in so many virtual seconds.
        """
        if correlation_id not in self._outcomes:
            waiting: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(correlation_id, []).append(waiting)
            async with asyncio.timeout(timeout):
                return await waiting
        return self._outcomes[correlation_id]

    def _stored(self, message: Message) -> None:
        binding = self._ends.get(message.type)
        if binding is None:
            return
        envelope = decode(message.body)
        correlation_id = envelope.correlationid or envelope.id
        event = self._outcomes.setdefault(correlation_id, binding.decode(bytes(envelope.data)))
        for waiting in self._waiting.pop(correlation_id, ()):
            if not waiting.done():
                waiting.set_result(event)


def _key(binding: Binding, command: Any) -> str:
    """What the command is about, as the events that it causes are keyed."""
    if binding.key_of is not None:
        return str(binding.key_of(command))
    first = next(iter(vars(type(command)).get("__struct_fields__", ())), None)
    return str(getattr(command, first)) if first else ""


def _ends(ground: Ground) -> dict[str, Binding]:
    wire: Wire = ground.wire
    classes = {cls: None for workflow in ground.choreography.workflows for cls in workflow.outcomes}
    return {wire.by_class[cls].type: wire.by_class[cls] for cls in classes}
