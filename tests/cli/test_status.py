"""`farandole status`: figures per service and lane."""

from __future__ import annotations

import asyncio

from tests.cli.kit import Project

import farandole


def test_after_all_is_done_nothing_lags(cafe: Project) -> None:
    cafe.place("4711")
    services = cafe.json("status")["services"]
    assert {lane: lag for both in services.values() for lane, lag in both["lag"].items()} == {
        "shop.orders": 0,
        "shop.payments.charge": 0,
        "shop.email": 0,
    }
    assert all(both["database"]["outbox"] == 0 for both in services.values())
    code, out, err = cafe.run("status", "--fail-on-dead", "--max-lag", "0", "--max-age", "1s")
    assert (code, err) == (0, "")
    assert len(out.splitlines()) == 4


def test_dead_and_waiting_events_are_counted(cafe: Project) -> None:
    cafe.place("bad1", "poor1")
    services = cafe.json("status")["services"]
    assert services["payments"]["database"]["dead"] == 1
    assert (services["email"]["database"]["parked"], services["email"]["database"]["parked_keys"]) == (1, 1)


def test_a_dead_letter_is_a_finding_where_asked_for(cafe: Project) -> None:
    cafe.place("bad1")
    assert cafe.run("status")[0] == 0
    code, _, err = cafe.run("status", "--fail-on-dead")
    assert code == 1
    assert err == "payments: 1 dead letters. See: farandole dead list --service payments\n"


def test_a_lane_that_is_behind_is_a_finding_where_asked_for(cafe: Project) -> None:
    module = cafe.module()

    async def only_send() -> None:
        async with farandole.open(module.shop, services=()) as app:
            for number in range(3):
                await app.send(module.PlaceOrder(order_id=str(number), email="x"))
            await app.idle()

    cafe.place("4711")
    asyncio.run(only_send())
    assert cafe.json("status")["services"]["payments"]["lag"] == {"shop.payments.charge": 3}
    assert cafe.run("status", "--max-lag", "3")[0] == 0
    code, _, err = cafe.run("status", "--max-lag", "2")
    assert (code, err) == (1, "shop.payments.charge: 3 events behind\nshop.email: 3 events behind\n")


def test_a_service_without_a_database_yet_says_so(cafe: Project) -> None:
    cafe.place("4711")
    (cafe.folder / ".farandole" / "email.db").unlink()
    code, out, _ = cafe.run("status")
    assert code == 0
    assert "no database yet" in out
    assert cafe.json("status")["services"]["email"]["database"] is None
    assert not (cafe.folder / ".farandole" / "email.db").exists()


def test_only_the_chosen_services_are_shown(cafe: Project) -> None:
    cafe.place("4711")
    assert list(cafe.json("status", "--service", "email")["services"]) == ["email"]
