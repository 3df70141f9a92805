"""Every event and command, declared once. Amounts are integer pence. The card is `Sensitive`: only the bank service is cleared for it."""

from __future__ import annotations

from typing import Annotated, Any

from farandole import Command, Event, Sensitive

__all__ = [
    "AccountClosed",
    "AccountFrozen",
    "AccountOpened",
    "BankCharged",
    "ChargeDeclined",
    "ChargeInDoubt",
    "ChargeReversed",
    "CloseAccount",
    "FreezeAccount",
    "MoneyTransferred",
    "OpenAccount",
    "PostingRefused",
    "ReversalFailed",
    "TopUp",
    "TopUpCompleted",
    "TopUpFailed",
    "TopUpInitiated",
    "TopUpOverdue",
    "TopUpPosted",
    "Transfer",
    "TransferRefused",
    "about",
]

Card = Annotated[str, Sensitive]


class OpenAccount(Command, key="account_id"):
    """A wallet for somebody, which holds up to a limit."""

    account_id: str
    limit_pence: int


class FreezeAccount(Command, key="account_id"):
    """Nothing goes in or out any more, until somebody has looked."""

    account_id: str


class CloseAccount(Command, key="account_id"):
    """The customer leaves, with nothing left in the wallet."""

    account_id: str


class TopUp(Command, key="topup_id"):
    """Put money from a card into a wallet."""

    topup_id: str
    account_id: str
    pence: int
    card: Card


class Transfer(Command, key="transfer_id"):
    """Money goes from one wallet to another one."""

    transfer_id: str
    payer: str
    payee: str
    pence: int


class AccountEvent(Event, key="account_id", public=True):
    """Something about one wallet."""

    account_id: str


class AccountOpened(AccountEvent, public=True):
    """A wallet is there, and empty."""

    limit_pence: int


class AccountFrozen(AccountEvent, public=True):
    """Nothing goes in or out."""


class AccountClosed(AccountEvent, public=True):
    """The wallet is gone."""


class TopUpEvent(Event, key="topup_id"):
    """Something about one top-up, with what all who work on it need to know."""

    topup_id: str
    account_id: str
    pence: int


class TopUpInitiated(TopUpEvent):
    """Somebody wants money from this card in the wallet."""

    card: Card


class TopUpOverdue(TopUpEvent):
    """The bank has not answered in time: whoever decides should decide now."""


class TopUpCompleted(TopUpEvent):
    """The money is in the wallet."""


class TopUpFailed(TopUpEvent):
    """It is not, and will not be; what the bank charged, if anything, goes back."""

    reason: str


class BankCharged(TopUpEvent):
    """The bank took the money from the card."""

    receipt: str


class ChargeDeclined(TopUpEvent):
    """The bank said no: nothing was taken."""

    reason: str


class ChargeInDoubt(TopUpEvent):
    """The bank was asked and never answered: it may have charged all the same."""


class ChargeReversed(TopUpEvent):
    """Whatever the bank charged is back on the card: `returned_pence`, 0 where it had charged nothing."""

    returned_pence: int


class ReversalFailed(TopUpEvent, public=True):
    """The bank could not be made to give the money back: somebody must call it."""


class TopUpPosted(TopUpEvent):
    """The ledger has credited the wallet: from here on there is no way back."""


class PostingRefused(TopUpEvent):
    """The ledger will not credit the wallet for this top-up any more."""

    reason: str


class TransferEvent(Event, key="transfer_id", public=True):
    """Something about one transfer."""

    transfer_id: str


class MoneyTransferred(TransferEvent, public=True):
    """The money is in the other wallet."""

    payer: str
    payee: str
    pence: int


class TransferRefused(TransferEvent, public=True):
    """No money was moved."""

    reason: str


def about(event: TopUpEvent) -> dict[str, Any]:
    """What all events of a top-up carry, to put it into the next one."""
    return {"topup_id": event.topup_id, "account_id": event.account_id, "pence": event.pence}
