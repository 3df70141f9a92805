"""Plays the scenario and tells what came of it: `python -m examples.wallet [--broker URL] [--database URL]`."""

from __future__ import annotations

import sys

from ..running import Play, main
from .invariants import BOOKS
from .scenario import ACCOUNTS, TOPUPS, example


async def tell(play: Play) -> list[str]:
    """The story."""
    cards = {topup_id: card for topup_id, (_, _, card) in TOPUPS.items()}
    late = {row[0] for row in play.rows("ledger", "SELECT topup_id FROM decisions WHERE late_charge")}
    lines = ["Top-ups:"]
    sql = "SELECT topup_id, pence, state, reason, returned_pence, overdue FROM topups ORDER BY topup_id"
    for topup_id, pence, state, reason, returned, overdue in play.rows("wallets", sql):
        asked = play.one(BOOKS, "SELECT count FROM calls WHERE kind = 'charge' AND reference = :id", id=topup_id)
        story = [f"{cards.get(topup_id, 'good')} card", f"the bank was asked {asked} time{'s' * (asked > 1)}"]
        story += [reason] * bool(reason) + ["the deadline passed"] * overdue
        story += ["the bank charged after that"] * (topup_id in late) + [f"{_pounds(returned)} went back"] * bool(returned)
        lines += [f"  {topup_id:<13} {_pounds(pence):>6}  {state}", f"    {'; '.join(story)}"]
    lines += ["", "What followed from the top-up with the late card:"]
    lines += [f"  {line}" for line in await play.chain("ada-late")]
    moved = play.one("ledger", "SELECT count(*) FROM entries WHERE kind = 'transfer'") // 2
    lines += [
        "",
        f"Ada and Dora tried to pay each other £30.00 five times each, all at once; {'some' if moved < 10 else 'all'} went through.",
    ]
    total = play.one("ledger", "SELECT sum(balance) FROM accounts")
    charged, reversed_ = (
        play.one(BOOKS, "SELECT sum(pence) FROM entries WHERE kind = :kind", kind=kind) for kind in ("charge", "reversal")
    )
    lines += [
        f"All {len(ACCOUNTS)} wallets hold {_pounds(total)}; the bank charged {_pounds(charged)} and gave {_pounds(reversed_)} back."
    ]
    return lines


def _pounds(pence: int) -> str:
    return f"£{pence // 100}.{pence % 100:02}"


sys.exit(main(example, tell))
