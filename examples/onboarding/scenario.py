"""What people do, and what must hold: the same for the command, the tests and the rehearsal."""

from __future__ import annotations

from typing import Any

from examples.running import Books, Example, until
from farandole import CommandRefused

from . import invariants, onboarding
from .events import SignUp, VerifyEmail
from .outside import Crm, Mailer

__all__ = ["PEOPLE", "example"]

PEOPLE = (
    ("u-1", "Nemo", "nemo@nowhere.example", None),  # there is no such address
    ("u-2", "Ada", "ada@example.org", "Please verify your address."),  # at once
    ("u-3", "Bob", "bob@example.org", "Please verify your address: this is a reminder."),  # when reminded
    ("u-4", "Cleo", "cleo@example.org", None),  # never
    ("u-5", "Dora", "dora@example.org", "too late"),
)
"""Who signs up, and after which mail they follow the link."""


async def scenario(stage: Any) -> None:
    """All sign up; some follow the link at once, some when reminded, some never, and one too late."""
    people, instances = stage.some(PEOPLE), {}
    for user_id, name, address, _ in people:
        receipt = await stage.send(SignUp(user_id=user_id, name=name, address=address), idempotency_key=user_id)
        instances[user_id] = receipt.correlation_id  # a real link would carry it
    for user_id, _, address, mail in people:
        if mail is None:
            continue
        if mail == "too late":
            await until(stage, "accounts", "SELECT state <> 'new' FROM accounts WHERE user_id = :id", id=user_id)
        elif not await until(
            stage, "mails", "SELECT 1 FROM mails WHERE address = :to AND words = :words", patience=60.0, to=address, words=mail
        ):
            continue  # the mail never came, so there is no link to follow
        try:
            link = VerifyEmail(user_id=user_id)
            await stage.send(link, idempotency_key=f"link of {user_id}", correlation_id=instances[user_id])
        except CommandRefused:
            stage.notes[user_id] = "came too late"
    for user_id, *_ in people:
        await until(stage, "accounts", "SELECT state <> 'new' FROM accounts WHERE user_id = :id", id=user_id)


example = Example(
    onboarding,
    scenario,
    invariants=(
        invariants.every_account_is_decided,
        invariants.verified_has_all,
        invariants.expired_leaves_nothing,
        invariants.the_funnel_adds_up,
    ),
    always=(invariants.nobody_hears_twice,),
    outside=(Books("mails", Mailer, Mailer), Books("contacts", Crm, Crm)),
)
