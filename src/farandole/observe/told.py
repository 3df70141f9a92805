"""What was told of the events of one workflow instance: why something does not come, and what comes no more. Pure.

A reaction that raised `Skip`, was kept from it by its guard, or answered nothing leaves no event. Its fate says so, where fates are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from farandole.graph import Reaction, short
from farandole.stores.record import Fate
from farandole.words import clock

__all__ = ["Told", "name_of"]

_LONGEST = 300
_WEIGHT = {"dead": 3, "parked": 2, "done": 1, "exhausted": 1, "skipped": 0}


class Told:
    """The latest fate of each event in each reaction.

    Parameters
    ----------
    fates:
        Of one instance, in any order.
    """

    def __init__(self, fates: Iterable[Fate] = ()) -> None:
        self._latest: dict[tuple[str, str], Fate] = {}
        for fate in sorted(fates, key=lambda one: (one.at, one.attempt, one.state != "parked")):
            if fate.state not in ("duplicate", "refused"):
                self._latest[fate.id, fate.reaction] = fate
        self._refused = [fate for (_, reaction), fate in self._latest.items() if reaction == "(relay)"]

    def __bool__(self) -> bool:
        return bool(self._latest)

    def of(self, node: Reaction, id: str) -> Fate | None:
        """What became of an event in a reaction; None: nothing was ever told."""
        if not self._latest:
            return None
        service = short(node.service)
        return self._latest.get((id, f"{service}.{node.name}")) or self._latest.get((id, f"{service}.(envelope)"))

    def is_silent(self, node: Reaction, id: str) -> bool:
        """Whether the reaction is done with an event and said nothing, so that nothing comes any more."""
        fate = self.of(node, id)
        if fate is None:
            return False
        if fate.state == "exhausted":
            return fate.emitted == 0 or (fate.emitted is None and not (node.exhausted and node.exhausted.emits))
        return fate.state == "skipped" or (fate.state == "done" and fate.emitted == 0)

    def silence(self, node: Reaction, id: str, type: str) -> str:
        """Why it is silent, in words."""
        fate = self.of(node, id)
        if fate is None:
            return ""
        if fate.state == "skipped":
            return f"{name_of(node)} skipped {short(type)}: {_cut(fate.reason) or 'it did not say why'}"
        if fate.state == "exhausted":
            return f"{name_of(node)} gave up on {short(type)} and said nothing: {_cut(fate.reason) or 'it did not say why'}"
        return f"{name_of(node)} answered {short(type)} with nothing"

    def why(self, node: Reaction, causes: Sequence[str], missing: Sequence[str]) -> str:
        """Why an answer has not come, in words; "" where nobody knows.

        Parameters
        ----------
        causes:
            The ids of the events that it answers.
        missing:
            Whom a join waits for, in words.
        """
        found = [fate for cause in causes if (fate := self.of(node, cause)) is not None]
        fate = max(found, key=lambda one: (_WEIGHT.get(one.state, 0), bool(one.reason), one.at), default=None)
        if missing:
            gave_up = f"; it gave up: {_cut(fate.reason)}" if fate is not None and fate.state == "dead" else ""
            return f"the join waits for {' and '.join(missing)}{gave_up}"
        if fate is None:
            return f"nothing was ever told of it: {short(node.service)} is down, or far behind" if self else ""
        return self._why(node, fate)

    def _why(self, node: Reaction, fate: Fate) -> str:
        service = short(node.service)
        if fate.state == "dead":
            runs = f" after {fate.attempt} runs" if fate.attempt > 1 else ""
            return f"a dead letter of {service}{runs}: {_cut(fate.reason)}"
        if fate.state == "parked" and fate.reason:
            due = f"; next try {clock(fate.due)}" if fate.due is not None else ""
            return f"failed {fate.attempt} time{'s' * (fate.attempt > 1)}, the last at {clock(fate.at)}: {_cut(fate.reason)}{due}"
        if fate.state == "parked":
            if node.trigger.kind in ("all", "count", "deadline"):
                return ""  # its time runs
            return f"waits for its turn since {clock(fate.at)}, behind another event of its key"
        if fate.emitted:
            count = f"{fate.emitted} event{'s' * (fate.emitted > 1)}"
            if self._refused:
                return f"returned {count} at {clock(fate.at)}, which cannot be published: {_cut(self._refused[-1].reason)}"
            if node.delayed:
                return f"returned {count} at {clock(fate.at)}, some of them for later"
            return f"returned {count} at {clock(fate.at)}, not published yet: in the outbox of {service}"
        if fate.state == "exhausted":
            return f"gave up at {clock(fate.at)}: {_cut(fate.reason)}"
        return f"ran at {clock(fate.at)}; what it said is not recorded"


def name_of(node: Reaction) -> str:
    """`payments.charge`."""
    return f"{short(node.service)}.{node.name}"


def _cut(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[:_LONGEST] + "…"
