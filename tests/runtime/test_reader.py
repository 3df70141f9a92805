"""The reader: which reactions a delivery concerns, and what becomes of what cannot be read."""

from __future__ import annotations

from typing import Any

import pytest
from tests.runtime.kit import Cancelled, Placed, ordering

from farandole.brokers.base import Delivery
from farandole.model.choreography import Choreography
from farandole.model.envelope import decode
from farandole.model.event import Event
from farandole.model.service import Service
from farandole.model.wire import Wire
from farandole.runtime.plan import Limits, compile_plan
from farandole.runtime.worker import Reader, inbox_id

UUID = "019b76da-a800-7000-8000-000000000000"


class Shipped(Event, of="depot.shipping", key="order_id"):
    """Somebody else's: only what we need of it."""

    order_id: str


class Parcel(Event, of="depot.shipping", name="Shipped"):
    """The same on the wire, with other fields."""

    order_id: str
    weight: int = 0


def listening(*, reports: bool = True, limits: Limits | None = None) -> Reader:
    payments = Service("payments")

    @payments.on(Placed)
    async def charge(order: Placed) -> None: ...

    @payments.on(Placed, Cancelled)
    async def note(order: Placed | Cancelled) -> None: ...

    @payments.on(Shipped)
    async def bill(event: Shipped) -> None: ...

    @payments.on(Parcel)
    async def weigh(event: Parcel) -> None: ...

    limits = limits or Limits()
    wire = Wire(Choreography("shop", ordering(), payments))
    plans = [compile_plan(reaction, payments, wire, {}, limits) for reaction in payments.reactions.values()]
    return Reader("payments", plans, wire.types_of_topic, limits, reports=reports)


def delivery(wire_type: str, data: str = '{"order_id":"o-1"}', *, topic: str = "shop.orders", **options: Any) -> Delivery:
    attributes = options.pop("attributes", "")
    body = f'{{"specversion":"1.0","id":"e","source":"/s","type":"{wire_type}"{attributes},"data":{data}}}'
    return Delivery(topic=topic, partition=3, position=7, body=body.encode(), **options)


@pytest.mark.parametrize("said", [True, False])
def test_an_event_goes_to_each_reaction_that_wants_it_in_order_of_declaration(said: bool) -> None:
    first, second = delivery("shop.Placed.v1", type="shop.Placed.v1" * said), delivery("shop.Cancelled.v1")
    works, dead = listening().read([first, second])
    assert [(work.plan.id, type(work.event), work.delivery) for work in works] == [
        ("payments.charge", Placed, 0),
        ("payments.note", Placed, 0),
        ("payments.note", Cancelled, 1),
    ]
    assert works[0].event is works[1].event  # it is read once
    assert (works[0].id, works[0].topic, works[0].body) == ("/s#e", "shop.orders", first.body)
    assert works[0].envelope == decode(first.body)
    assert dead == []


def test_two_classes_of_one_type_are_each_read_by_their_own_reaction() -> None:
    works, dead = listening().read([delivery("depot.Shipped.v1", topic="depot.shipping")])
    assert [(work.plan.id, type(work.event)) for work in works] == [("payments.bill", Shipped), ("payments.weigh", Parcel)]
    assert dead == []


def test_what_one_class_cannot_read_is_the_dead_letter_of_its_reactions_only() -> None:
    data = '{"order_id":"o-1","weight":"heavy"}'
    works, [letter] = listening().read([delivery("depot.Shipped.v1", data, topic="depot.shipping", key="k")])
    assert [work.plan.id for work in works] == ["payments.bill"]
    assert (letter.reaction, letter.id, letter.key, letter.topic) == ("payments.weigh", "/s#e", "k", "depot.shipping")
    assert (letter.state, letter.blocks, letter.error) == ("dead", False, "EnvelopeError")
    assert letter.reason == "depot.Shipped.v1: Expected `int`, got `str` - at `$.weight`"
    assert letter.place is not None and letter.place.startswith(__file__)


def test_each_reaction_that_wanted_it_has_a_dead_letter_of_an_event_with_wrong_values() -> None:
    wrong = delivery("shop.Placed.v1", '{"order_id":7}')
    works, dead = listening().read([wrong, delivery("shop.Placed.v1")])
    assert [letter.reaction for letter in dead] == ["payments.charge", "payments.note"]
    assert {letter.body for letter in dead} == {wrong.body}
    assert [work.delivery for work in works] == [1, 1]


@pytest.mark.parametrize(
    ("attributes", "options", "key"),
    [
        (',"partitionkey":"p"', {"key": "k"}, "p"),
        ("", {"key": "k"}, "k"),
        ("", {}, "/s#e"),
    ],
)
def test_the_key_is_the_envelopes_or_the_brokers_or_the_event_itself(attributes: str, options: dict[str, str], key: str) -> None:
    works, _ = listening().read([delivery("shop.Cancelled.v1", attributes=attributes, **options)])
    assert works[0].key == key


def test_a_uuid_is_an_identity_by_itself_and_anything_else_together_with_its_source() -> None:
    body = delivery("shop.Cancelled.v1").body
    assert inbox_id(decode(body)) == "/s#e"
    ours = body.replace(b'"id":"e"', f'"id":"{UUID}"'.encode())
    assert inbox_id(decode(ours)) == UUID
    works, _ = listening().read([Delivery("shop.orders", 0, 1, ours)])
    assert (works[0].id, works[0].key) == (UUID, UUID)


@pytest.mark.parametrize("said", [True, False])
def test_a_type_that_the_owner_of_a_topic_does_not_declare_is_unknown(said: bool) -> None:
    strange = delivery("shop.Nonsense.v1", type="shop.Nonsense.v1" * said, id="x", key="k")
    works, [letter] = listening().read([strange, delivery("shop.Cancelled.v1")])
    assert letter.reason == (
        "unknown type 'shop.Nonsense.v1': the owner of shop.orders declares shop.Cancelled.v1, shop.Placed.v1"
    )
    assert (letter.reaction, letter.id, letter.key, letter.place) == ("payments.(envelope)", "x", "k", "shop.orders[3]@7")
    assert (letter.state, letter.blocks, letter.error, letter.topic) == ("dead", False, "EnvelopeError", "shop.orders")
    assert letter.body == strange.body
    assert len(works) == 1


@pytest.mark.parametrize("said", [True, False])
def test_on_others_topics_an_unknown_version_of_what_is_read_is_told_and_other_types_are_none_of_our_business(said: bool) -> None:
    version, business = (
        delivery(name, topic="depot.shipping", type=name * said) for name in ("depot.Shipped.v12", "depot.Weighed.v1")
    )
    works, [letter] = listening().read([business, version, delivery("shop.Cancelled.v1")])
    assert letter.reason == "unknown version 'depot.Shipped.v12': payments reads depot.Shipped.v1"
    assert letter.id == letter.key == letter.place == "depot.shipping[3]@7"
    assert len(works) == 1


def test_what_says_that_it_is_anothers_is_not_even_looked_at() -> None:
    junk = Delivery("depot.shipping", 0, 1, b"junk", type="depot.Weighed.v1")
    assert listening().read([junk]) == ([], [])


def test_a_type_that_contradicts_the_envelope_counts_for_nothing() -> None:
    works, dead = listening().read([delivery("shop.Cancelled.v1", type="shop.Placed.v1")])
    assert ([work.plan.id for work in works], dead) == (["payments.note"], [])


def test_what_is_larger_than_the_limit_is_not_decoded() -> None:
    fits = delivery("shop.Cancelled.v1")
    reader = listening(limits=Limits(bytes_in=len(fits.body)))
    large = Delivery("shop.orders", 0, 2, fits.body + b" ")
    works, [letter] = reader.read([fits, large])
    assert len(works) == 1
    assert letter.reason == f"too large: {len(large.body)} bytes; the limit is {len(fits.body)}"


def test_a_reader_that_is_not_told_otherwise_reports() -> None:
    _, [letter] = Reader("payments", [], {}, Limits()).read([Delivery("shop.orders", 0, 1, b"junk")])
    assert letter.reaction == "payments.(envelope)"


def test_only_the_first_lane_of_a_service_reports_what_no_reaction_can_be_blamed_for() -> None:
    reader = listening(reports=False)
    broken = Delivery("shop.orders", 0, 1, b"junk")
    wrong = delivery("shop.Placed.v1", '{"order_id":7}')
    works, dead = reader.read([broken, delivery("shop.Nonsense.v1"), wrong, delivery("shop.Cancelled.v1")])
    assert [letter.reaction for letter in dead] == ["payments.charge", "payments.note"]
    assert len(works) == 1
