"""The gateway: it honours keys, keeps its own ledger, and fails by seed."""

from __future__ import annotations

import sqlite3
from collections import Counter

import pytest

from examples.shop.gateway import CardDeclined, Gateway, GatewayTimeout, GatewayUnavailable, Weather, open_gateway
from farandole import ConfigurationError

TROUBLE = (GatewayTimeout, GatewayUnavailable)


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "gateway.db"


def entries(ledger):
    with sqlite3.connect(ledger) as db:
        return db.execute("SELECT kind, reference, pence FROM entries ORDER BY id").fetchall()


async def insist(call):
    """Call until there is an answer."""
    for _ in range(1000):
        try:
            return await call()
        except TROUBLE:
            pass
    pytest.fail("the gateway never answered")


async def test_the_same_key_charges_once_and_gives_the_same_receipt(ledger, world):
    gateway = Gateway(ledger, Weather(), world)
    first = await gateway.charge("o1", 500, idempotency_key="k")
    assert await gateway.charge("o1", 500, idempotency_key="k") == first
    assert entries(ledger) == [("charge", "o1", 500)]


async def test_another_key_is_another_charge_so_that_a_careless_shop_is_found_out(ledger, world):
    gateway = Gateway(ledger, Weather(), world)
    await gateway.charge("o1", 500, idempotency_key="k1")
    await gateway.charge("o1", 500, idempotency_key="k2")
    assert entries(ledger) == [("charge", "o1", 500)] * 2


async def test_a_charge_that_was_not_answered_may_have_happened_or_not(ledger, world):
    gateway = Gateway(ledger, Weather(timeouts=1.0), world)
    seen = Counter()
    for i in range(40):
        before = len(entries(ledger))
        try:
            await gateway.charge(f"o{i}", 1, idempotency_key=f"k{i}")
        except TROUBLE as error:
            seen[type(error), len(entries(ledger)) - before] += 1
    assert set(seen) == {(GatewayTimeout, 1), (GatewayUnavailable, 0)}
    assert min(seen.values()) > 5


async def test_whoever_insists_with_one_key_is_charged_once(ledger, world):
    gateway = Gateway(ledger, Weather(timeouts=0.7), world)
    for i in range(30):
        await insist(lambda i=i: gateway.charge(f"o{i}", 7, idempotency_key=f"k{i}"))
    assert sorted(entries(ledger)) == sorted(("charge", f"o{i}", 7) for i in range(30))


async def test_a_declined_card_stays_declined_and_is_not_charged(ledger, world):
    gateway = Gateway(ledger, Weather(declines=0.5), world)
    declined = set()
    for i in [*range(40), *range(40)]:
        try:
            await gateway.charge(f"o{i}", 1, idempotency_key=f"k{i}")
        except CardDeclined:
            declined.add(f"o{i}")
    assert 5 < len(declined) < 35
    assert {reference for _, reference, _ in entries(ledger)} == {f"o{i}" for i in range(40)} - declined


async def test_void_undoes_what_was_charged_and_stops_a_late_charge(ledger, world):
    gateway = Gateway(ledger, Weather(), world)
    await gateway.charge("o1", 500, idempotency_key="k")
    assert [await gateway.void("o1", idempotency_key="v") for _ in range(2)] == [500, 500]
    assert await gateway.void("o2", idempotency_key="v") == 0
    with pytest.raises(CardDeclined, match="voided"):
        await gateway.charge("o2", 500, idempotency_key="late")
    assert entries(ledger) == [("charge", "o1", 500), ("void", "o1", 500), ("void", "o2", 0)]


async def test_a_refund_of_several_orders_happens_once_and_whole(ledger, world):
    gateway = Gateway(ledger, Weather(timeouts=0.6), world)
    for _ in range(2):
        await insist(lambda: gateway.refund({"o1": 5, "o2": 7}, idempotency_key="r"))
    assert entries(ledger) == [("refund", "o1", 5), ("refund", "o2", 7)]


async def test_the_weather_repeats_by_seed_and_outlives_the_process(tmp_path, world):
    async def history(name, seed):
        told = []
        for _ in range(2):  # opened twice: attempts go on counting
            gateway = Gateway(tmp_path / name, Weather(0.3, 0.4, seed), world)
            for i in range(20):
                try:
                    told.append(await gateway.charge(f"o{i}", 1, idempotency_key=f"k{i}"))
                except (*TROUBLE, CardDeclined) as error:
                    told.append(type(error).__name__)
            gateway.close()
        return told

    assert await history("a", 1) == await history("b", 1)
    assert await history("c", 2) != await history("d", 1)


@pytest.mark.parametrize("wrong", [{"declines": -0.1}, {"timeouts": 1.5}, {"declines": float("nan")}])
def test_weather_out_of_range_is_refused(wrong):
    with pytest.raises(ConfigurationError, match="share from 0 to 1"):
        Weather(**wrong)


async def test_the_environment_describes_the_gateway(tmp_path, monkeypatch):
    monkeypatch.setenv("SHOP_LEDGER", str(tmp_path / "new" / "ledger.db"))
    monkeypatch.setenv("SHOP_DECLINES", "1")
    opening = open_gateway()
    gateway = await anext(opening)
    with pytest.raises(CardDeclined):
        await gateway.charge("o1", 1, idempotency_key="k")
    await opening.aclose()
    monkeypatch.setenv("SHOP_TIMEOUTS", "often")
    with pytest.raises(ConfigurationError, match="SHOP_TIMEOUTS"):
        await anext(open_gateway())
