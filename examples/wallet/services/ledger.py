"""Ledger: double entry, and the one place where it is decided whether a top-up counts.

Each posting has two sides that add up to zero, so all balances together are zero at every moment. A wallet's balance is kept beside its
entries and changes by what is added, in one statement that looks at the state and the limit too. The bank's side is only ever added up: it is
no row that all top-ups would queue for.

The bank's answer, its silence and the end of patience may all come at the same moment. Whoever writes the row in `decisions` first has decided.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, Integer, MetaData, String, Table, insert, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Reject, Service

from ..events import (
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    BankCharged,
    ChargeInDoubt,
    CloseAccount,
    FreezeAccount,
    MoneyTransferred,
    OpenAccount,
    PostingRefused,
    TopUpOverdue,
    TopUpPosted,
    Transfer,
    TransferRefused,
    about,
)

metadata = MetaData()

accounts = Table(
    "accounts",
    metadata,
    Column("account_id", String, primary_key=True),
    Column("state", String, nullable=False),  # open, frozen or closed
    Column("balance", Integer, nullable=False, default=0),
    Column("limit_pence", Integer, nullable=False),
)
entries = Table(
    "entries",
    metadata,
    Column("kind", String, primary_key=True),  # top-up or transfer
    Column("reference", String, primary_key=True),
    Column("account_id", String, primary_key=True),
    Column("pence", Integer, nullable=False),
)
decisions = Table(
    "decisions",
    metadata,
    Column("topup_id", String, primary_key=True),
    Column("verdict", String, nullable=False),  # posted or refused
    Column("late_charge", Boolean, nullable=False, default=False),  # the bank charged when it was refused already
)

BANK = "(bank)"
"""The account of what lies at the bank: below zero by what was paid in."""

_DECIDE = text("INSERT INTO decisions VALUES (:topup_id, :verdict, false) ON CONFLICT DO NOTHING RETURNING topup_id")

ledger = Service("ledger", tables=metadata)


@ledger.command
async def open_account(account: OpenAccount, db: AsyncConnection) -> AccountOpened:
    """A wallet for somebody."""
    if account.account_id == BANK or await _account(db, account.account_id) is not None:
        raise Reject(f"account {account.account_id} exists already")
    await db.execute(insert(accounts).values(account_id=account.account_id, state="open", limit_pence=account.limit_pence))
    return AccountOpened(account_id=account.account_id, limit_pence=account.limit_pence)


@ledger.command
async def freeze(request: FreezeAccount, db: AsyncConnection) -> AccountFrozen:
    """Nothing goes in or out from now on."""
    await _shut(db, request.account_id, "frozen")
    return AccountFrozen(account_id=request.account_id)


@ledger.command
async def close(request: CloseAccount, db: AsyncConnection) -> AccountClosed:
    """End a wallet that is empty."""
    await _shut(db, request.account_id, "closed")
    return AccountClosed(account_id=request.account_id)


@ledger.on(BankCharged)
async def post(charge: BankCharged, db: AsyncConnection) -> TopUpPosted | PostingRefused | None:
    """Credit the wallet, if it may be. None: it was given up on before, and the bank is giving the money back."""
    this = decisions.c.topup_id == charge.topup_id
    if not await _decide(db, charge.topup_id, "posted"):
        await db.execute(update(decisions).where(this).values(late_charge=True))
        return None
    after = accounts.c.balance + charge.pence
    may = (accounts.c.account_id == charge.account_id) & (accounts.c.state == "open") & (after <= accounts.c.limit_pence)
    if (await db.execute(update(accounts).where(may).values(balance=after))).rowcount == 1:
        await _write(db, "top-up", charge.topup_id, {charge.account_id: charge.pence, BANK: -charge.pence})
        return TopUpPosted(**about(charge))
    await db.execute(update(decisions).where(this).values(verdict="refused"))
    return PostingRefused(**about(charge), reason=_why_not(charge.account_id, await _account(db, charge.account_id)))


@ledger.on(ChargeInDoubt, TopUpOverdue)
async def refuse(silence: ChargeInDoubt | TopUpOverdue, db: AsyncConnection) -> PostingRefused | None:
    """Give a top-up up, unless it is decided already."""
    if not await _decide(db, silence.topup_id, "refused"):
        return None
    reason = "the bank did not answer" if isinstance(silence, ChargeInDoubt) else "the bank did not answer in time"
    return PostingRefused(**about(silence), reason=reason)


@ledger.command
async def transfer(order: Transfer, db: AsyncConnection) -> MoneyTransferred | TransferRefused:
    """Move money between two wallets: both change or none, and none goes below zero."""
    if order.pence <= 0 or order.payer == order.payee:
        raise Reject(f"transfer {order.transfer_id}: expected more than 0 pence between two wallets")
    both = await _locked(db, order.payer, order.payee)
    reason = _why_not_move(order, both)
    if reason is not None:
        return TransferRefused(transfer_id=order.transfer_id, reason=reason)
    for account_id, pence in ((order.payer, -order.pence), (order.payee, order.pence)):
        mine = accounts.c.account_id == account_id
        await db.execute(update(accounts).where(mine).values(balance=accounts.c.balance + pence))
    await _write(db, "transfer", order.transfer_id, {order.payer: -order.pence, order.payee: order.pence})
    return MoneyTransferred(transfer_id=order.transfer_id, payer=order.payer, payee=order.payee, pence=order.pence)


async def _decide(db: AsyncConnection, topup_id: str, verdict: str) -> bool:
    """Whether this was the first to decide. Another process that is about to is waited for by the database."""
    return (await db.execute(_DECIDE, {"topup_id": topup_id, "verdict": verdict})).first() is not None


async def _write(db: AsyncConnection, kind: str, reference: str, sides: dict[str, int]) -> None:
    rows = [
        {"kind": kind, "reference": reference, "account_id": account_id, "pence": pence} for account_id, pence in sides.items()
    ]
    await db.execute(insert(entries), rows)


async def _account(db: AsyncConnection, account_id: str) -> Any:
    return (await db.execute(select(accounts).where(accounts.c.account_id == account_id))).first()


async def _locked(db: AsyncConnection, *account_ids: str) -> dict[str, Any]:
    """Wallets, locked in the order of their names, so that two transfers between the same two cannot lock each other out."""
    rows = select(accounts).where(accounts.c.account_id.in_(account_ids)).order_by(accounts.c.account_id).with_for_update()
    return {row.account_id: row for row in await db.execute(rows)}


async def _shut(db: AsyncConnection, account_id: str, state: str) -> None:
    account = (await _locked(db, account_id)).get(account_id)
    if account is None or account.state == "closed":
        raise Reject(f"there is no open account {account_id}")
    if state == "closed" and account.balance:
        raise Reject(f"account {account_id} holds {account.balance} pence; move them first")
    await db.execute(update(accounts).where(accounts.c.account_id == account_id).values(state=state))


def _why_not(account_id: str, account: Any) -> str:
    if account is None:
        return f"there is no account {account_id}"
    if account.state != "open":
        return f"the account is {account.state}"
    return f"the account holds up to {account.limit_pence} pence"


def _why_not_move(order: Transfer, both: dict[str, Any]) -> str | None:
    for account_id in (order.payer, order.payee):
        if account_id not in both or both[account_id].state != "open":
            return _why_not(account_id, both.get(account_id))
    if both[order.payer].balance < order.pence:
        return f"the account holds {both[order.payer].balance} pence"
    payee = both[order.payee]
    return _why_not(order.payee, payee) if payee.balance + order.pence > payee.limit_pence else None
