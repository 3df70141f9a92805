"""A chain as plain data for programs: flat, each event with the one above it, so that no depth breaks a parser."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from farandole.observe.chain.chain import Chain
from farandole.observe.chain.handled import Handled
from farandole.observe.chain.tree import Node
from farandole.observe.status import Status
from farandole.words import stamp

__all__ = ["as_data"]


def as_data(chain: Chain, data: Callable[[Node], Any] = lambda node: None) -> dict[str, Any]:
    """All of it, as `farandole trace --json` prints it: names once said stay; more may be added.

    Parameters
    ----------
    data:
        Gives an event's data, without what is sensitive.
    """
    skews = [{"behind": skew.behind, "ahead": skew.ahead, "at_least_seconds": skew.seconds} for skew in chain.skews]
    return {
        "correlationid": chain.correlation_id,
        "status": _status(chain.status),
        "skews": skews,
        "events": [_event(node, above, data) for node, above in chain.walk() if node.kind != "again"],
    }


def _event(node: Node, above: Node | None, data: Callable[[Node], Any]) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": node.id,
        "kind": node.kind,
        "name": node.name or None,
        "service": node.service or None,
        "above": above.id if above else None,
        "cyclic": node.cyclic,
    }
    if node.entry is not None:
        told |= {
            "type": node.entry.type,
            "source": node.entry.source,
            "time": stamp(node.time),
            "causes": list(node.causes),
            "delay_seconds": node.delay,
            "delay_at_most": node.at_most,
            "copies": node.copies,
            "undoes": [one.id for one in node.undoes],
            "undone": node.undone,
            "data": data(node),
        }
    told["handled"] = [_handled(one) for one in node.handled]
    return told


def _handled(one: Handled) -> dict[str, Any]:
    return {
        "service": one.service,
        "reaction": one.reaction,
        "state": one.state,
        "attempts": one.attempts,
        "at": stamp(one.at),
        "due": stamp(one.due),
        "reason": one.reason or None,
        "place": one.place or None,
        "error": one.error or None,
        "waited_seconds": one.waited,
        "retried_seconds": one.retried,
        "took_seconds": one.seconds,
        "emitted": one.emitted,
        "unrecorded": one.unsaid,
        "duplicates": one.duplicates,
        "undoes": one.undoes or None,
    }


def _status(status: Status | None) -> dict[str, Any] | None:
    if status is None or (status.workflow is None and not status.expected):
        return None
    expected = [
        {
            "types": one.types,
            "reaction": one.reaction,
            "way": one.way,
            "causes": one.causes,
            "since": stamp(one.since),
            "due": stamp(one.due),
            "missing": one.missing,
        }
        for one in status.expected
    ]
    times = {"since": stamp(status.since), "due": stamp(status.due)}
    return {"workflow": status.workflow, "state": status.state, **times, "expected": expected}
