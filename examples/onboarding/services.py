"""The five services, each with a database of its own. All but `accounts` only listen; nobody waits for them."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from farandole import Context, Policy, Reject, Retry, Service

from .events import (
    AccountExpired,
    ContactAdded,
    ContactNotAdded,
    ContactNotRemoved,
    ContactRemoved,
    CreditsGranted,
    CreditsTakenBack,
    EmailVerified,
    ReminderDue,
    SignUp,
    UserSignedUp,
    VerificationMailBounced,
    VerificationMailSent,
    VerifyEmail,
    WelcomeMailNotSent,
    WelcomeMailSent,
)
from .outside import AddressUnknown, Crm, Mailer, open_crm, open_mailer

DAY = timedelta(seconds=5)
"""So that one can watch it. In earnest: `timedelta(days=1)`."""

FREE = 50
BRIEF = Policy(retry=Retry(attempts=4, delay=0.2, factor=2.0, never=(AddressUnknown,)))
PATIENT = Policy(retry=Retry(attempts=100, delay=1.0, longest=600.0))

accounts = Service(
    "accounts",
    tables="""CREATE TABLE IF NOT EXISTS accounts (
        user_id TEXT PRIMARY KEY, name TEXT NOT NULL, address TEXT NOT NULL, state TEXT NOT NULL, reason TEXT)""",
    cleared=("name", "address"),
)
email = Service("email", cleared=("name", "address"))
email.provide(Mailer, open_mailer)
crm = Service(
    "crm",
    tables="CREATE TABLE IF NOT EXISTS contacts (user_id TEXT PRIMARY KEY, state TEXT NOT NULL)",
    cleared=("name", "address"),
)
crm.provide(Crm, open_crm)
credits = Service(
    "credits",
    tables="CREATE TABLE IF NOT EXISTS balances (user_id TEXT PRIMARY KEY, credits INTEGER NOT NULL)",
    cleared=("name", "address"),
)
analytics = Service(
    "analytics",
    tables="CREATE TABLE IF NOT EXISTS funnel (step TEXT PRIMARY KEY, users INTEGER NOT NULL)",
    cleared=("name", "address"),
)

# ----------------------------------------------------------------------------------------------------------- accounts


@accounts.command
async def sign_up(user: SignUp, db: AsyncConnection) -> UserSignedUp:
    """Open an account that is not verified yet."""
    new = "INSERT INTO accounts VALUES (:user_id, :name, :address, 'new', NULL) ON CONFLICT DO NOTHING RETURNING user_id"
    row = {"user_id": user.user_id, "name": user.name, "address": user.address}
    if (await db.execute(text(new), row)).first() is None:
        raise Reject(f"there is an account {user.user_id} already")
    return UserSignedUp(user_id=user.user_id, name=user.name, address=user.address)


@accounts.command
async def verify(link: VerifyEmail, db: AsyncConnection) -> EmailVerified:
    """The link was followed, in time."""
    if not await _leave_new(db, link.user_id, "verified"):
        raise Reject("this link is no longer good: it was used, or the account expired")
    return EmailVerified(user_id=link.user_id)


@accounts.deadline(after=UserSignedUp, unless=(EmailVerified, AccountExpired), within=DAY)
async def remind(user: UserSignedUp) -> ReminderDue:
    """A day is over."""
    return ReminderDue(user_id=user.user_id, name=user.name, address=user.address)


@remind.late
async def reminded(end: EmailVerified | AccountExpired) -> None:
    """They were reminded, and it helped or not: nothing is to be undone."""


@accounts.deadline(after=UserSignedUp, unless=(EmailVerified, VerificationMailBounced), within=3 * DAY)
async def expire(user: UserSignedUp, db: AsyncConnection) -> AccountExpired | None:
    """Three days are over. Unless the link was followed a moment ago."""
    return await _expire(db, user.user_id, "it was not verified")


@expire.late
async def decided(end: EmailVerified | VerificationMailBounced) -> None:
    """The account's row has decided already: what is verified did not expire, and what expired does so once."""


@accounts.on(VerificationMailBounced)
async def give_up(bounce: VerificationMailBounced, db: AsyncConnection) -> AccountExpired | None:
    """Nobody will follow a link that did not arrive."""
    return await _expire(db, bounce.user_id, bounce.reason)


async def _expire(db: AsyncConnection, user_id: str, reason: str) -> AccountExpired | None:
    if not await _leave_new(db, user_id, "expired", reason):
        return None
    return AccountExpired(user_id=user_id, reason=reason)


async def _leave_new(db: AsyncConnection, user_id: str, state: str, reason: str | None = None) -> bool:
    """Verified or expired: whoever comes first decides, in one statement."""
    leave = "UPDATE accounts SET state = :state, reason = :reason WHERE user_id = :user_id AND state = 'new' RETURNING user_id"
    row = {"user_id": user_id, "state": state, "reason": reason}
    return (await db.execute(text(leave), row)).first() is not None


# -------------------------------------------------------------------------------------------------------------- email


@email.on(UserSignedUp, policy=BRIEF)
async def welcome(user: UserSignedUp, mailer: Mailer, context: Context) -> WelcomeMailSent:
    """Say hello."""
    await mailer.send(user.address, f"Welcome, {user.name}!", idempotency_key=context.idempotency_key)
    return WelcomeMailSent(user_id=user.user_id)


@welcome.exhausted
async def unwelcome(user: UserSignedUp, error: Exception) -> WelcomeMailNotSent:
    """A pity, no more."""
    return WelcomeMailNotSent(user_id=user.user_id, reason=str(error))


@email.on(UserSignedUp, ReminderDue, policy=BRIEF)
async def ask_to_verify(user: UserSignedUp | ReminderDue, mailer: Mailer, context: Context) -> VerificationMailSent:
    """Send the link, or send it again."""
    again = isinstance(user, ReminderDue)
    words = "Please verify your address" + (": this is a reminder." if again else ".")
    await mailer.send(user.address, words, idempotency_key=context.idempotency_key)
    return VerificationMailSent(user_id=user.user_id, reminder=again)


@ask_to_verify.exhausted
async def bounced(user: UserSignedUp | ReminderDue, error: Exception) -> VerificationMailBounced | None:
    """Without the link the account is good for nothing; without the reminder there is still the link."""
    if isinstance(user, ReminderDue):
        return None
    unknown = "no such address" in str(error)
    reason = "there is no such address" if unknown else "the mail server did not answer"
    return VerificationMailBounced(user_id=user.user_id, reason=reason)


# ------------------------------------------------------------------------------------------------- crm and credits


@crm.on(UserSignedUp, policy=BRIEF)
async def add_contact(user: UserSignedUp, crm: Crm, db: AsyncConnection) -> ContactAdded:
    """Let sales know."""
    await crm.add(user.user_id, user.name)
    await _note(db, user.user_id, "added")
    return ContactAdded(user_id=user.user_id)


@add_contact.exhausted
async def not_added(user: UserSignedUp, db: AsyncConnection) -> ContactNotAdded:
    """Sales must do without, or it is there all the same."""
    await _note(db, user.user_id, "in doubt")
    return ContactNotAdded(user_id=user.user_id)


@crm.on(AccountExpired, compensates=add_contact, undoes=ContactAdded, policy=PATIENT)
async def remove_contact(expired: AccountExpired, crm: Crm, db: AsyncConnection) -> ContactRemoved:
    """Nobody keeps the name of somebody who did not want an account."""
    await crm.remove(expired.user_id)
    await _note(db, expired.user_id, "removed")
    return ContactRemoved(user_id=expired.user_id)


@remove_contact.exhausted
async def not_removed(expired: AccountExpired, db: AsyncConnection) -> ContactNotRemoved:
    """The contacts that are `to be removed` are somebody's work."""
    await _note(db, expired.user_id, "to be removed")
    return ContactNotRemoved(user_id=expired.user_id)


async def _note(db: AsyncConnection, user_id: str, state: str) -> None:
    put = "INSERT INTO contacts VALUES (:user_id, :state) ON CONFLICT (user_id) DO UPDATE SET state = excluded.state"
    await db.execute(text(put), {"user_id": user_id, "state": state})


@credits.on(UserSignedUp)
async def grant(user: UserSignedUp, db: AsyncConnection) -> CreditsGranted:
    """Something to begin with."""
    row = {"user_id": user.user_id, "credits": FREE}
    await db.execute(text("INSERT INTO balances VALUES (:user_id, :credits)"), row)
    return CreditsGranted(user_id=user.user_id, credits=FREE)


@credits.on(AccountExpired, compensates=grant, undoes=CreditsGranted)
async def take_back(expired: AccountExpired, db: AsyncConnection) -> CreditsTakenBack:
    """Nobody is left to spend them."""
    gone = text("DELETE FROM balances WHERE user_id = :user_id RETURNING credits")
    left = (await db.execute(gone, {"user_id": expired.user_id})).scalar_one()
    return CreditsTakenBack(user_id=expired.user_id, credits=left)


# ---------------------------------------------------------------------------------------------------------- analytics


@analytics.on(UserSignedUp, EmailVerified, AccountExpired)
async def count(step: UserSignedUp | EmailVerified | AccountExpired, db: AsyncConnection) -> None:
    """How many came, and how many stayed."""
    add = "INSERT INTO funnel VALUES (:step, 1) ON CONFLICT (step) DO UPDATE SET users = funnel.users + 1"
    names = {UserSignedUp: "signed up", EmailVerified: "verified", AccountExpired: "expired"}
    await db.execute(text(add), {"step": names[type(step)]})
