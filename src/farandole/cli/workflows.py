"""`farandole workflows`: where the workflows are, which of them stall, and why."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from farandole.cli import FINDINGS, FINE
from farandole.cli.output import ago, console, plain, print_json
from farandole.cli.target import Target, find
from farandole.config import nearest, parse_duration
from farandole.errors import BrokerError, ConfigurationError
from farandole.stores.record import Record, Standing
from farandole.web.observe import standing_json
from farandole.world import World

__all__ = ["workflows"]

PATIENCE = 0.5
"""Seconds for looking at what no watcher has looked at yet."""
_STYLES = {"succeeded": "green", "stalled": "bold red", "failed": "yellow", "compensating": "yellow", "compensated": "yellow"}
_BROKER = 2.0
"""Seconds that the broker has for saying how far the record is behind."""


def workflows(  # noqa: PLR0913 - each is a flag
    app: str | None = None,
    *,
    stalled: bool = False,
    failed: bool = False,
    running: bool = False,
    workflow: str | None = None,
    since: str | None = None,
    limit: int = 30,
    broker: str | None = None,
    fail_on_stalled: bool = False,
    json: bool = False,
) -> int:
    """Show where workflow instances are: how many in which state, and of the latest what they wait for, from whom, and why.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    stalled
        Only those that did not end in time, or can go no further.
    failed
        Only those that failed, also while they are undone.
    running
        Only those that are under way.
    workflow
        Only instances of this workflow.
    since
        Only those that began no longer ago than this, such as 2h.
    limit
        Show so many at most.
    broker
        The broker's URL.
    fail_on_stalled
        Exit with 1 if one of those that are shown is stalled.
    json
        Print JSON.
    """
    target = find(app, None, broker)
    states = [*(["stalled"] if stalled else []), *(["failed", "compensating", "compensated"] if failed else [])]
    states += ["running"] if running else []
    names = [one.name for one in target.choreography.workflows]
    if workflow is not None and workflow not in names:
        raise ConfigurationError(
            f"--workflow: {target.choreography.name} has no workflow {workflow!r}. {nearest(workflow, names)}"
        )
    if limit < 1:
        raise ConfigurationError(f"--limit: expected at least 1, got: {limit}")
    try:
        age = None if since is None else parse_duration(since)
    except ValueError as error:
        raise ConfigurationError(f"--since: {error}") from None
    world = World()
    counts, shown, notes = asyncio.run(_look(target, world, workflow, states, age, limit))
    if json:
        table = [{"workflow": name or None, "state": state, "count": number} for (name, state), number in sorted(counts.items())]
        print_json(
            {
                "choreography": target.choreography.name,
                "counts": table,
                "workflows": [standing_json(one) for one in shown],
                "notes": notes,
            }
        )
    else:
        _print(counts, shown, notes, states, limit, world.time())
    return FINDINGS if fail_on_stalled and any(one.state == "stalled" for one in shown) else FINE


@dataclass(frozen=True)
class _Read:
    """A record that somebody else fills."""

    record: Record
    behind: bool

    async def ready(self) -> None:
        """It is."""

    async def is_behind(self) -> bool:
        return self.behind


async def _look(
    target: Target, world: World, workflow: str | None, states: Sequence[str], age: float | None, limit: int
) -> tuple[Mapping[tuple[str, str], int], list[Standing], list[str]]:
    from farandole.graph.of_code import graph_of
    from farandole.model.wire import Wire
    from farandole.observe.record import Reading
    from farandole.observe.status import Statuses
    from farandole.observe.watch import Watcher
    from farandole.runtime.signals import Signals

    reading = Reading(Wire(target.choreography))
    async with target.record(world, reading) as record:
        if record is None:
            raise ConfigurationError(
                "nothing is recorded that could be looked at from here, so nobody can tell where workflows are. Configure a record: "
                'record = "sqlite:///.farandole/record.db" or "postgresql://…" (see docs/status.md), and start the services once'
            )
        behind = await _behind(target, world, reading)
        notes = []
        if behind is None:
            notes.append("the broker does not answer: what is not recorded yet is not known")
        elif behind:
            notes.append(f"the record is {behind} events behind: what follows may be late")
        watcher = Watcher(_Read(record, behind != 0), Statuses(graph_of(target.choreography)), world, Signals())
        if not await watcher.catch_up(PATIENCE):
            notes.append("not all that is recorded was looked at yet: does `farandole observe`, or a service, run?")
        began = None if age is None else world.time() - age
        counts = await record.counts()
        if workflow is not None:
            counts = {key: number for key, number in counts.items() if key[0] == workflow}
        return counts, await record.standings(workflow=workflow, states=states, since=began, limit=limit), notes


async def _behind(target: Target, world: World, reading: Any) -> int | None:
    """How many events are not recorded yet; None: nobody can tell."""
    from farandole.observe.record import subscription_of

    try:
        async with asyncio.timeout(_BROKER), target.broker(world) as broker:
            return await broker.lag(subscription_of(target.choreography.name, reading))
    except (BrokerError, ConfigurationError, TimeoutError):
        return None


def _print(
    counts: Mapping[tuple[str, str], int],
    shown: Sequence[Standing],
    notes: Sequence[str],
    states: Sequence[str],
    limit: int,
    now: float,
) -> None:
    out = console()
    if not counts:
        out.print("no workflow has begun, as far as it is recorded")
    else:
        out.print(_counts(counts))
    for note in notes:
        console(stderr=True).print(note)
    if shown:
        out.print()
        out.print(_table(shown, now))
        wanted = sum(number for (_, state), number in counts.items() if not states or state in states)
        if len(shown) == limit and wanted > limit:
            out.print(Text(f"… the latest {limit} of {wanted}; more: --limit", style="dim"))
        out.print(Text("all of one: farandole trace INSTANCE", style="dim"))
    elif counts:
        out.print("none of these is in what was asked for")


def _counts(counts: Mapping[tuple[str, str], int]) -> Text:
    """One line for each workflow: what is bad comes first."""
    order = ("stalled", "failed", "compensating", "compensated", "running", "succeeded", "ended")
    text = Text()
    names = sorted({name for name, _ in counts})
    wide = max(len(plain(name)) for name in names) or len("(none)")
    for place, name in enumerate(names):
        text.append("\n" if place else "")
        text.append(f"{plain(name) or '(none)':<{wide}}", style="bold")
        for state in order:
            if number := counts.get((name, state)):
                text.append("  ")
                text.append(f"{number:,} {state}", style=_STYLES.get(state, ""))
    return text


def _table(shown: Sequence[Standing], now: float) -> Table:
    table = Table(box=None, pad_edge=False)
    for title in ("instance", "key", "workflow", "state", "for", "waits for", "from", "why"):
        table.add_column(title, overflow="fold", no_wrap=title in ("state", "for"))
    for one in shown:
        table.add_row(
            Text(plain(one.correlation_id)),
            Text(plain(one.key)),
            Text(plain(one.workflow)),
            Text(one.state, style=_STYLES.get(one.state, "")),
            Text(ago(now - one.since) if one.since is not None else "-"),
            Text(plain(one.waits_for)),
            Text(plain(one.service)),
            Text(plain(one.reason)),
        )
    return table
