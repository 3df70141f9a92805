"""What may be declared as a measure, and what is refused with what to write instead."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Any, NewType

import pytest

from farandole import Choreography, Command, DeclarationError, Event, Measure, Sensitive, Service
from farandole.model.wire import Wire

Cents = NewType("Cents", int)


class Placed(Event, key="order_id"):
    order_id: str
    total: int = 0
    price: Decimal | None = None
    cents: Annotated[Cents, "of the order"] = Cents(0)
    paid: bool = False
    secret: Annotated[int, Sensitive] = 0


class Confirmed(Event, key="order_id"):
    order_id: str


class Stranger(Event, key="order_id"):
    order_id: str


class Place(Command):
    order_id: str


orders = Service("orders")


@orders.command
async def place(command: Place) -> Placed:
    return Placed(order_id=command.order_id)


@orders.on(Placed)
async def confirm(placed: Placed) -> Confirmed:
    return Confirmed(order_id=placed.order_id)


def test_a_measure_says_what_it_is_and_where_it_stands() -> None:
    measure = Measure.open("placed_not_confirmed", since=Placed, until=(Confirmed,), doc="Waiting")
    assert (measure.kind, measure.since, measure.until, measure.doc) == ("open", (Placed,), (Confirmed,), "Waiting")
    assert measure.place.startswith(__file__)
    Wire(Choreography("shop", orders, measures=[measure, Measure.time("order_to_confirmed", Placed, Confirmed)]))


@pytest.mark.parametrize("field", ["total", "price", "cents"])
def test_any_kind_of_number_can_be_added_up(field: str) -> None:
    assert Measure.sum("value", Placed, field).field == field


@pytest.mark.parametrize(
    ("declare", "words"),
    [
        (lambda: Measure.sum("value", Placed, "totl"), "Placed has no field 'totl'. It has: order_id, total"),
        (lambda: Measure.sum("value", Placed, "order_id"), "Placed.order_id is no number"),
        (lambda: Measure.sum("value", Placed, "paid"), "Placed.paid is no number"),
        (lambda: Measure.sum("value", Placed, "secret"), "Placed.secret is sensitive"),
        (lambda: Measure.sum("value", (Placed, Confirmed), "total"), "Confirmed has no field"),
        (lambda: Measure.open("Placed-Orders", since=Placed, until=Confirmed), "a name that Prometheus takes"),
        (lambda: Measure.open("", since=Placed, until=Confirmed), "a name that Prometheus takes"),
        (lambda: Measure.open(7, since=Placed, until=Confirmed), "a name that Prometheus takes"),  # type: ignore[arg-type]
        (lambda: Measure.open("orders_total", since=Placed, until=Confirmed), "does not end in"),
        (lambda: Measure.open("orders", since=Placed, until=()), "takes one or several classes of Event, got: nothing"),
        (lambda: Measure.open("orders", since=Place, until=Confirmed), "takes one or several classes of Event, got: Place"),
        (lambda: Measure.open("orders", since=(Placed, Placed), until=Confirmed), "names an event twice"),
        (lambda: Measure.share("conversion", of=Placed, reach=(Placed, Confirmed)), "Placed cannot both begin and end it"),
        (lambda: Measure.time("took", Placed, Confirmed, buckets=()), "growing seconds"),
        (lambda: Measure.time("took", Placed, Confirmed, buckets=(1.0, 1.0)), "growing seconds"),
        (lambda: Measure.time("took", Placed, Confirmed, buckets=(0.0, 1.0)), "growing seconds"),
        (lambda: Measure.time("took", Placed, Confirmed, buckets=("1",)), "growing seconds"),  # type: ignore[arg-type]
        (lambda: Measure.time("took", Placed, Confirmed, buckets=(1.0, float("inf"))), "growing seconds"),
        (lambda: Choreography("shop", orders, measures=[OPEN, OPEN]), "two measures are called 'waiting'"),
        (lambda: Choreography("shop", orders, measures=["waiting"]), "measures= takes a list of Measure.open"),  # type: ignore[list-item]
        (
            lambda: Wire(Choreography("shop", orders, measures=[STRANGE])),
            "Measure.open.'waiting'. needs Stranger, which no service here",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused_with_what_to_write(declare: Callable[[], Any], words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        declare()


OPEN = Measure.open("waiting", since=Placed, until=Confirmed)
STRANGE = Measure.open("waiting", since=Stranger, until=Confirmed)
