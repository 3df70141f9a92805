"""Runs an example: its scenario, against its services as they really run; then tells what came of it, and whether all holds that must.

wallet = Example(choreography, scenario, invariants=(every_top_up_ends,), always=(the_ledger_balances,), outside=(Books("bank", Bank, Bank),))
rehearsal = wallet.rehearsal()     # the same scenario and invariants, through faulty futures
sys.exit(main(wallet, tell))       # python -m examples.wallet
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import farandole
from farandole import App, CommandRefused, Receipt, World
from farandole.brokers.base import Broker
from farandole.cli.reading import entries_of, read_flows
from farandole.model.choreography import Choreography
from farandole.model.wire import Wire
from farandole.observe.chain import chains_of
from farandole.observe.record import Reading
from farandole.testing import virtual

from .sight import Databases, Sight, looking

if TYPE_CHECKING:
    from farandole.rehearse import Rehearsal, Stage, View

__all__ = ["Books", "Example", "Play", "main", "running", "until"]

Invariant = Callable[[Sight], Iterable[str]]
"""Looks, and gives the violations that it finds, in words; none is good."""


@dataclass(frozen=True, slots=True)
class Books:
    """Somebody outside who keeps books of his own: a bank, a carrier.

    Parameters
    ----------
    name:
        Under which invariants look into them: `sight.rows("bank", "SELECT …")`. The object has a method `rows(sql, **values)` too.
    kind:
        The type by which services ask for him.
    open:
        Makes him, of the SQLite file that holds his books (`:memory:` in a rehearsal) and a world.
    error:
        What a call of him raises that gets no answer, whether it was done or not.
    """

    name: str
    kind: type
    open: Callable[[Path, World], Any]
    error: type[Exception] = TimeoutError


@dataclass(frozen=True, slots=True)
class Example:
    """All that is needed to run, test and rehearse an example.

    Parameters
    ----------
    scenario:
        What its clients do. It sends commands, the same ones under the same keys however often it is begun again; it does not rely on
        `outcome`, but waits with `until`.
    invariants, always:
        What must hold when nothing is under way; and after every commit.
    """

    choreography: Choreography
    scenario: Callable[[Any], Awaitable[None]]
    invariants: Sequence[Invariant] = ()
    always: Sequence[Invariant] = ()
    outside: Sequence[Books] = ()

    def violations(self, sight: Sight) -> dict[str, list[str]]:
        """What each invariant finds, by its name."""
        return {check.__name__: list(check(sight)) for check in (*self.invariants, *self.always)}

    def rehearsal(self, **options: Any) -> Rehearsal:
        """The rehearsal of this example; the options are those of `Rehearsal`."""
        from farandole.rehearse import Rehearsal

        made = Rehearsal(self.choreography, **options)
        for books in self.outside:
            made.provide(books.kind, _in_memory(books), error=books.error)
        made.scenario(_played(self.scenario, self.outside))
        known = {invariant.name for invariant in self.choreography.invariants}
        for checks, always in ((self.invariants, False), (self.always, True)):
            for check in checks:
                if check.__name__ not in known:
                    self.choreography.invariant(always=always)(_checked(check, self.outside))
        return made


def _in_memory(books: Books) -> Callable[[World], Any]:
    def open_books(world: World) -> Any:
        return books.open(Path(":memory:"), world)

    return open_books


def _played(scenario: Callable[[Any], Awaitable[None]], outside: Sequence[Books]) -> Callable[[Stage], Awaitable[None]]:
    async def play(stage: Stage) -> None:
        await scenario(_Staged(stage, outside))

    return play


def _checked(check: Invariant, outside: Sequence[Books]) -> Callable[[View], Any]:
    @functools.wraps(check)
    def checked(view: View) -> list[str]:
        return list(check(_Seen(view, outside)))

    return checked


class _Seen:
    """What invariants look at in a rehearsal."""

    def __init__(self, view: View, outside: Sequence[Books]) -> None:
        self._view = view
        self._books = {books.name: books.kind for books in outside}

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        if service in self._books:
            found: list[tuple[Any, ...]] = self._view.outside(self._books[service]).rows(sql, **values)
            return found
        return self._view.rows(service, sql, **values)

    def one(self, service: str, sql: str, **values: Any) -> Any:
        found = self.rows(service, sql, **values)
        return (found[0][0] if found else 0) or 0


class _Staged(_Seen):
    """The stage of a rehearsal, from which a scenario sees the books of others too: a client opens his mail."""

    def __init__(self, stage: Stage, outside: Sequence[Books]) -> None:
        super().__init__(stage, outside)
        self._stage = stage

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stage, name)


@dataclass
class Play:
    """The stage of an example that really runs: what its scenario and its story use.

    Attributes
    ----------
    app:
        The running choreography.
    share, some, send, sleep, rows, one:
        As on the stage of a rehearsal.
    receipts, names:
        The answers to the commands so far, and their classes' names, by their idempotency keys.
    """

    app: App
    databases: Databases
    world: World
    share: float = 1.0
    notes: dict[str, Any] = field(default_factory=dict)
    receipts: dict[str, Receipt] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    sent: int = 0

    def some(self, items: Sequence[Any]) -> Sequence[Any]:
        """The items, or their first ones where little is wanted; always at least one."""
        return items[: max(1, round(len(items) * self.share))]

    async def send(self, command: Any, *, idempotency_key: str | None = None, correlation_id: str | None = None) -> Receipt:
        """Send a command; without a key, under one of its own."""
        self.sent += 1
        key = idempotency_key or f"command {self.sent}"
        receipt = await self.app.send(command, idempotency_key=key, correlation_id=correlation_id)
        self.receipts[key], self.names[key] = receipt, type(command).__name__
        return receipt

    async def sleep(self, seconds: float) -> None:
        """Let time pass."""
        await self.world.sleep(seconds)

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives in a service's database, or in the books of that name."""
        return self.databases.rows(service, sql, **values)

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row; 0 where it is null or there is none."""
        return self.databases.one(service, sql, **values)

    async def chain(self, key: str) -> list[str]:
        """What followed from a command, as lines of an indented tree: which service said what.

        Parameters
        ----------
        key:
            The command's idempotency key.
        """
        if not self.app.broker.capabilities.replay:
            return ["(this broker keeps no log to read it from)"]
        wire = Wire(self.app.choreography)
        topics = tuple(sorted(wire.types_of_topic))
        wanted = self.receipts[key].correlation_id
        found = await read_flows(self.app.broker, topics, wanted, self.world)
        lines: list[str] = []
        for chain in chains_of(self.app.choreography).of(entries_of(found, Reading(wire)), now=self.world.time()):
            if chain.correlation_id != wanted:
                continue
            depths: dict[int, int] = {}
            for node, above in chain.walk():
                depth = depths[id(node)] = 0 if above is None else depths[id(above)] + 1
                known = f"{node.name}  ({node.service})" if node.entry is not None else f"({node.kind})"
                lines.append(f"{'  ' * depth}{self.names[key] if node.id == wanted else known}")
        return lines


async def until(stage: Any, service: str, sql: str, *, patience: float = 3600.0, **values: Any) -> Any:
    """Wait until a query gives a row with a first value that is true, and give that value.

    Parameters
    ----------
    stage:
        That of a rehearsal, or a `Play`.
    patience:
        Seconds; where they are over, None is given: what must have happened is for the invariants to say.
    """
    pause, waited = 0.02, 0.0
    while not ((found := stage.rows(service, sql, **values)) and found[0][0]):
        if waited >= patience:
            return None
        await stage.sleep(pause)
        waited += pause
        pause = min(1.0, pause * 1.5)
    return found[0][0]


@asynccontextmanager
async def running(
    example: Example,
    folder: Path,
    *,
    broker: str | Broker | None = None,
    database: str | None = None,
    world: World | None = None,
    share: float = 1.0,
    services: Sequence[str] | None = None,
) -> AsyncIterator[Play]:
    """Open an example for as long as the `async with` lasts; by default on files in the folder, where the books of others are too."""
    world = world or World()
    database = database or f"sqlite:///{folder}/{{service}}.db?synchronous=normal"
    books = {one.name: folder / f"{one.name}.books.db" for one in example.outside}
    given = {one.kind: one.open(books[one.name], world) for one in example.outside}
    with looking(database, books) as databases:
        async with farandole.open(
            example.choreography,
            broker=broker or f"sqlite:///{folder}/broker.db?synchronous=normal",
            database=database,
            world=world,
            provide=given,
            services=services,
        ) as app:
            yield Play(app, databases, world, share)
    for one in given.values():
        if hasattr(one, "close"):
            one.close()


def main(example: Example, tell: Callable[[Play], Awaitable[Iterable[str]]], arguments: Sequence[str] | None = None) -> int:
    """`python -m examples.NAME`: play the scenario, tell the story, tick the invariants; 1 if one does not hold.

    Where no server is named the clock is virtual: waiting takes no time, and the same is told each time.

    Parameters
    ----------
    tell:
        Gives the lines of the story, once all has come to rest.
    """
    parser = argparse.ArgumentParser(description=f"Run the example {example.choreography.name}.")
    parser.add_argument("--broker", help="a broker's URL; default: a file in a temporary folder")
    parser.add_argument("--database", help="a database URL with {service} in it; default: files in a temporary folder")
    chosen = parser.parse_args(arguments)

    async def run(world: World) -> Mapping[str, list[str]]:
        with tempfile.TemporaryDirectory(prefix="farandole-") as name:
            async with running(example, Path(name), broker=chosen.broker, database=chosen.database, world=world) as play:
                await example.scenario(play)
                await play.app.idle()
                for line in await tell(play):
                    print(line)
                return example.violations(play.databases)

    try:
        found = asyncio.run(run(World())) if chosen.broker or chosen.database else virtual.run(run(virtual.VirtualWorld()))
    except (farandole.FarandoleError, CommandRefused) as error:
        print(f"{parser.prog}: {error}", file=sys.stderr)
        return 2
    print("\nWhat must hold:")
    for name, violations in found.items():
        print(f"  {'✗' if violations else '✓'} {name.replace('_', ' ')}")
        for violation in violations:
            print(f"      {violation}")
    return int(any(found.values()))
