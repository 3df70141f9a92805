"""What happened, in figures: all from the databases and the gateway's ledger, none from what was expected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .databases import LEDGER, Databases
from .invariants import undecided

__all__ = ["Figures", "read_figures"]


@dataclass(frozen=True, slots=True)
class Figures:
    """Counts of orders and returns, and sums in pence.

    Attributes
    ----------
    placed:
        Orders that were accepted; each is confirmed, cancelled or open.
    returns_accepted, returns_partial, returns_rejected:
        Returns taken back in full, in part, not at all.
    charges, charged_pence:
        What the gateway took.
    refunded_pence, voided_pence:
        What it gave back: for returns and doubtful charges together, and of that for doubtful charges.
    refunds, releases:
        Returns that were paid back; times that goods went back to the shelf.
    open:
        Invoices without an outcome.
    """

    placed: int
    rejected: int
    confirmed: int
    cancelled: int
    cancelled_by_reason: dict[str, int]
    returns_accepted: int
    returns_partial: int
    returns_rejected: int
    charges: int
    charged_pence: int
    refunded_pence: int
    voided_pence: int
    refunds: int
    releases: int
    open: int


def read_figures(databases: Databases, invoices: Iterable[str]) -> Figures:
    """The figures of a run.

    Parameters
    ----------
    databases:
        Where to look.
    invoices:
        The numbers of what was submitted.
    """
    orders = dict(databases.rows("orders", "SELECT state, count(*) FROM orders GROUP BY state"))
    reasons = dict(
        databases.rows("orders", "SELECT reason, count(*) FROM orders WHERE state = 'cancelled' GROUP BY reason ORDER BY 2 DESC")
    )
    verdicts = dict(databases.rows("returns", "SELECT verdict, count(*) FROM returns GROUP BY verdict"))
    ledger = {
        kind: (int(count), int(pence))
        for kind, count, pence in databases.rows(LEDGER, "SELECT kind, count(*), sum(pence) FROM entries GROUP BY kind")
    }
    nothing = (0, 0)
    charges, charged = ledger.get("charge", nothing)
    voided = ledger.get("void", nothing)[1]
    return Figures(
        placed=sum(orders.get(state, 0) for state in ("placed", "confirmed", "cancelled")),
        rejected=orders.get("rejected", 0),
        confirmed=orders.get("confirmed", 0),
        cancelled=orders.get("cancelled", 0),
        cancelled_by_reason=reasons,
        returns_accepted=verdicts.get("accepted", 0),
        returns_partial=verdicts.get("partial", 0),
        returns_rejected=verdicts.get("rejected", 0),
        charges=charges,
        charged_pence=charged,
        refunded_pence=ledger.get("refund", nothing)[1] + voided,
        voided_pence=voided,
        refunds=databases.one("payments", "SELECT count(DISTINCT return_id) FROM refunds"),
        releases=databases.one("inventory", "SELECT count(DISTINCT order_id) FROM reservations WHERE state = 'released'")
        + databases.one("returns", "SELECT count(*) FROM returns WHERE restocked"),
        open=len(undecided(databases, invoices)),
    )
