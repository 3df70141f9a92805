"""Events of single types may be forgotten before their instance."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.observe.records import alert, event, fate, standing
from tests.runtime.kit import Choreography, Paid, Place, Placed, Service, Workflow, opened, ordering

from farandole import Event
from farandole.config import load
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.observe.record import retention_of
from farandole.stores import open_record
from farandole.testing.virtual import VirtualWorld


class Checked(Event, key="order_id"):
    order_id: str


def checkout() -> Choreography:
    payments, stock = Service("payments"), Service("stock")

    @stock.on(Placed)
    async def check(order: Placed) -> Checked:
        return Checked(order_id=order.order_id)

    @payments.on(Checked)
    async def charge(order: Checked) -> Paid:
        return Paid(order_id=order.order_id)

    flow = Workflow("checkout", starts=Placed, succeeds=Paid, within=timedelta(minutes=5))
    return Choreography("shop", ordering(), payments, stock, workflows=[flow])


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/record.db" if request.param == "sqlite" else request.getfixturevalue("schema")


async def test_events_of_a_type_go_before_the_rest_of_their_instance(url: str, world: VirtualWorld) -> None:
    async with opened(checkout(), world, record=url, retention={"shop.Checked": "2m"}) as app:
        receipt = await app.send(Place(order_id="o-1"))
        await app.outcome(receipt.correlation_id)
        assert len(await app.record.events_of(receipt.correlation_id)) == 3
        await world.sleep(300)
        left = [entry.type for entry in await app.record.events_of(receipt.correlation_id)]
        assert left == ["shop.Placed.v1", "shop.Paid.v1"]
        assert (await app.status(receipt.correlation_id)).state == "succeeded"


async def test_they_stay_as_long_as_something_is_recorded_of_their_instance(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.append(
        [event(1, "live", type="T"), event(2, "quiet", type="T"), event(3, "quiet"), event(4, "retried", type="T")]
    )
    await record.tell([fate(1, "live"), fate(2, "quiet"), fate(3, "quiet"), fate(4, "retried")])
    await world.sleep(100)
    await record.append([event(5, "live")])
    await record.tell([fate(4, "retried", at=100.0)])
    assert await record.thin("T", 50, 10) == 3
    assert [entry.id for entry in await record.since(0, 10)] == ["e1", "e3", "e4", "e5"]
    assert [[one.id for one in await record.fates_of(name)] for name in ("live", "quiet", "retried")] == [
        ["e1"],
        ["e3"],
        ["e4", "e4"],
    ]
    await record.close()


async def test_an_instance_that_has_no_other_events_goes_with_them(url: str, world: VirtualWorld) -> None:
    record = open_record(url, world)
    await record.open()
    await record.append([event(number, f"i{number}", type="T") for number in range(3)])
    await record.stand([standing("i1")], 3)
    await record.alert([alert("of i1", "i1")])
    await world.sleep(100)
    assert [await record.thin("T", 50, 2) for _ in range(2)] == [2, 1]
    assert await record.since(0, 10) == []
    assert (await record.standing_of(["i1"]), await record.alerts()) == ({}, [])
    await record.close()


def test_events_are_named_with_or_without_a_version() -> None:
    wire = Wire(checkout())
    for name in ("shop.Checked", "shop.Checked.v1"):
        assert retention_of({name: "7d"}, wire, 30 * 86_400) == {"shop.Checked.v1": 7 * 86_400}
    assert retention_of({"shop.Checked": 60.0}, wire, None) == {"shop.Checked.v1": 60.0}


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ({"shop.Cheked": "7d"}, r"there is no event 'shop\.Cheked'\. Did you mean shop\.Checked\?"),
        ({"shop.Checked": "soon"}, r"retention of shop\.Checked: expected a duration such as"),
        ({"shop.Checked": "2d"}, "expected at most the 86400 s for which the record keeps its instance, got: 172800 s"),
        ({"shop.Paid": "1h"}, "it begins or ends the workflow checkout, and without it nobody could tell"),
        ({"shop.Placed": "1h"}, "it begins or ends the workflow checkout"),
    ],
)
async def test_what_cannot_be_is_refused_with_a_remedy(asked: dict[str, str], told: str, world: VirtualWorld) -> None:
    with pytest.raises(ConfigurationError, match=told):
        async with opened(checkout(), world, record="sqlite://?retention=1d", retention=asked):
            pass


def test_the_configuration_has_a_table_of_it(tmp_path: Path) -> None:
    (tmp_path / "farandole.toml").write_text('retention = { "shop.Checked" = "7d", "shop.Seen" = 60 }')
    assert load(tmp_path, {}).retention == {"shop.Checked": 604_800.0, "shop.Seen": 60.0}
    (tmp_path / "farandole.toml").write_text('retention = { "shop.Checked" = "soon" }')
    with pytest.raises(ConfigurationError, match="expected a table of durations by event, such as"):
        load(tmp_path, {})
    (tmp_path / "farandole.toml").write_text('retention = "7d"')
    with pytest.raises(ConfigurationError, match="expected a table of durations by event, such as"):
        load(tmp_path, {})
