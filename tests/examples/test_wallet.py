"""The wallet: the bank, each reaction alone, races for the decision, and the invariants."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from tests.servers import server

from examples.wallet import invariants
from examples.wallet.bank_api import Bank, BankSilent, CardDeclined
from examples.wallet.events import (
    BankCharged,
    ChargeDeclined,
    ChargeInDoubt,
    ChargeReversed,
    CloseAccount,
    FreezeAccount,
    MoneyTransferred,
    OpenAccount,
    PostingRefused,
    ReversalFailed,
    TopUp,
    TopUpCompleted,
    TopUpFailed,
    TopUpInitiated,
    TopUpOverdue,
    TopUpPosted,
    Transfer,
    TransferRefused,
)
from examples.wallet.scenario import example
from examples.wallet.services import bank, ledger, notifications, wallets
from farandole import Reject, World
from farandole.stores import open_store, with_option

ABOUT: dict[str, Any] = {"topup_id": "t1", "account_id": "ada", "pence": 500}
TOP_UP = TopUp(**ABOUT, card="good")
INITIATED = TopUpInitiated(**ABOUT, card="good")
CHARGED = BankCharged(**ABOUT, receipt="receipt-1")
OVERDUE = TopUpOverdue(**ABOUT)
DOUBT = ChargeInDoubt(**ABOUT)
POSTED = TopUpPosted(**ABOUT)
REFUSED = PostingRefused(**ABOUT, reason="the account is frozen")
REVERSED = ChargeReversed(**ABOUT, returned_pence=500)
ADA = OpenAccount(account_id="ada", limit_pence=800)
BOB = OpenAccount(account_id="bob", limit_pence=800)


async def tell(db: Any, kind: str, reaction: Any, *events: Any, **given: Any) -> Any:
    """Each event in a transaction of its own; gives what the last one came to."""
    result = None
    for event in events:
        async with db(kind) as handle:
            result = await reaction(event, db=handle, **given)
    return result


async def rows(db: Any, sql: str) -> list[tuple[Any, ...]]:
    async with db("connection") as connection:
        return [tuple(row) for row in await connection.execute(text(sql))]


# ----------------------------------------------------------------------------------------------------------- the bank


@pytest.fixture
def api(tmp_path, world):
    made = Bank(tmp_path / "bank.db", world)
    yield made
    made.close()


async def test_a_charge_happens_once_for_one_key(api):
    receipts = {await api.charge("t1", "good", 500, idempotency_key="k") for _ in range(3)}
    assert receipts == {"receipt-1"}
    assert api.rows("SELECT kind, pence FROM entries") == [("charge", 500)]


async def test_cards_behave_as_they_are_called(api, world):
    with pytest.raises(CardDeclined, match="the card was declined"):
        await api.charge("t1", "declined", 500, idempotency_key="declined")
    for held in (0, 1):  # lost on the way, then acts in silence
        with pytest.raises(BankSilent):
            await api.charge("t2", "flaky", 500, idempotency_key="flaky")
        assert len(api.rows("SELECT 1 FROM entries")) == held
    assert await api.charge("t2", "flaky", 500, idempotency_key="flaky") == "receipt-1"
    began = world.monotonic()
    await api.charge("t3", "late", 500, idempotency_key="late")
    assert world.monotonic() - began == 10
    await api.charge("t3", "late", 500, idempotency_key="late")
    assert world.monotonic() - began == 12


async def test_a_reversal_gives_back_what_was_charged_once_and_forbids_every_later_charge(api):
    await api.charge("t1", "good", 500, idempotency_key="k")
    with pytest.raises(BankSilent, match="no answer to the reversal of t1"):
        await api.reverse("t1", idempotency_key="r")
    assert [await api.reverse("t1", idempotency_key=key) for key in ("r", "another")] == [500, 500]
    with pytest.raises(CardDeclined, match="t1 was reversed"):
        await api.charge("t1", "good", 500, idempotency_key="of somebody thought dead")
    assert api.rows("SELECT kind, pence FROM entries ORDER BY id") == [("charge", 500), ("reversal", 500), ("reversal", 0)]


# ------------------------------------------------------------------------------------------------------------ wallets


async def test_a_top_up_ends_once_completed_or_failed(database):
    async with database(wallets.wallets) as db:
        assert await tell(db, "session", wallets.top_up, TOP_UP) == INITIATED
        assert await tell(db, "session", wallets.complete, POSTED) == TopUpCompleted(**ABOUT)
        for reaction, event in ((wallets.complete, POSTED), (wallets.fail, REFUSED)):
            with pytest.raises(ValueError, match="top-up t1 is completed"):
                await tell(db, "session", reaction, event)


async def test_two_refusals_are_told_as_one_failure(database):
    async with database(wallets.wallets) as db:
        await tell(db, "session", wallets.top_up, TOP_UP)
        failed = await tell(db, "session", wallets.fail, REFUSED)
        assert failed == TopUpFailed(**ABOUT, reason="the account is frozen")
        assert await tell(db, "session", wallets.fail, ChargeDeclined(**ABOUT, reason="declined")) is None
        with pytest.raises(ValueError, match="top-up t1 is failed, and the ledger has credited it"):
            await tell(db, "session", wallets.complete, POSTED)


async def test_people_see_what_came_late_and_what_came_back(database):
    async with database(wallets.wallets) as db:
        await tell(db, "session", wallets.top_up, TOP_UP)
        assert await wallets.remind(INITIATED) == OVERDUE
        assert wallets.remind.on_late is not None
        await tell(db, "session", wallets.note, REFUSED)
        await tell(db, "session", wallets.give_back, REVERSED)
        assert await rows(db, "SELECT overdue, returned_pence FROM topups") == [(1, 500)]


@pytest.mark.parametrize(
    ("commands", "reason"),
    [((TOP_UP, TOP_UP), "top-up t1 exists already"), ((TOP_UP.replace(pence=0),), "there is nothing to charge")],
)
async def test_a_top_up_that_cannot_be_is_refused(database, commands, reason):
    async with database(wallets.wallets) as db:
        with pytest.raises(Reject, match=reason):
            await tell(db, "session", wallets.top_up, *commands)


# --------------------------------------------------------------------------------------------------------------- bank

KEY = SimpleNamespace(idempotency_key="key")


async def test_a_charge_is_kept_and_a_reversal_notes_what_came_back(database, api):
    async with database(bank.bank) as db:
        charged = await tell(db, "session", bank.charge, INITIATED, api=api, context=KEY)
        assert charged == CHARGED
        with pytest.raises(BankSilent):
            await tell(db, "session", bank.reverse, REFUSED, api=api, context=KEY)
        assert await tell(db, "session", bank.reverse, REFUSED, api=api, context=KEY) == REVERSED
        assert await rows(db, "SELECT state FROM charges") == [("reversed",)]


async def test_a_declined_card_is_a_fact_and_not_an_error(database, api):
    async with database(bank.bank) as db:
        declined = await tell(db, "session", bank.charge, INITIATED.replace(card="declined"), api=api, context=KEY)
    assert declined == ChargeDeclined(**ABOUT, reason="the card was declined")


async def test_a_bank_that_never_answers_leaves_a_doubt_that_a_reversal_ends(database, api):
    async with database(bank.bank) as db:
        with pytest.raises(BankSilent):
            await tell(db, "session", bank.charge, INITIATED.replace(card="silent"), api=api, context=KEY)
        assert await tell(db, "session", bank.doubt, INITIATED) == DOUBT
        with pytest.raises(BankSilent):
            await tell(db, "session", bank.reverse, REFUSED, api=api, context=KEY)
        assert await tell(db, "session", bank.reverse, REFUSED, api=api, context=KEY) == REVERSED
    assert await bank.call_them(REFUSED) == ReversalFailed(**ABOUT)


# ------------------------------------------------------------------------------------------------------------- ledger


async def test_a_charge_is_posted_with_two_sides(database):
    async with database(ledger.ledger) as db:
        await tell(db, "connection", ledger.open_account, ADA)
        assert await tell(db, "connection", ledger.post, CHARGED) == POSTED
        assert await rows(db, "SELECT account_id, pence FROM entries ORDER BY pence") == [("(bank)", -500), ("ada", 500)]
        assert await rows(db, "SELECT balance FROM accounts") == [(500,)]


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ((), "there is no account ada"),
        ((ADA.replace(limit_pence=499),), "the account holds up to 499 pence"),
        ((ADA, FreezeAccount(account_id="ada")), "the account is frozen"),
        ((ADA, CloseAccount(account_id="ada")), "the account is closed"),
    ],
)
async def test_what_the_wallet_may_not_take_is_refused_for_good(database, before, reason):
    do: dict[type, Any] = {OpenAccount: ledger.open_account, FreezeAccount: ledger.freeze, CloseAccount: ledger.close}
    async with database(ledger.ledger) as db:
        for command in before:
            await tell(db, "connection", do[type(command)], command)
        assert await tell(db, "connection", ledger.post, CHARGED) == PostingRefused(**ABOUT, reason=reason)
        assert await tell(db, "connection", ledger.refuse, OVERDUE) is None
        assert await rows(db, "SELECT verdict FROM decisions") == [("refused",)]
        assert await rows(db, "SELECT * FROM entries") == []


@pytest.mark.parametrize(
    ("silence", "reason"), [(DOUBT, "the bank did not answer"), (OVERDUE, "the bank did not answer in time")]
)
async def test_whoever_decides_first_has_decided(database, silence, reason):
    async with database(ledger.ledger) as db:
        await tell(db, "connection", ledger.open_account, ADA)
        assert await tell(db, "connection", ledger.refuse, silence) == PostingRefused(**ABOUT, reason=reason)
        assert await tell(db, "connection", ledger.post, CHARGED) is None
        assert await rows(db, "SELECT verdict, late_charge FROM decisions") == [("refused", 1)]
    async with database(ledger.ledger) as db:
        await tell(db, "connection", ledger.open_account, ADA)
        assert await tell(db, "connection", ledger.post, CHARGED) == POSTED
        assert await tell(db, "connection", ledger.refuse, silence) is None


PAY = Transfer(transfer_id="x1", payer="ada", payee="bob", pence=300)


async def test_a_transfer_changes_both_wallets_or_none(database):
    async with database(ledger.ledger) as db:
        await tell(db, "connection", ledger.open_account, ADA, BOB)
        await tell(db, "connection", ledger.post, CHARGED)
        moved = await tell(db, "connection", ledger.transfer, PAY)
        assert moved == MoneyTransferred(transfer_id="x1", payer="ada", payee="bob", pence=300)
        refused = await tell(db, "connection", ledger.transfer, PAY.replace(transfer_id="x2"))
        assert refused == TransferRefused(transfer_id="x2", reason="the account holds 200 pence")
        assert await rows(db, "SELECT account_id, balance FROM accounts ORDER BY account_id") == [("ada", 200), ("bob", 300)]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"payee": "eve"}, "there is no account eve"),
        ({"payee": "small"}, "the account holds up to 1 pence"),
        ({"payee": "cold"}, "the account is frozen"),
    ],
)
async def test_a_wallet_that_cannot_take_it_gets_nothing(database, change, reason):
    async with database(ledger.ledger) as db:
        await tell(
            db, "connection", ledger.open_account,
            ADA, OpenAccount(account_id="small", limit_pence=1), OpenAccount(account_id="cold", limit_pence=999),
        )  # fmt: skip
        await tell(db, "connection", ledger.freeze, FreezeAccount(account_id="cold"))
        await tell(db, "connection", ledger.post, CHARGED)
        refused = await tell(db, "connection", ledger.transfer, PAY.replace(**change))
    assert refused == TransferRefused(transfer_id="x1", reason=reason)


@pytest.mark.parametrize(
    ("reaction", "events", "reason"),
    [
        (ledger.open_account, (ADA, ADA), "account ada exists already"),
        (ledger.open_account, (ADA.replace(account_id="(bank)"),), "exists already"),
        (ledger.close, (CloseAccount(account_id="eve"),), "there is no open account eve"),
        (ledger.freeze, (FreezeAccount(account_id="eve"),), "there is no open account eve"),
        (ledger.transfer, (PAY.replace(pence=0),), "expected more than 0 pence"),
        (ledger.transfer, (PAY.replace(payee="ada"),), "between two wallets"),
    ],
)
async def test_what_cannot_be_asked_for_is_refused(database, reaction, events, reason):
    async with database(ledger.ledger) as db:
        with pytest.raises(Reject, match=reason):
            await tell(db, "connection", reaction, *events)


async def test_a_wallet_with_money_in_it_is_not_closed(database):
    async with database(ledger.ledger) as db:
        await tell(db, "connection", ledger.open_account, ADA)
        await tell(db, "connection", ledger.post, CHARGED)
        with pytest.raises(Reject, match="account ada holds 500 pence; move them first"):
            await tell(db, "connection", ledger.close, CloseAccount(account_id="ada"))


# ------------------------------------------------------------------------------------------------------ notifications


async def test_letters_say_how_it_ended_and_what_came_back(database):
    async with database(notifications.notifications) as db:
        await tell(db, "session", notifications.tell, TopUpCompleted(**ABOUT), TopUpFailed(**ABOUT, reason="no"))
        await tell(db, "session", notifications.tell_return, REVERSED, REVERSED.replace(returned_pence=0))
        assert await rows(db, "SELECT kind, text FROM letters ORDER BY number") == [
            ("completed", "£5.00 are in your wallet."),
            ("failed", "£5.00 are not in your wallet: no. What was charged, if anything, goes back."),
            ("returned", "£5.00 are back on your card."),
        ]


# --------------------------------------------------------------------------------------------------------- invariants

SOUND: dict[str, list[tuple[Any, ...]]] = {
    "ledger entries": [("top-up", "t1", "ada", 500), ("top-up", "t1", "(bank)", -500)],
    "ledger accounts": [("ada", 500, 800)],
    "ledger credited": [("t1", 500)],
    "bank net": [("t1", 500)],
    "bank often": [],
    "bank reversals": [],
    "wallets topups": [("t1", 500, "completed")],
    "notifications letters": [("t1", "completed")],
}


class Seen:
    """A sight of what a test writes down, by what a query asks for."""

    def __init__(self, **changed: list[tuple[Any, ...]]) -> None:
        self._answers = SOUND | {name.replace("_", " "): answer for name, answer in changed.items()}

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        if service == invariants.BOOKS:
            what = "often" if "HAVING" in sql else "reversals" if "reversal' AND" in sql else "net"
            return self._answers[f"bank {what}"]
        what = "credited" if values else sql.split(" FROM ")[1].split(maxsplit=1)[0]
        return self._answers[f"{service} {what}"]


ALL: list[Callable[[Any], list[str]]] = [*example.invariants, *example.always]  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, set()),
        (
            {"ledger_entries": [("top-up", "t1", "ada", 500)]},
            {"top-up t1 has 1 sides, and 500 pence in sum", "all balances together are 500 pence"},
        ),
        (
            {"ledger_accounts": [("ada", 900, 800)]},
            {"account ada says 900 of 800 pence, its entries 500", "all balances together are 400 pence"},
        ),
        (
            {"bank_net": []},
            {
                "top-up t1: 500 pence are credited, and the bank holds 0",
                "top-up t1: the bank holds 0 pence, the ledger has credited 500",
            },
        ),
        ({"bank_often": [("charge", "t1", 2)]}, {"top-up t1: 2 times a charge"}),
        (
            {"wallets_topups": [("t1", 500, "pending")]},
            {
                "top-up t1 of 500 pence is pending, and 500 are credited",
                "top-up t1: 1 letters say completed, and 0 should",
                "top-up t1: 0 letters say pending, and 1 should",
            },
        ),
        ({"notifications_letters": [("t1", "completed")] * 2}, {"top-up t1: 2 letters say completed, and 1 should"}),
        ({"bank_reversals": [("t1",)]}, {"top-up t1: 0 letters say returned, and 1 should"}),
    ],
)
def test_each_invariant_says_what_is_wrong(changed, said):
    assert {words for check in ALL for words in check(Seen(**changed))} == said


# ---------------------------------------------------------------------------------------------------------- the whole


@pytest.mark.servers
@pytest.mark.real_time
async def test_where_charge_and_deadline_meet_in_two_processes_one_of_them_decides():
    place = with_option(server("postgres"), "schema", f"t{secrets.token_hex(4)}")
    stores = [open_store(place, World(), tables=ledger.metadata) for _ in range(2)]
    for store in stores:
        await store.open()

    async def decide(store, reaction, event):
        async with store.begin() as transaction:
            return await reaction(event, db=transaction.resource("connection"))

    try:
        await decide(stores[0], ledger.open_account, ADA.replace(limit_pence=15 * 500))
        meetings = [{"topup_id": f"t{number}"} for number in range(30)]
        pairs = await asyncio.gather(
            *(decide(stores[0], ledger.post, CHARGED.replace(**this)) for this in meetings),
            *(decide(stores[1], ledger.refuse, OVERDUE.replace(**this)) for this in meetings),
        )
        for posted, refused in zip(pairs[:30], pairs[30:], strict=True):
            assert (posted is None) != (refused is None)
        credited = sum(isinstance(answer, TopUpPosted) for answer in pairs)
        assert 0 < credited <= 15
        async with stores[0].begin() as transaction:
            rows = await transaction.resource("connection").execute(text("SELECT balance FROM accounts"))
            assert rows.scalar() == credited * 500
    finally:
        for store in stores:
            await store.close()
