"""What is rehearsed: a choreography, who plays its clients, and what stands in for the world outside."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from farandole.brokers.base import Capabilities
from farandole.brokers.checks import DEFAULT_PARTITIONS
from farandole.errors import ConfigurationError
from farandole.model.choreography import Choreography
from farandole.rehearse.cluster import USUAL
from farandole.rehearse.faults import ROUGH, Faults
from farandole.rehearse.stage import Stage
from farandole.runtime.assembly import Options

__all__ = ["Fake", "Rehearsal", "Scenario", "Traits"]

Scenario = Callable[[Stage], Awaitable[None]]
S = TypeVar("S", bound=Callable[..., Any])
_HOUR = 3600.0
_POLL = 4.0
"""Seconds. Who has nothing to do is woken when there is; looking all the time would be most of what a rehearsal does."""


@dataclass(frozen=True, slots=True)
class Fake:
    """Stands in for something outside.

    Attributes
    ----------
    source:
        The object, or a function that makes one for each run; it may take the run's world.
    error:
        What a call raises that gets no answer; None: calls never fail.
    """

    source: Any
    error: type[Exception] | None


@dataclass(frozen=True, slots=True)
class Traits:
    """What the simulated broker is like; see `Cluster`."""

    capabilities: Capabilities = USUAL
    keeps_acknowledged: bool = True
    partitions: int = DEFAULT_PARTITIONS


class Rehearsal:
    """How to rehearse a choreography.

        rehearsal = Rehearsal(shop)
        rehearsal.provide(Gateway, FakeGateway)

        @rehearsal.scenario
        async def customers(stage):
            await stage.send(PlaceOrder(order_id="1"))

    Parameters
    ----------
    choreography:
        Its real handlers run, on simulated databases and a simulated broker.
    newer:
        The same services as after a deployment: processes come back with it (the fault `upgrade`).
    faults:
        The worst that may happen; each seed draws some of it.
    layout:
        Which services share a process: "apart" (each its own), "together", "twice" (two processes of all), lists of names, or
        "any": each seed draws one of the first three.
    broker:
        What the simulated broker is like.
    options:
        Leases, windows and limits of the hosts.
    commands:
        How many commands are made up where there is no scenario.
    horizon:
        Virtual seconds that a run may take until all has come to rest after the faults ended.
    """

    def __init__(
        self,
        choreography: Choreography,
        *,
        newer: Choreography | None = None,
        faults: Faults = ROUGH,
        layout: Literal["apart", "together", "twice", "any"] | Collection[Collection[str]] = "any",
        broker: Traits | None = None,
        options: Options | None = None,
        commands: int = 8,
        horizon: float = _HOUR,
    ) -> None:
        if not isinstance(choreography, Choreography):
            raise ConfigurationError(f"Rehearsal(…) takes a Choreography, got: {choreography!r}")
        if newer is not None and list(newer.services) != list(choreography.services):
            raise ConfigurationError(
                f"newer= must have the services of {choreography.name}: {', '.join(choreography.services)}; "
                f"it has: {', '.join(newer.services)}"
            )
        self.choreography = choreography
        self.newer = newer
        self.faults = faults
        self.layout = layout
        self.broker = broker or Traits()
        self.options = options or Options(poll=_POLL)
        self.commands = commands
        self.horizon = horizon
        self.fakes: dict[Any, Fake] = {}
        self.play: Scenario | None = None

    def provide(self, kind: Any, source: Any, *, error: type[Exception] | None = TimeoutError) -> None:
        """Let a fake stand in for what services provide of this type. It outlives their crashes, as the world outside does.

        Parameters
        ----------
        source:
            A function or class that makes one for each run, with the run's world as its argument if it takes one; or the object
            itself, which then is the same in all runs.
        error:
            What a call raises that gets no answer, whether it was done or not. None: calls of it never fail.

        Raises
        ------
        ConfigurationError
            No service provides this type.
        """
        provided = {given.type for service in self.choreography.services.values() for given in service.provided}
        if kind not in provided:
            known = ", ".join(sorted(getattr(each, "__name__", str(each)) for each in provided)) or "nothing"
            raise ConfigurationError(
                f"no service of {self.choreography.name} provides {getattr(kind, '__name__', kind)}. They provide: {known}"
            )
        self.fakes[kind] = Fake(source, error)

    def scenario(self, play: S) -> S:
        """What the clients do. Without a scenario, commands are made up from their types."""
        if not inspect.iscoroutinefunction(play):
            raise ConfigurationError(f"@rehearsal.scenario takes an `async def` of one parameter, the stage; got: {play!r}")
        if self.play is not None:
            raise ConfigurationError("a rehearsal has one scenario. Put both into one, or make two rehearsals")
        self.play = play
        return play

    @property
    def key_fields(self) -> set[str]:
        """What events declare as their key."""
        classes = {cls for edge in self.choreography.edges for cls in (edge.cause, edge.effect) if cls is not None}
        return {key for cls in classes if (key := getattr(cls, "__farandole__").key) is not None}  # noqa: B009

    def processes(self, draw: int) -> list[tuple[str, tuple[str, ...]]]:
        """The names of the processes of a run, and which services each runs.

        Parameters
        ----------
        draw:
            Chooses where the layout is "any".
        """
        names = tuple(self.choreography.services)
        layout = self.layout
        if layout == "any":
            layout = ("apart", "together", "apart", "twice")[draw % 4]
        if layout == "apart":
            return [(name, (name,)) for name in names]
        if layout == "together":
            return [("all", names)]
        if layout == "twice":
            return [("one", names), ("two", names)]
        if isinstance(layout, str):
            raise ConfigurationError(f'layout= is "apart", "together", "twice", "any" or lists of services, got: {layout!r}')
        chosen = [tuple(group) for group in layout]
        strange = {name for group in chosen for name in group} - set(names)
        if strange or {name for group in chosen for name in group} != set(names):
            raise ConfigurationError(
                f"layout= must name each of {', '.join(names)} at least once, and nothing else, got: {chosen}"
            )
        return [
            (f"{'+'.join(group)}" if chosen.count(group) == 1 else f"{'+'.join(group)} {number}", group)
            for number, group in enumerate(chosen, 1)
        ]
