"""What all processes of one run stand on: the loop, the dice, the broker, the disks, and what is outside; and who writes it down."""

from __future__ import annotations

import asyncio
import copy
import inspect
from collections.abc import Callable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from farandole.errors import ConfigurationError, DeclarationError
from farandole.model.choreography import Choreography
from farandole.model.service import Provided, Service
from farandole.model.wire import Wire
from farandole.rehearse.cluster import Cluster
from farandole.rehearse.dice import Dice
from farandole.rehearse.disk import Disk
from farandole.rehearse.fakes import Outside, unreliable
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.process import Process
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.telling import Silence, Telling
from farandole.rehearse.world import RehearsalWorld
from farandole.runtime.plan import Limits, Plan
from farandole.sagas import compile_saga
from farandole.world import World

__all__ = ["Ground"]

_wires: WeakKeyDictionary[Choreography, Wire] = WeakKeyDictionary()


class Ground:
    """See above.

    Parameters
    ----------
    rehearsal:
        What is rehearsed.
    loop:
        Where it runs.
    dice:
        What goes wrong.
    telling:
        Whether beats are written down.

    Attributes
    ----------
    effects:
        (reaction, event id) of every run of a handler whose transaction was committed, in order.
    ended_badly:
        Processes that ended though nobody asked them to, and why.
    """

    def __init__(self, rehearsal: Rehearsal, loop: RehearsalLoop, dice: Dice, *, telling: bool) -> None:
        self.rehearsal = rehearsal
        self.choreography = rehearsal.choreography
        self.newer: Choreography | None = rehearsal.newer
        self.options = rehearsal.options
        self.loop = loop
        self.seed = loop.seed
        self.dice = dice
        self.wire = self.wire_of(self.choreography)
        self.world = RehearsalWorld(loop, "outside")
        self.cluster = Cluster(
            RehearsalWorld(loop, "broker"),
            dice,
            capabilities=rehearsal.broker.capabilities,
            keeps_acknowledged=rehearsal.broker.keeps_acknowledged,
            partitions=rehearsal.broker.partitions,
        )
        self.committed: list[Callable[[], None]] = []
        self.disks = {
            name: Disk(service, _Database(dice), heard=self._heard) for name, service in self.choreography.services.items()
        }
        self.processes: list[Process] = []
        self.healed = self.calm = False
        self.effects: list[tuple[str, str]] = []
        self.ended_badly: list[tuple[str, BaseException | None]] = []
        self.outside: dict[Any, Any] = {}
        self.notes: dict[str, Any] = {}
        self._turn = 0
        self._pending: dict[object, list[tuple[str, str]]] = {}
        self._marks: dict[object, int] = {}
        self.ear = Telling(self) if telling else Silence()
        self.tell = self.ear.tell

    @staticmethod
    def wire_of(choreography: Choreography) -> Wire:
        """The bindings of a choreography, made once for all runs."""
        if choreography not in _wires:
            _wires[choreography] = Wire(choreography)
        return _wires[choreography]

    # ---- who is where ----------------------------------------------------------------------------------------------------

    def process_of(self, service: str) -> Process:
        """A process that runs a service; each in turn where there are several."""
        able = [process for process in self.processes if service in process.services]
        up = [process for process in able if process.app is not None] or able
        self._turn += 1
        return up[self._turn % len(up)]

    def ended(self, process: Process, error: BaseException | None) -> None:
        """A process ended by itself."""
        self.ended_badly.append((process.name, error))

    def raise_if_misdeclared(self) -> None:
        """Raise what a process could not start for, where no start would succeed."""
        for _, error in self.ended_badly:
            if isinstance(error, ConfigurationError | DeclarationError):
                raise error

    def heal(self) -> None:
        """All faults are over: nothing strikes, the broker is well, and who is dead or frozen goes on."""
        self.tell("heal", "broker")
        self.healed = True
        self.dice.rest()
        self.cluster.heal()
        for process in self.processes:
            process.heal()

    # ---- what is outside -------------------------------------------------------------------------------------------------

    async def open_outside(self) -> None:
        """Make the fakes of this run."""
        for service in self.choreography.services.values():
            for given in service.provided:
                if given.type in self.outside or given.local:
                    continue
                fake = self.rehearsal.fakes.get(given.type)
                self.outside[given.type] = await self._make(given, given.source if fake is None else fake.source)

    async def _make(self, given: Provided, source: Any) -> Any:
        if not (inspect.isroutine(source) or inspect.isclass(source)):
            return copy.deepcopy(source) if given.type not in self.rehearsal.fakes else source
        make: Callable[..., Any] = source
        value = make(self.world) if _takes_a_world(make) else make()
        if inspect.isasyncgen(value):
            return await anext(value)
        return await value if inspect.isawaitable(value) else value

    def provide(self, world: World) -> Mapping[Any, Any]:
        """What the services of one process get: the fakes, whose calls may fail."""
        given: dict[Any, Any] = {}
        for kind, value in self.outside.items():
            fake = self.rehearsal.fakes.get(kind)
            error = TimeoutError if fake is None else fake.error
            name = getattr(kind, "__name__", str(kind))
            faults = _Outside(self.dice) if error is not None else _Harmless()
            shown = unreliable(value, world, faults, error=error or TimeoutError, name=name, heard=self._hear(world))
            given[kind] = lambda shown=shown: shown
        return given

    def _hear(self, world: World) -> Callable[[str, str], None]:
        who = str(getattr(world, "node", "client"))
        words = {"before": "timed out before acting", "after": "timed out after acting"}
        return lambda call, how: self.tell("outside", who, call, note=words.get(how, how))

    # ---- what is done ----------------------------------------------------------------------------------------------------

    def compile(self, reaction: Any, service: Service, wire: Wire, given: Mapping[Any, Any], limits: Limits) -> Plan:
        """A plan whose runs are written down."""
        plan = self._watched(compile_saga(reaction, service, wire, given, limits), reaction.id)
        if plan.late is not None:
            plan.late = self._watched(plan.late, reaction.id)
        if plan.exhausted is not None:
            plan.exhausted = self._watched(plan.exhausted, reaction.id)
            plan.exhausted.late = plan.late
        return plan

    def _watched(self, plan: Plan, name: str) -> Plan:
        watched, call = copy.copy(plan), plan.call
        if not plan.is_async:
            raise ConfigurationError(
                f"{plan.id} ({plan.place}) is a plain `def`, which runs in a thread, and no rehearsal can repeat threads. "
                f"Write `async def`"
            )

        async def run(event: Any, transaction: Any, context: Any, error: Any) -> Any:
            value = await call(event, transaction, context, error)
            self._pending.setdefault(asyncio.current_task(), []).append((name, context.event_id))
            return value

        watched.wants_context = True
        watched.call = run
        return watched

    def _heard(self, what: str) -> None:
        """A disk began or ended something in the running task."""
        task = asyncio.current_task()
        pending = self._pending.get(task)
        if what == "commit":
            if pending:
                self.effects += pending
                self.ear.done(pending)
            self._pending.pop(task, None)
            for listener in self.committed:
                listener()
        elif what == "rollback":
            self._pending.pop(task, None)
        elif what == "savepoint":
            self._marks[task] = len(pending or ())
        elif what == "undo" and pending:
            del pending[self._marks.get(task, 0) :]


class _Database:
    """What goes wrong at databases, drawn by dice."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def statement(self, world: World) -> bool:
        return self._dice.strike("statement", _node(world)) is not None

    def commit(self, world: World) -> str | None:
        if self._dice.strike("conflict", _node(world)):
            return "refused"
        return "unknown" if self._dice.strike("doubt", _node(world)) else None

    def slow(self, world: World) -> float:
        busy = self._dice.strike("busy", _node(world))
        return busy.size if busy else 0.0


class _Outside:
    """What goes wrong with calls to the outside, drawn by dice."""

    def __init__(self, dice: Dice) -> None:
        self._dice = dice

    def strike(self, world: World, call: str) -> Outside | None:
        for fault, how in (("lost_call", "before"), ("lost_answer", "after"), ("slow_call", "slow")):
            if strike := self._dice.strike(fault, _node(world)):
                return Outside(how, strike.size)  # type: ignore[arg-type]
        return None


class _Harmless:
    def strike(self, world: World, call: str) -> Outside | None:
        return None


def _node(world: World) -> str:
    return str(getattr(world, "node", "client"))


def _takes_a_world(source: Any) -> bool:
    try:
        parameters = inspect.signature(source).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(
        each.default is each.empty and each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters
    )
