"""The circuit breakers of one service in this process: before a run of what takes something provided with a breaker, and after it.

    permit = breakers.enter(plan)        BreakerOpen: what it takes is left alone just now
    …the run…
    permit.failed(takes, error)          or `succeeded`: what it found out; and `leave` at the end in any case

Other processes have breakers of their own: each finds out for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from farandole.errors import BreakerOpen
from farandole.model.breaker import Breaker, Circuit
from farandole.runtime.signals import Signals
from farandole.words import clock
from farandole.world import World

if TYPE_CHECKING:
    from farandole.runtime.plan import Plan

__all__ = ["Breakers", "Permit", "name_of"]


class Breakers:
    """What a service leaves alone.

    Parameters
    ----------
    breakers:
        By the type of what is provided.
    """

    def __init__(self, service: str, breakers: Mapping[Any, Breaker], world: World, signals: Signals) -> None:
        self._service = service
        self._world = world
        self._signals = signals
        self._circuits = {tp: Circuit(breaker) for tp, breaker in breakers.items()}

    def room(self, plan: Plan) -> int | None:
        """How many runs of this reaction may begin now; None: any number."""
        now = self._world.time()
        rooms = [room for tp in plan.needs if (room := self._circuits[tp].room(now)) is not None]
        return min(rooms, default=None)

    @property
    def resting(self) -> dict[str, float]:
        """What is left alone now, and until when, in seconds since 1970."""
        return {name_of(tp): circuit.until for tp, circuit in self._circuits.items() if circuit.state != "closed"}

    def enter(self, plan: Plan) -> Permit:
        """Begin a run.

        Raises
        ------
        BreakerOpen
            Something that it takes is left alone just now.
        """
        permit = Permit(self)
        for tp in plan.needs:
            circuit = self._circuits[tp]
            was = circuit.state
            ticket = circuit.enter(self._world.time())
            if ticket is None:
                permit.leave()
                until = max(circuit.until, self._world.time())
                raise BreakerOpen(
                    f"{plan.id} needs {name_of(tp)}, which failed {circuit.breaker.failures} times and rests until {clock(until)} UTC. Try again then",
                    dependency=name_of(tp),
                    until=until,
                )
            permit.tickets[tp] = ticket
            self.tell(tp, was)
        return permit

    def circuit(self, tp: Any) -> Circuit:
        """The one of something provided."""
        return self._circuits[tp]

    def now(self) -> float:
        """Seconds since 1970."""
        return self._world.time()

    def tell(self, tp: Any, was: str) -> None:
        """Whoever listens hears of a change."""
        circuit = self._circuits[tp]
        if circuit.state != was:
            self._signals.breaker(self._service, name_of(tp), circuit.state, circuit.until)


class Permit:
    """One run of what takes something with a breaker.

    Attributes
    ----------
    put_off:
        Until when the run is put off, in seconds since 1970, where it failed by the doing of what rests now; None: it is not.
    """

    def __init__(self, breakers: Breakers) -> None:
        self.put_off: float | None = None
        self.tickets: dict[Any, int] = {}
        self._breakers = breakers

    def succeeded(self, takes: Iterable[Any]) -> None:
        """A handler that takes these ended well."""
        for tp in takes:
            self._end(tp, None, well=True)

    def failed(self, takes: Iterable[Any], error: BaseException) -> None:
        """A handler that takes these raised this."""
        for tp in takes:
            self._end(tp, error, well=False)

    def leave(self) -> None:
        """The run is over, whatever it told."""
        for tp in list(self.tickets):
            self._end(tp, None, well=False)

    def _end(self, tp: Any, error: BaseException | None, *, well: bool) -> None:
        ticket = self.tickets.pop(tp, None)
        if ticket is None:
            return
        circuit = self._breakers.circuit(tp)
        was, counts = circuit.state, error is not None and circuit.breaker.counts(error)
        if well:
            circuit.succeeded(ticket)
        elif counts:
            circuit.failed(ticket, self._breakers.now())
        else:
            circuit.left(ticket)
        self._breakers.tell(tp, was)
        if counts and circuit.state != "closed":
            self.put_off = max(circuit.until, self.put_off or 0.0)


def name_of(tp: Any) -> str:
    """Something provided, for people."""
    return str(getattr(tp, "__name__", tp))
