"""The counter of measures: reads the record from where each measure stands, and keeps what it counted there.

It works when somebody asks, and for as long as it is given; what is left is counted the next time. Several processes may ask at once: each
step is kept by one of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import msgspec

from farandole.model.choreography import Choreography
from farandole.model.wire import Wire
from farandole.observe.measures import Figure, Rule, rules_of
from farandole.stores.measures import Part, Tally
from farandole.stores.record import Entry, Record
from farandole.world import World

__all__ = ["Figures"]

BATCH = 1_000
SOME = 100
"""So many parts are looked at, each time somebody asks, whether their instances are forgotten."""


class Figures:
    """Counts the measures of a choreography.

    Parameters
    ----------
    choreography:
        Whose measures.
    record:
        Open, or opened before anybody asks.
    world:
        Its clock.
    """

    def __init__(self, choreography: Choreography, record: Record, world: World, wire: Wire | None = None) -> None:
        self._rules = rules_of(choreography.measures, wire or Wire(choreography))
        self._types = frozenset(type for rule in self._rules for type in rule.begins | rule.ends)
        self._record = record
        self._world = world
        self._counting = asyncio.Lock()
        self.is_behind = False
        """Whether events are recorded that were not counted when it was last asked."""

    async def now(self, patience: float | None = None) -> list[Figure]:
        """The figures, in the order of the declaration.

        Parameters
        ----------
        patience:
            Seconds after which it stops counting and tells what it has; None: it counts all.

        Raises
        ------
        StoreError
            The record's database is away.
        """
        if not self._rules:
            return []
        kept = self._record.measures
        async with self._counting:
            until = None if patience is None else self._world.monotonic() + patience
            self.is_behind = True
            while until is None or self._world.monotonic() < until:
                if not await self._step():
                    self.is_behind = False
                    break
            await kept.tidy(SOME)
        tallies, open_now = await kept.tallies(), await kept.open_parts()
        return [rule.figure(tallies.get(rule.id), open_now.get(rule.id, (0, 0.0))) for rule in self._rules]

    async def _step(self) -> bool:
        """Count the next events for those measures that are furthest behind; False: there are none."""
        kept = self._record.measures
        tallies = await kept.tallies()
        places = {rule.id: tallies[rule.id].upto if rule.id in tallies else 0 for rule in self._rules}
        lowest = min(places.values())
        entries = await self._record.since(lowest, BATCH)
        ahead = min((place for place in places.values() if place > lowest), default=None)
        if ahead is not None:  # they go on together from there
            entries = [entry for entry in entries if entry.number <= ahead]
        if not entries and ahead is None:
            return False
        upto = entries[-1].number if entries else (ahead or lowest)
        rules = [rule for rule in self._rules if places[rule.id] == lowest]
        counted, parts = await self._count(rules, tallies, entries)
        await kept.keep(lowest, [msgspec.structs.replace(tally, upto=upto) for tally in counted], parts)
        await self._world.sleep(0)  # services have their turn
        return True

    async def _count(
        self, rules: Sequence[Rule], tallies: dict[str, Tally], entries: Sequence[Entry]
    ) -> tuple[list[Tally], list[Part]]:
        instances: dict[str, list[Entry]] = {}
        for entry in entries:
            if entry.type in self._types:
                instances.setdefault(entry.correlation_id, []).append(entry)
        ids = [rule.id for rule in rules]
        known = await self._record.measures.parts_of(ids, tuple(instances)) if instances else []
        before = {(part.measure, part.correlation_id): part for part in known}
        counted, changed = [], []
        for rule in rules:
            tally = tallies.get(rule.id, Tally(measure=rule.id))
            for correlation_id, some in instances.items():
                was = before.get((rule.id, correlation_id))
                part = rule.part(was, correlation_id, some)
                if part is not None:
                    tally = rule.counted(tally, was, part)
                    changed.append(part)
            counted.append(tally)
        return counted, changed
