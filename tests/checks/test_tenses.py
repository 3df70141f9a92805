"""English, as far as names need it."""

from __future__ import annotations

import pytest

from farandole.checks.tenses import is_imperative, is_past, technical, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("OrderPlaced", ["order", "placed"]),
        ("SMSSent", ["sms", "sent"]),
        ("order.placed", ["order", "placed"]),
        ("stock_level_low", ["stock", "level", "low"]),
        ("KYC2Passed", ["kyc", "2", "passed"]),
        ("X", ["x"]),
        ("", []),
    ],
)
def test_a_name_is_taken_apart_into_words(name: str, words: list[str]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    "word",
    [
        "placed",
        "paid",
        "sent",
        "sold",
        "bought",
        "built",
        "rebuilt",
        "made",
        "remade",
        "begun",
        "broken",
        "chosen",
        "withdrawn",
        "withheld",
        "overridden",
        "undone",
        "frozen",
        "found",
        "kept",
        "left",
        "lost",
        "won",
        "met",
        "put",
        "read",
        "set",
        "reset",
        "cut",
        "hit",
        "split",
        "shut",
        "spread",
        "cast",
        "broadcast",
        "given",
        "taken",
        "retaken",
        "written",
        "rewritten",
        "overwritten",
        "known",
        "shown",
        "fed",
        "led",
        "fled",
        "shed",
        "bred",
        "bled",
        "agreed",
        "freed",
        "guaranteed",
        "disagreed",
        "understood",
        "misled",
        "underpaid",
        "unpaid",
        "resent",
        "foreseen",
        "torn",
        "stuck",
        "sunk",
        "hung",
    ],
)
def test_regular_and_irregular_participles_are_known(word: str) -> None:
    assert is_past(word)


@pytest.mark.parametrize(
    "word",
    [
        "order",
        "need",
        "feed",
        "seed",
        "speed",
        "bed",
        "red",
        "hundred",
        "embed",
        "naked",
        "sacred",
        "present",
        "relent",
        "comet",
        "subset",
        "income",
        "outcome",
        "input",
        "place",
        "send",
        "build",
        "payment",
        "confirm",
        "confirmation",
        "id",
        "ed",
        "weed",
        "indeed",
        "proceed",
        "exceed",
        "succeed",
    ],
)
def test_what_only_looks_like_a_participle_is_none(word: str) -> None:
    assert not is_past(word)


@pytest.mark.parametrize(
    "name",
    [
        "PlaceOrder",
        "ReserveStock",
        "SetPrice",
        "PutAside",
        "ReadMeter",
        "CutTree",
        "SplitParcel",
        "ResetPassword",
        "FoundCompany",
        "RentCar",
        "PresentOffer",
        "InvoiceOrder",
        "ShipParcel",
        "QueryStock",
        "DeliverParcel",
        "ManageAccess",
        "MonitorHeart",
        "ImplementChange",
        "BalanceBooks",
        "SequenceGenome",
        "FeedAnimals",
        "EmbedVideo",
        "MarkPaid",
        "KeepClosed",
        "NotifyOrderShipped",
        "String",
        "BringBack",
        "UnsetFlag",
        "Cancel",
    ],
)
def test_a_name_that_begins_with_a_verb_is_a_command(name: str) -> None:
    assert is_imperative(words_of(name))


@pytest.mark.parametrize(
    "name",
    [
        "OrderPlaced",
        "PaymentRequest",
        "CancellationOrder",
        "Placed",
        "ChargingCard",
        "ReservationChange",
        "SentMail",
        "StockSold",
    ],
)
def test_a_name_that_surely_does_not_is_none(name: str) -> None:
    assert not is_imperative(words_of(name))


@pytest.mark.parametrize(
    "name",
    ["RowInserted", "Updated", "OrderUpdated", "EntityChanged", "DataSaved", "Created", "TableRowDeleted", "PaymentProcessed"],
)
def test_a_name_that_speaks_of_storage_is_technical(name: str) -> None:
    assert technical(words_of(name))


@pytest.mark.parametrize(
    "name", ["OrderPlaced", "PriceChanged", "AccountDeleted", "OrderCreated", "ItemAdded", "LetterWritten", "SeatRemoved"]
)
def test_a_name_of_business_is_not(name: str) -> None:
    assert not technical(words_of(name))
