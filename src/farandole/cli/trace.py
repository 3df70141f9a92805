"""`farandole trace`: what an event caused, what became of it in each service, and what is still to come."""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from farandole.cli import FINDINGS, FINE
from farandole.cli.output import data_of, plain, print_json, write
from farandole.cli.reading import Found, Looking
from farandole.cli.target import Target, find
from farandole.errors import ConfigurationError
from farandole.observe.chain import Chain, Node
from farandole.world import World

__all__ = ["Look", "follow", "trace"]

IN_FULL, LISTED = 3, 20
"""So many instances are shown in full, or listed, unless all are asked for."""
_LOOK = 0.5
"""How often `--watch` looks, in seconds."""


@dataclass(frozen=True, slots=True)
class Look:
    """How chains are to be shown."""

    table: bool
    data: bool
    ids: bool
    whole: bool

    def of(self, chain: Chain, looking: Looking) -> str:
        terminal = sys.stdout.isatty()
        width = shutil.get_terminal_size().columns if terminal else None
        if self.table:
            from farandole.observe.chain.table import table

            return table(chain, width=width, colour=terminal, whole=self.whole)
        from farandole.observe.chain.text import tree

        ids = self.ids or width is None or width >= 120
        data = _data_lines(looking) if self.data else None
        return tree(chain, width=width, colour=terminal, ids=ids, data=data, whole=self.whole)


def trace(  # noqa: PLR0913 - each is a flag
    id: str,
    /,
    app: str | None = None,
    *,
    broker: str | None = None,
    database: str | None = None,
    table: bool = False,
    mermaid: bool = False,
    svg: Path | None = None,
    json: bool = False,
    watch: bool = False,
    data: bool = False,
    ids: bool = False,
    all: bool = False,
) -> int:
    """Show what an event caused, as a tree: services, times, delays, what became of it in each reaction, what is expected next.

    Parameters
    ----------
    id
        A correlation id, an event's id, or field=value such as order_id=4711.
    app
        The choreography, as module:variable; it may come from the configuration.
    broker
        The broker's URL.
    database
        The URL of a service's database, with {service} for its name.
    table
        Print a table instead, a line for each event.
    mermaid
        Print a sequence diagram in Mermaid's language instead.
    svg
        Draw a sequence diagram into this file instead.
    json
        Print JSON.
    watch
        Show it again whenever something happens, until it is over; needs a record.
    data
        Show the events' fields too, but for sensitive ones.
    ids
        Show the ids of events, also where there is little room.
    all
        Show everything, however much it is.
    """
    if table + mermaid + (svg is not None) + json > 1:
        raise ConfigurationError("choose one of --table, --mermaid, --svg and --json: each says how it is shown")
    target = find(app, None, broker, database)
    look = Look(table, data, ids, all)
    if watch:
        if mermaid or json or svg is not None:
            raise ConfigurationError("--watch shows a tree or a table: leave out --mermaid, --svg and --json")
        return asyncio.run(follow(target, id, look, World()))
    looking, found = asyncio.run(_once(target, id, World(), whole=all))
    if json:
        print_json(_as_json(found, looking))
    elif not found.chains:
        print(
            f"farandole: nothing in {target.choreography.name}'s log belongs to {id!r}. "
            f"An outbox may still hold it: see farandole status",
            file=sys.stderr,
        )
    elif mermaid or svg is not None:
        _draw(found, id, svg, whole=all)
    else:
        for text in _told(found, look, looking):
            print(text)
    return FINE if found.chains else FINDINGS


async def _once(target: Target, sought: str, world: World, *, whole: bool) -> tuple[Looking, Found]:
    async with Looking.at(target, world) as looking:
        return looking, await looking.chains(sought, None if whole else LISTED)


async def follow(target: Target, sought: str, look: Look, world: World) -> int:
    """Show what `sought` names whenever it changed, until all of it is over; gives the exit code."""
    if not target.has_record:
        raise ConfigurationError(
            "--watch asks the record what is new, and none is configured that several processes share. "
            'Say where events are recorded, such as record = "sqlite:///record.db", or look again without --watch'
        )
    before, is_over = None, False
    async with Looking.at(target, world) as looking:
        while not is_over:
            found = await looking.chains(sought, LISTED)
            state = [(chain.correlation_id, len(chain.events), *_state(chain)) for chain in found.chains]
            is_over = bool(state) and not any(_goes_on(chain) for chain in found.chains)
            if state != before:
                before = state
                if sys.stdout.isatty():
                    print("\x1b[2J\x1b[H", end="")  # everything away, and to the top
                for text in _told(found, look, looking):
                    print(text, flush=True)
            if not is_over:
                await world.sleep(_LOOK)
    return FINE


def _state(chain: Chain) -> Iterator[object]:
    yield chain.status and chain.status.state
    for node, _ in chain.walk():
        yield from ((one.reaction, one.state, one.attempts, one.duplicates) for one in node.handled)


def _goes_on(chain: Chain) -> bool:
    """Whether something may still come, or somebody has not been there yet."""
    waits = any(one.state in ("parked", "claimed", "never") for node, _ in chain.walk() for one in node.handled)
    return waits or (chain.status is not None and not chain.status.is_over)


def _told(found: Found, look: Look, looking: Looking) -> Iterator[str]:
    """The chains in full, or the latest of many in a line each."""
    if look.whole or (len(found.chains) <= IN_FULL and not found.left_out):
        for number, chain in enumerate(found.chains):
            yield ("\n" if number else "") + look.of(chain, looking)
        return
    from farandole.observe.chain.words import counted
    from farandole.words import date

    latest = found.chains[::-1][:LISTED]
    for chain in latest:
        times = [node.time for node in chain.events if node.time is not None]
        state = "" if chain.status is None else f"{chain.status.workflow or '-'} {chain.status.state}"
        begun = f"began {date(times[0])} UTC" if times else ""
        yield f"{plain(chain.correlation_id)}  {plain(state):<24}  {counted(len(chain.events), 'event'):>9}  {begun}".rstrip()
    left = found.left_out + len(found.chains) - len(latest)
    more = f"and {counted(left, 'instance')} more before them; " if left else ""
    yield f"{more}give the id of one to see it, or --all for all"


def _draw(found: Found, sought: str, svg: Path | None, *, whole: bool) -> None:
    if len(found.chains) > 1:
        raise ConfigurationError(
            f"{len(found.chains) + found.left_out} instances belong to {sought!r}, and a picture shows one. "
            f"Give the id of one: the latest is {plain(found.chains[-1].correlation_id)}"
        )
    (chain,) = found.chains
    if svg is None:
        from farandole.observe.chain.mermaid import mermaid

        sys.stdout.write(mermaid(chain, whole=whole))
        return
    from farandole.observe.chain.svg import svg as drawn

    write(drawn(chain, whole=whole), svg, "--svg")


def _as_json(found: Found, looking: Looking) -> dict[str, Any]:
    from farandole.observe.chain.data import as_data

    def data(node: Node) -> Any:
        envelope = looking.envelope(node)
        return None if envelope is None else data_of(envelope, looking.wire)

    return {"chains": [as_data(chain, data) for chain in found.chains], "left_out": found.left_out}


def _data_lines(looking: Looking) -> Callable[[Node], list[str]]:
    def lines(node: Node) -> list[str]:
        envelope = looking.envelope(node)
        data = None if envelope is None else data_of(envelope, looking.wire)
        if data is None:
            return ["data of an unknown type, not shown"]
        return [f"{name} = {value}" for name, value in data.items()]

    return lines
