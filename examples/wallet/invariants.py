"""What must be true of the money, whatever goes wrong. Each function gives the violations that it finds, in words.

They look at the services' databases and at the bank's own books (`BOOKS`), and at nothing else.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from ..sight import Sight
from .services.ledger import BANK

__all__ = [
    "BOOKS",
    "every_top_up_ends",
    "everyone_is_told_once",
    "nobody_is_charged_twice",
    "the_bank_and_the_ledger_agree",
    "the_ledger_adds_up",
    "what_is_credited_was_charged",
]

BOOKS = "api"
"""Under which name the bank's own books are looked into."""

_NET = "SELECT reference, sum(CASE kind WHEN 'charge' THEN pence ELSE -pence END) FROM entries GROUP BY reference"


def the_ledger_adds_up(sight: Sight) -> list[str]:
    """Each posting has two sides and is zero in sum; each wallet holds what its entries say, never less than nothing: at every moment."""
    entries = sight.rows("ledger", "SELECT kind, reference, account_id, pence FROM entries")
    sums, sides, held = Counter[tuple[str, str]](), Counter[tuple[str, str]](), Counter[str]()
    for kind, reference, account_id, pence in entries:
        sums[kind, reference] += pence
        sides[kind, reference] += 1
        held[account_id] += pence
    found = [
        f"{kind} {reference} has {sides[kind, reference]} sides, and {total} pence in sum"
        for (kind, reference), total in sorted(sums.items())
        if total != 0 or sides[kind, reference] != 2
    ]
    balances = sight.rows("ledger", "SELECT account_id, balance, limit_pence FROM accounts ORDER BY account_id")
    found += [
        f"account {account_id} says {balance} of {limit} pence, its entries {held[account_id]}"
        for account_id, balance, limit in balances
        if balance != held[account_id] or not 0 <= balance <= limit
    ]
    total = sum(balance for _, balance, _ in balances) + held[BANK]
    return [*found, f"all balances together are {total} pence"] if total else found


def what_is_credited_was_charged(sight: Sight) -> list[str]:
    """Not even for a moment is there money in a wallet that the bank does not hold for us."""
    charged = dict(sight.rows(BOOKS, _NET))
    return [
        f"top-up {topup_id}: {pence} pence are credited, and the bank holds {charged.get(topup_id, 0)}"
        for topup_id, pence in sorted(_credited(sight).items())
        if charged.get(topup_id, 0) != pence
    ]


def nobody_is_charged_twice(sight: Sight) -> list[str]:
    """The bank charges a top-up once at most, and gives it back once at most: at every moment."""
    often = "SELECT kind, reference, count(*) FROM entries WHERE pence <> 0 GROUP BY kind, reference HAVING count(*) > 1"
    return [f"top-up {reference}: {count} times a {kind}" for kind, reference, count in sight.rows(BOOKS, often)]


def the_bank_and_the_ledger_agree(sight: Sight) -> list[str]:
    """Top-up by top-up: charged less reversed is what the ledger has credited."""
    charged, credited = dict(sight.rows(BOOKS, _NET)), _credited(sight)
    return [
        f"top-up {topup_id}: the bank holds {charged.get(topup_id, 0)} pence, the ledger has credited {credited.get(topup_id, 0)}"
        for topup_id in sorted(charged.keys() | credited.keys())
        if charged.get(topup_id, 0) != credited.get(topup_id, 0)
    ]


def every_top_up_ends(sight: Sight) -> list[str]:
    """Completed, with its pence in the ledger; or failed, with nothing there."""
    credited = _credited(sight)
    return [
        f"top-up {topup_id} of {pence} pence is {state}, and {credited.get(topup_id, 0)} are credited"
        for topup_id, pence, state in _requests(sight)
        if credited.get(topup_id, 0) != {"completed": pence, "failed": 0}.get(state)
    ]


def everyone_is_told_once(sight: Sight) -> list[str]:
    """One letter says how it ended; one more says that money came back, where there was any at the bank."""
    reversals = "SELECT reference FROM entries WHERE kind = 'reversal' AND pence > 0"
    due = Counter((topup_id, state) for topup_id, _, state in _requests(sight))
    due.update((reference, "returned") for (reference,) in sight.rows(BOOKS, reversals))
    told = Counter((topup_id, kind) for topup_id, kind in sight.rows("notifications", "SELECT topup_id, kind FROM letters"))
    return [
        f"top-up {topup_id}: {told[topup_id, kind]} letters say {kind}, and {due[topup_id, kind]} should"
        for topup_id, kind in sorted(due | told)
        if told[topup_id, kind] != due[topup_id, kind]
    ]


def _credited(sight: Sight) -> dict[str, int]:
    """What the ledger has credited, by top-up: the other side of what it says of the bank."""
    sql = "SELECT reference, -pence FROM entries WHERE kind = 'top-up' AND account_id = :bank"
    return {topup_id: int(pence) for topup_id, pence in sight.rows("ledger", sql, bank=BANK)}


def _requests(sight: Sight) -> list[tuple[Any, ...]]:
    return sight.rows("wallets", "SELECT topup_id, pence, state FROM topups ORDER BY topup_id")
