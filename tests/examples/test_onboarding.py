"""Somebody joins: each reaction with a real database and real books outside."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from tests.examples import ground

from examples.onboarding import services
from examples.onboarding.events import (
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
from examples.onboarding.outside import AddressUnknown, Crm, Mailer
from examples.onboarding.scenario import example
from farandole import Reject

SIGN_UP = SignUp(user_id="u1", name="Ada", address="ada@example.org")
SIGNED_UP = UserSignedUp(user_id="u1", name="Ada", address="ada@example.org")
EXPIRED = AccountExpired(user_id="u1", reason="it was not verified")


@pytest.fixture
def context():
    return SimpleNamespace(idempotency_key="key")


@pytest.fixture
def mailer(tmp_path, world):
    return Mailer(tmp_path / "mails.db", world)


async def do(db, reaction, event, **more):
    async with db("connection") as connection:
        return await reaction(event, db=connection, **more)


async def rows(db, sql):
    async with db("connection") as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


async def test_an_account_is_opened_once(database):
    async with database(services.accounts) as db:
        assert await do(db, services.sign_up, SIGN_UP) == SIGNED_UP
        with pytest.raises(Reject, match="there is an account u1 already"):
            await do(db, services.sign_up, SIGN_UP)


async def test_a_verified_account_does_not_expire_and_its_link_is_used_up(database):
    async with database(services.accounts) as db:
        await do(db, services.sign_up, SIGN_UP)
        assert await do(db, services.verify, VerifyEmail(user_id="u1")) == EmailVerified(user_id="u1")
        assert await do(db, services.expire, SIGNED_UP) is None
        with pytest.raises(Reject, match="no longer good"):
            await do(db, services.verify, VerifyEmail(user_id="u1"))


async def test_an_account_expires_once_and_can_then_not_be_verified(database):
    async with database(services.accounts) as db:
        await do(db, services.sign_up, SIGN_UP)
        bounce = VerificationMailBounced(user_id="u1", reason="there is no such address")
        assert await do(db, services.give_up, bounce) == AccountExpired(user_id="u1", reason="there is no such address")
        assert await do(db, services.expire, SIGNED_UP) is None
        with pytest.raises(Reject, match="no longer good"):
            await do(db, services.verify, VerifyEmail(user_id="u1"))


async def test_three_days_without_an_answer_end_an_account(database):
    async with database(services.accounts) as db:
        await do(db, services.sign_up, SIGN_UP)
        assert await do(db, services.expire, SIGNED_UP) == EXPIRED
        assert await rows(db, "SELECT state, reason FROM accounts") == [("expired", "it was not verified")]
    assert await services.remind(SIGNED_UP) == ReminderDue(user_id="u1", name="Ada", address="ada@example.org")
    assert await services.reminded(EXPIRED) is None
    assert await services.decided(EmailVerified(user_id="u1")) is None


async def test_mails_are_sent_once_for_each_key(mailer, context):
    for _ in range(2):
        assert await services.welcome(SIGNED_UP, mailer=mailer, context=context) == WelcomeMailSent(user_id="u1")
    assert mailer.rows("SELECT address, words FROM mails") == [("ada@example.org", "Welcome, Ada!")]


async def test_a_reminder_says_that_it_is_one(mailer, context):
    due = ReminderDue(user_id="u1", name="Ada", address="ada@example.org")
    sent = await services.ask_to_verify(due, mailer=mailer, context=context)
    assert sent == VerificationMailSent(user_id="u1", reminder=True)
    assert mailer.rows("SELECT words FROM mails") == [("Please verify your address: this is a reminder.",)]


async def test_an_address_that_is_none_bounces_and_a_lost_reminder_does_not(mailer, context):
    nowhere = SIGNED_UP.replace(address="nemo@nowhere.example")
    with pytest.raises(AddressUnknown) as raised:
        await services.ask_to_verify(nowhere, mailer=mailer, context=context)
    bounce = await services.bounced(nowhere, raised.value)
    assert bounce == VerificationMailBounced(user_id="u1", reason="there is no such address")
    away = await services.bounced(SIGNED_UP, TimeoutError("no answer"))
    assert away == VerificationMailBounced(user_id="u1", reason="the mail server did not answer")
    due = ReminderDue(user_id="u1", name="Ada", address="ada@example.org")
    assert await services.bounced(due, TimeoutError("no answer")) is None
    unwelcome = await services.unwelcome(SIGNED_UP, TimeoutError("no answer"))
    assert unwelcome == WelcomeMailNotSent(user_id="u1", reason="no answer")


async def test_a_contact_is_added_and_removed_for_good(database, world, tmp_path):
    crm = Crm(tmp_path / "contacts.db", world)
    async with database(services.crm) as db:
        assert await do(db, services.add_contact, SIGNED_UP, crm=crm) == ContactAdded(user_id="u1")
        assert await do(db, services.remove_contact, EXPIRED, crm=crm) == ContactRemoved(user_id="u1")
        await crm.add("u1", "Ada")  # somebody who was thought dead
        assert crm.rows("SELECT user_id, name, removed FROM contacts") == [("u1", None, 1)]
        assert await rows(db, "SELECT state FROM contacts") == [("removed",)]


async def test_what_the_crm_did_not_answer_to_is_written_down(database):
    async with database(services.crm) as db:
        assert await do(db, services.not_added, SIGNED_UP) == ContactNotAdded(user_id="u1")
        assert await rows(db, "SELECT state FROM contacts") == [("in doubt",)]
        assert await do(db, services.not_removed, EXPIRED) == ContactNotRemoved(user_id="u1")
        assert await rows(db, "SELECT state FROM contacts") == [("to be removed",)]


async def test_credits_are_granted_and_taken_back(database):
    async with database(services.credits) as db:
        assert await do(db, services.grant, SIGNED_UP) == CreditsGranted(user_id="u1", credits=services.FREE)
        assert await do(db, services.take_back, EXPIRED) == CreditsTakenBack(user_id="u1", credits=services.FREE)
        assert await rows(db, "SELECT * FROM balances") == []


async def test_the_funnel_counts_each_step(database):
    async with database(services.analytics) as db:
        for step in (SIGNED_UP, SIGNED_UP, EmailVerified(user_id="u1"), EXPIRED):
            await do(db, services.count, step)
        assert await rows(db, "SELECT * FROM funnel ORDER BY step") == [("expired", 1), ("signed up", 2), ("verified", 1)]


DAMAGES = [
    ("accounts", "UPDATE accounts SET state = 'new' WHERE user_id = 'u-4'", "every_account_is_decided"),
    ("credits", "UPDATE balances SET credits = 1 WHERE user_id = 'u-2'", "verified_has_all"),
    ("contacts", "DELETE FROM contacts WHERE user_id = 'u-2'", "verified_has_all"),
    ("credits", "INSERT INTO balances VALUES ('u-4', 50)", "expired_leaves_nothing"),
    ("contacts", "UPDATE contacts SET removed = 0 WHERE user_id = 'u-4'", "expired_leaves_nothing"),
    ("mails", "INSERT INTO mails SELECT key || 'again', address, words FROM mails", "nobody_hears_twice"),
    ("analytics", "UPDATE funnel SET users = users + 1 WHERE step = 'verified'", "the_funnel_adds_up"),
]


async def test_each_damage_is_noticed_by_the_invariant_that_is_for_it(tmp_path: Path) -> None:
    await ground.notices_damage(example, tmp_path, DAMAGES)
