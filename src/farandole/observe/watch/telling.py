"""Alerts on their way to people: to the log, and to webhooks, at least once.

Who opens or resolves an alert owes it (see `stores.record.Record`) until every sink took it. What a process could not tell, since a sink is away
or it died, it or another one tells later. Many of one kind at once are told together.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Protocol

from farandole.bell import Bell, end_all
from farandole.errors import ConfigurationError, FarandoleError, StoreError
from farandole.observe.watch.webhook import Webhook
from farandole.runtime.signals import Signals
from farandole.stores.record import Alert, Record
from farandole.world import World

__all__ = ["LogSink", "Sink", "Teller", "sinks_of", "told_together"]

MANY = 10
"""More of one kind than this are told together."""
OWED = 60.0
"""Seconds after which somebody else tells what was not told."""
AGAIN = 5.0
"""Seconds between looks for these."""
REST, LONGEST_REST = 2.0, 300.0
"""Seconds for which a sink that failed is left alone; doubled each time."""
PATIENCE = 5.0
"""Seconds that a process that closes gives to what is on its way."""
SOME = 200

log = logging.getLogger("farandole.alerts")


class Sink(Protocol):
    """Somebody to tell. `name` may be shown.

    Raises
    ------
    Exception
        It did not take them: they come again.
    """

    name: str

    async def tell(self, alerts: Sequence[Alert], text: str) -> None:
        """Tell of these, which are of one kind; `text` says all of it for people."""
        ...


class LogSink:
    """Tells the logger `farandole.alerts`: a warning for what opens, an information for what is over."""

    name = "log"

    async def tell(self, alerts: Sequence[Alert], text: str) -> None:
        level = logging.INFO if alerts[0].resolved is not None else logging.WARNING
        log.log(level, "%s", text, extra={"alerts": [alert.key for alert in alerts], "rule": alerts[0].rule})


def sinks_of(wanted: Iterable[str | Sink], choreography: str = "") -> list[Sink]:
    """Those that are meant: `log`, the URL of a webhook, or an object of one's own.

    Raises
    ------
    ConfigurationError
        It is none of these.
    """
    return [_named(one, choreography) if isinstance(one, str) else one for one in wanted]


def _named(name: str, choreography: str) -> Sink:
    if name == "log":
        return LogSink()
    if name.startswith(("https://", "http://")):
        return Webhook(name, choreography)
    raise ConfigurationError(f'alerts: expected "log" or the URL of a webhook, got: {name.partition("://")[0]!r}')


class Teller:
    """Opens alerts, resolves them, and tells the sinks.

    Parameters
    ----------
    record:
        Keeps them.
    sinks:
        Whom to tell.
    world:
        Its clock.
    signals:
        Who hears of its troubles.
    """

    def __init__(self, record: Record, sinks: Sequence[Sink], world: World, signals: Signals) -> None:
        self._record = record
        self._sinks = tuple(sinks)
        self._world = world
        self._signals = signals
        self._queue: dict[tuple[str, float | None], Alert] = {}
        self._took: dict[tuple[str, float | None], set[int]] = {}  # the sinks that have it, where others have not
        self._not_before = [0.0] * len(self._sinks)
        self._rests = [REST] * len(self._sinks)
        self._looked = float("-inf")
        self._bell = Bell()
        self._task: asyncio.Task[None] | None = None

    async def tell(self, alerts: Sequence[Alert], over: Sequence[str]) -> None:
        """Open these, and resolve those that are open; who opened or resolved one tells of it.

        Raises
        ------
        StoreError
            The record is away. Nothing is lost: who looks again opens them again.
        """
        new = await self._record.alert(alerts) if alerts else []
        self._hand_on(new)
        resolved = await self._record.resolve(over, self._world.time()) if over else []
        self._hand_on(resolved)

    async def retry(self) -> None:
        """Take up what nobody told for long."""
        now = self._world.monotonic()
        if now - self._looked >= AGAIN:
            self._looked = now
            time = self._world.time()
            self._hand_on(await self._record.owed(time - OWED, time, SOME))

    def _hand_on(self, alerts: Iterable[Alert]) -> None:
        for alert in alerts:
            self._queue.setdefault((alert.key, alert.resolved), alert)
        if self._queue and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="alerts")
        self._bell.ring()

    async def close(self) -> None:
        """Tell what is on its way, for a few seconds at most; the rest is owed, and told by whoever comes next."""
        if self._task is not None and not self._task.done():
            await asyncio.wait([self._task], timeout=PATIENCE)
            await end_all([self._task])

    async def _run(self) -> None:
        """Until nothing is in hand."""
        while self._queue:
            kinds: dict[tuple[str, str, bool], list[Alert]] = {}
            for alert in self._queue.values():
                kinds.setdefault((alert.rule, alert.workflow, alert.resolved is not None), []).append(alert)
            for alerts in kinds.values():
                for group in [alerts] if len(alerts) > MANY else [[alert] for alert in alerts]:
                    await self._deliver(group)

    async def _deliver(self, group: list[Alert]) -> None:
        everybody = set(range(len(self._sinks)))
        for number, sink in enumerate(self._sinks):
            wanted = [alert for alert in group if number not in self._took.get(_name(alert), ())]
            rests = self._world.monotonic() < self._not_before[number]
            if wanted and not rests and await self._reaches(number, sink, wanted):
                for alert in wanted:
                    self._took.setdefault(_name(alert), set()).add(number)
        done = [alert for alert in group if self._took.get(_name(alert), set()) == everybody]
        try:
            if done:
                await self._record.told(done)
        except StoreError as error:
            self._signals.trouble("alerts", error)  # they come again, and every sink has them
        else:
            for alert in done:
                self._took.pop(_name(alert), None)
        for alert in group:
            self._queue.pop(_name(alert), None)

    async def _reaches(self, number: int, sink: Sink, alerts: list[Alert]) -> bool:
        try:
            await sink.tell(alerts, told_together(alerts))
        except Exception as error:
            self._not_before[number] = self._world.monotonic() + self._rests[number]
            self._rests[number] = min(self._rests[number] * 2, LONGEST_REST)
            known = isinstance(error, FarandoleError)
            told = str(error) if known else f"{sink.name} took no alert: {type(error).__name__}"
            self._signals.trouble("alerts", error if known else FarandoleError(told))
            log.warning("%s; it is told again later", told)
            return False
        self._rests[number] = REST
        return True


def told_together(alerts: Sequence[Alert]) -> str:
    """For people: one alert in full, several of a kind by their first lines."""
    first = alerts[0]
    over = first.resolved is not None
    if len(alerts) == 1:
        return f"resolved: {first.text.partition(chr(10))[0]}" if over else first.text
    lines = [alert.text.partition("\n")[0] for alert in alerts[:MANY]]
    kind = (
        f"{len(alerts)} alerts {first.rule!r}{f' of {first.workflow}' if first.workflow else ''}{' are resolved' if over else ''}"
    )
    return "\n".join([f"{kind}, the first {len(lines)}:", *(f"  {line}" for line in lines), "  farandole workflows"])


def _name(alert: Alert) -> tuple[str, float | None]:
    return alert.key, alert.resolved
