"""What customers do: top up with cards of all kinds, at the same time, and pay each other."""

from __future__ import annotations

import asyncio
from typing import Any

from ..running import Books, Example, until
from . import wallet
from .bank_api import Bank, BankSilent
from .events import CloseAccount, FreezeAccount, OpenAccount, TopUp, Transfer
from .invariants import (
    BOOKS,
    every_top_up_ends,
    everyone_is_told_once,
    nobody_is_charged_twice,
    the_bank_and_the_ledger_agree,
    the_ledger_adds_up,
    what_is_credited_was_charged,
)

__all__ = ["TOPUPS", "example", "scenario"]

ACCOUNTS = {"ada": 100_000, "bob": 100_000, "carol": 100_000, "dora": 10_000}
"""The limit of each wallet, in pence."""

TOPUPS: dict[str, tuple[str, int, str]] = {
    "ada-silent": ("ada", 4_000, "silent"),
    "ada-good": ("ada", 5_000, "good"),
    "ada-flaky": ("ada", 2_500, "flaky"),
    "ada-declined": ("ada", 1_000, "declined"),
    "ada-hanging": ("ada", 3_000, "hanging"),
    "ada-late": ("ada", 2_000, "late"),
    "bob-frozen": ("bob", 1_500, "good"),
    "carol-closed": ("carol", 1_200, "flaky"),
    "dora-first": ("dora", 8_000, "good"),
    "nobody": ("eve", 700, "good"),
}
"""The account, the pence and the card of each."""

ENDED = "SELECT state FROM topups WHERE topup_id = :id AND state <> 'pending'"


async def scenario(stage: Any) -> None:
    """All top-ups at once; then Ada and Dora pay each other, more often than they can."""
    for account_id, limit in ACCOUNTS.items():
        await stage.send(OpenAccount(account_id=account_id, limit_pence=limit), idempotency_key=f"open {account_id}")
    await stage.send(FreezeAccount(account_id="bob"), idempotency_key="freeze bob")
    await stage.send(CloseAccount(account_id="carol"), idempotency_key="close carol")
    async with asyncio.TaskGroup() as group:
        for topup_id in stage.some(list(TOPUPS)):
            group.create_task(_top_up(stage, topup_id, *TOPUPS[topup_id]))
    await _top_up(stage, "dora-second", "dora", 8_000, "good")  # it would be more than her limit, were it not for the first
    async with asyncio.TaskGroup() as group:
        for number in stage.some(range(1, 6)):
            for payer, payee in (("ada", "dora"), ("dora", "ada")):
                group.create_task(_pay(stage, f"{payer} pays {payee} {number}", payer, payee, 3_000))


async def _top_up(stage: Any, topup_id: str, account_id: str, pence: int, card: str) -> None:
    command = TopUp(topup_id=topup_id, account_id=account_id, pence=pence, card=card)
    await stage.send(command, idempotency_key=topup_id)
    await until(stage, "wallets", ENDED, id=topup_id)


async def _pay(stage: Any, transfer_id: str, payer: str, payee: str, pence: int) -> None:
    command = Transfer(transfer_id=transfer_id, payer=payer, payee=payee, pence=pence)
    await stage.send(command, idempotency_key=transfer_id)


example = Example(
    wallet,
    scenario,
    invariants=(the_bank_and_the_ledger_agree, every_top_up_ends, everyone_is_told_once),
    always=(the_ledger_adds_up, what_is_credited_was_charged, nobody_is_charged_twice),
    outside=(Books(BOOKS, Bank, Bank, error=BankSilent),),
)
