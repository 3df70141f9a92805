"""What is said while somebody joins. Names and addresses are people's own, so no log shows them."""

from __future__ import annotations

from typing import Annotated

from farandole import Command, Event, Sensitive

__all__ = [
    "AccountExpired",
    "ContactAdded",
    "ContactNotAdded",
    "ContactNotRemoved",
    "ContactRemoved",
    "CreditsGranted",
    "CreditsTakenBack",
    "EmailVerified",
    "ReminderDue",
    "SignUp",
    "UserSignedUp",
    "VerificationMailBounced",
    "VerificationMailSent",
    "VerifyEmail",
    "WelcomeMailNotSent",
    "WelcomeMailSent",
]

Private = Annotated[str, Sensitive]


class SignUp(Command, key="user_id"):
    """Somebody wants an account."""

    user_id: str
    name: Private
    address: Private


class VerifyEmail(Command, key="user_id"):
    """Somebody followed the link in the verification mail."""

    user_id: str


class UserEvent(Event, key="user_id"):
    """Something about one user."""

    user_id: str


class UserSignedUp(UserEvent):
    """An account was opened; whether its address is real has yet to be seen."""

    name: Private
    address: Private


class WelcomeMailSent(UserEvent, public=True):
    """They were welcomed."""


class WelcomeMailNotSent(UserEvent, public=True):
    """They were not, and nothing depends on it."""

    reason: str


class VerificationMailSent(UserEvent, public=True):
    """The link is on its way; `reminder` says whether it is the second one."""

    reminder: bool


class VerificationMailBounced(UserEvent):
    """There is no such address, or the mail server did not answer for long: this account cannot be verified."""

    reason: str


class ContactAdded(UserEvent, public=True):
    """Sales know of them."""


class ContactNotAdded(UserEvent, public=True):
    """The CRM did not answer. Whether it has the contact all the same is not known."""


class ContactRemoved(UserEvent, public=True):
    """Sales have forgotten them."""


class ContactNotRemoved(UserEvent, public=True):
    """The CRM did not answer for half a day: somebody must remove the contact by hand."""


class CreditsGranted(UserEvent, public=True):
    """Something to begin with."""

    credits: int


class CreditsTakenBack(UserEvent, public=True):
    """What was granted is gone."""

    credits: int


class ReminderDue(UserEvent):
    """A day is over, and the address is not verified."""

    name: Private
    address: Private


class EmailVerified(UserEvent):
    """The address is real: the account stands."""


class AccountExpired(UserEvent):
    """It was not verified, or could not be: everything about it is undone."""

    reason: str
