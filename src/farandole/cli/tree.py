"""A causal tree in words: as a rich tree for people, as flat JSON for programs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from farandole.cli.output import ago, data_of, plain
from farandole.model.choreography import Choreography
from farandole.model.envelope import Envelope
from farandole.model.policy import Settled
from farandole.model.reaction import OnCommand, Reaction
from farandole.model.wire import Wire
from farandole.observe.chain import Chain, Node
from farandole.stores.base import InboxRow

__all__ = ["Teller"]

Fates = dict[str, list[tuple[str, InboxRow]]]

_STYLES = {"done": "green", "parked": "yellow", "claimed": "cyan", "dead": "bold red", "exhausted": "magenta", "skipped": "dim"}
_DEEPEST = 40  # beyond it the indentation would leave the screen


class Teller:
    """Tells chains.

    Parameters
    ----------
    choreography, wire:
        What is known of types and reactions.
    services:
        The services whose databases were looked into.
    now:
        The wall-clock time, in seconds since 1970.
    """

    def __init__(self, choreography: Choreography, wire: Wire, services: tuple[str, ...], now: float) -> None:
        self._wire = wire
        self._now = now
        self._reactions = {reaction.id: reaction for reaction in choreography.reactions}
        self._expected: dict[str, list[str]] = {}
        self._commands: dict[str, set[str]] = {}
        for reaction in choreography.reactions:
            if isinstance(reaction.trigger, OnCommand):
                for event in reaction.emits:
                    self._commands.setdefault(wire.by_class[event].type, set()).add(reaction.trigger.command.__name__)
            elif reaction.service in services:
                for event in reaction.events:
                    self._expected.setdefault(wire.by_class[event].type, []).append(reaction.id)

    def as_tree(self, chain: Chain, fates: Fates, *, with_data: bool, with_ids: bool = True) -> Tree:
        """For people."""
        top = Tree(Text(f"{chain.correlationid}  {chain.events} event{'s' * (chain.events != 1)}", style="bold"))
        places: dict[int, tuple[Tree, int]] = {}
        for node, above in chain.walk():
            place, depth = places[id(above)] if above is not None else (top, 0)
            branch = place.add(self._line(node, with_ids=with_ids))
            places[id(node)] = (branch, depth + 1) if depth < _DEEPEST else (place, depth)
            if node.kind == "again":
                continue
            for line in self._fates(node, fates):
                branch.add(line)
            if with_data and node.envelope is not None:
                for line in self._data(node.envelope):
                    branch.add(line)
        return top

    def as_json(self, chain: Chain, fates: Fates) -> dict[str, Any]:
        """For programs: flat, each event with the one above it, so that no depth breaks a parser."""
        events = []
        for node, above in chain.walk():
            if node.kind == "again":
                continue
            envelope = node.envelope
            told: dict[str, Any] = {"id": node.id, "kind": node.kind, "above": above.id if above else None, "cyclic": node.cyclic}
            if envelope is not None:
                told |= {
                    "type": envelope.type,
                    "source": envelope.source,
                    "time": envelope.time.isoformat() if envelope.time else None,
                    "causes": list(envelope.causes),
                    "delay_seconds": node.delay,
                    "copies": node.copies,
                    "data": data_of(envelope, self._wire),
                }
            told["handled"] = [_fate_as_json(service, row) for service, row in fates.get(node.id, ())]
            told["waiting"] = self._waiting(node, fates)
            events.append(told)
        return {"correlationid": chain.correlationid, "events": events}

    def _line(self, node: Node, *, with_ids: bool) -> Text:
        own = f"  {plain(node.id)}" if with_ids else ""
        if node.kind == "command":
            names = {name for child in node.children if child.envelope for name in self._commands.get(child.envelope.type, ())}
            return Text.assemble((" or ".join(sorted(names)) or "a command", "bold"), f"  command, began it{own}")
        if node.envelope is None:
            return Text(f"{plain(node.id)}  not in the log", style="red")
        envelope = node.envelope
        kind = plain(envelope.type)
        if node.kind == "again":
            return Text(f"{kind}  {plain(node.id)}  (stands elsewhere)", style="dim")
        moment = envelope.time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] if envelope.time else "no time"
        line = Text.assemble((kind, "bold"), f"  {plain(envelope.source)}  {moment}")
        if node.delay is not None:
            line.append(f"  {'+' * (node.delay >= 0)}{ago(node.delay)}")
        line.append(own, style="dim")
        if node.copies > 1:
            line.append(f"  {node.copies} copies", style="yellow")
        if node.cyclic:
            line.append("  causes itself", style="red")
        return line

    def _fates(self, node: Node, fates: Fates) -> list[Text]:
        lines = [self._fate(row) for _, row in fates.get(node.id, ())]
        return lines + [Text(f"{reaction}: not handled yet", style="yellow") for reaction in self._waiting(node, fates)]

    def _waiting(self, node: Node, fates: Fates) -> list[str]:
        if node.envelope is None:
            return []
        known = {row.reaction for _, row in fates.get(node.id, ())}
        return [reaction for reaction in self._expected.get(node.envelope.type, ()) if reaction not in known]

    def _fate(self, row: InboxRow) -> Text:
        line = Text.assemble(f"{plain(row.reaction)}: ", (plain(row.state), _STYLES.get(row.state, "")))
        if row.state in ("parked", "claimed", "dead"):
            line.append(f"  {_attempts(row, self._reactions.get(row.reaction))}")
        if row.state == "parked":
            line.append(f"  {self._next(row)}")
        for detail in (row.reason, row.place):
            if detail:
                line.append(f"  {plain(detail)}")
        return line

    def _next(self, row: InboxRow) -> str:
        if row.due is None:
            return "waits behind another of its key"
        return "due now" if row.due <= self._now else f"next in {ago(row.due - self._now)}"

    def _data(self, envelope: Envelope) -> list[Text]:
        data = data_of(envelope, self._wire)
        if data is None:
            return [Text("data of an unknown type, not shown", style="dim")]
        return [Text(f"{name} = {plain(value)}", style="dim") for name, value in data.items()]


def _attempts(row: InboxRow, reaction: Reaction[Any, Any, Any] | None) -> str:
    most = Settled.of(reaction.policy).retry.attempts if reaction is not None else 0
    of = f" of {most}" if row.attempts <= most else ""  # beyond it, the exhausted handler has attempts of its own
    return f"{row.attempts}{of} attempt{'s' * (max(most, row.attempts) != 1)}"


def _fate_as_json(service: str, row: InboxRow) -> dict[str, Any]:
    due = None if row.due is None else datetime.fromtimestamp(row.due, UTC).isoformat()
    return {
        "service": service,
        "reaction": row.reaction,
        "state": row.state,
        "attempts": row.attempts,
        "due": due,
        "reason": row.reason,
        "place": row.place,
        "error": row.error,
    }
