"""A wallet that is topped up from a bank which may charge and not answer; its ledger adds up to zero at every moment.

`python -m examples.wallet` plays it; `farandole run examples.wallet:wallet` runs its services.
"""

from __future__ import annotations

from datetime import timedelta

from farandole import Choreography, Workflow

from .events import TopUpCompleted, TopUpFailed, TopUpInitiated
from .services.bank import bank
from .services.ledger import ledger
from .services.notifications import notifications
from .services.wallets import wallets

__all__ = ["wallet"]

topping_up = Workflow(
    "topping-up", starts=TopUpInitiated, succeeds=TopUpCompleted, fails=TopUpFailed, within=timedelta(minutes=1),
    doc="Money goes from a card into a wallet, or back onto the card.",
)  # fmt: skip

wallet = Choreography("wallet", wallets, bank, ledger, notifications, workflows=[topping_up])
