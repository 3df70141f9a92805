"""Points: where a process died, in words. The names are those that stores, brokers and the runtime give to `World.point`."""

from __future__ import annotations

import re

__all__ = ["point_words"]

_KNOWN = {
    "await": "while it waited",
    "store.begin:before": "before a transaction began",
    "store.begin:after": "at the start of a transaction",
    "store.commit:before": "before commit, so nothing of it was kept",
    "store.commit:after": "after commit",
    "broker.publish:before": "before publishing",
    "broker.publish:after": "after publishing, before noting it",
    "relay.publish:before": "before publishing",
    "relay.publish:after": "after publishing, before noting it",
    "broker.fetch:before": "before fetching",
    "broker.fetch:after": "after fetching",
    "broker.ack:before": "before ack",
    "broker.ack:after": "after ack",
    "broker.release:before": "before handing back what it had fetched",
    "broker.release:after": "after handing back what it had fetched",
    "worker.handler:before": "before a handler ran",
}

_STATEMENTS = {
    "abandon": "giving up the claims of a dead process",
    "bury": "making a dead letter",
    "claim": "marking events as handled",
    "claim_one": "marking an event as handled",
    "close": "closing a claimed event",
    "emit": "writing to its outbox",
    "expire": "dropping the leases of relays that are gone",
    "extend": "renewing a lease",
    "give_back": "giving back what it had not run",
    "ingest": "storing what it had fetched",
    "keep_receipt": "keeping a receipt",
    "lease": "leasing its outbox",
    "park": "setting an event aside",
    "promote": "freeing the next event of a key",
    "published": "noting what was published",
    "purge": "deleting old rows",
    "release": "leaving a savepoint",
    "reopen": "putting a claimed event back",
    "savepoint": "setting a savepoint",
    "take": "claiming waiting events",
    "undo": "undoing to a savepoint",
}
"""By the name of a statement, what it does."""

_POINT = re.compile(r"(?:store\.)?(?P<name>\w+):(?P<side>before|after)")
_FAULT = "broker.fault:"


def point_words(point: str, *, in_hand: bool = False) -> str:
    """When a process died, as in "after commit, before ack".

    Parameters
    ----------
    point:
        The crash point's name. An unknown one is told by its name.
    in_hand:
        Whether the process held an event that it had not acknowledged.
    """
    if point == "store.commit:after" and in_hand:
        return "after commit, before ack"
    if point in _KNOWN:
        return _KNOWN[point]
    if point.startswith(_FAULT):
        return f"when the broker's fault {point.removeprefix(_FAULT)} struck"
    match = _POINT.fullmatch(point)
    if match is None:
        return f"at {point}" if point else ""
    doing = _STATEMENTS.get(match["name"], f"the statement {match['name']}")
    return f"{match['side']} {doing}"
