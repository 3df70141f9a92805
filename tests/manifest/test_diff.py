"""What changed between two versions of a choreography: words, weights, and whom it reaches."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.counts import often
from tests.manifest.choreographies import AT, changed, event, of, reaction, reader, service, types, without

from farandole.graph import AllowedCycle, Branch, Expectation, Graph, Message, Trigger, Workflow
from farandole.manifest.diff import Change, diff

SHOP = Graph(
    "shop",
    services=(service("orders"), service("payments"), service("mail"), service("crm")),
    messages=(
        Message("shop.PlaceOrder.v1", "shop.orders", AT, kind="command", schema=of("order_id")),
        event("OrderPlaced", "orders", "email", "total", "note?"),
        event("OrderConfirmed", "orders"),
        event("PaymentCompleted", "payments"),
        event("PaymentFailed", "payments"),
        event("PaymentRefunded", "payments", public=True),
        reader("OrderPlaced", "mail", "email"),
        reader("OrderPlaced", "crm", "email?"),
    ),
    reactions=(
        reaction("orders.place", "PlaceOrder", "OrderPlaced", trigger=Trigger("command", types("PlaceOrder")), group=None),
        reaction(
            "payments.charge", "OrderPlaced", "PaymentCompleted", "PaymentFailed", group="shop.payments.charge", outside=True
        ),
        reaction("orders.confirm", "PaymentCompleted", "OrderConfirmed"),
        reaction(
            "payments.refund",
            "PaymentFailed",
            "PaymentRefunded",
            compensates="shop.payments.charge",
            undoes="shop.PaymentCompleted.v1",
        ),
        reaction("mail.thank", "OrderPlaced"),
        reaction("crm.note", "OrderPlaced"),
    ),
    workflows=(Workflow("checkout", AT, types("OrderPlaced"), types("OrderConfirmed"), types("PaymentFailed"), 300.0),),
)
PLACED, CHARGE, CONFIRM, REFUND = 1, 1, 2, 3  # where they stand among the messages, and the reactions


def schema(index: int, new: dict[str, object]) -> Graph:
    return changed(SHOP, "messages", index, schema=new)


def the_one(changes: list[Change], kind: str) -> Change:
    [found] = [change for change in changes if change.kind == kind]
    return found


def test_nothing_changed_between_a_choreography_and_itself() -> None:
    assert diff(SHOP, SHOP) == []


# --- fields


def test_a_field_that_readers_still_need_must_not_go() -> None:
    [change] = diff(SHOP, schema(PLACED, of("order_id", "total", "note?")))
    assert (change.weight, change.kind, change.subject) == ("breaking", "field-removed", "shop.OrderPlaced.v1")
    assert change.what == "field `email` of OrderPlaced is gone"
    assert "mail cannot read what is written now" in change.why
    assert "it is in the reader classes of crm and mail, and payments uses the owner's class" in change.why
    assert change.affected == ("shop.mail", "shop.payments")
    assert change.fix == "Let mail do without it first, and deploy it. Deploy payments before orders"


def test_a_field_that_deployed_readers_need_and_new_ones_do_not_goes_after_them() -> None:
    new = changed(schema(PLACED, of("order_id", "total", "note?")), "messages", 6, schema=of("order_id"))
    change = the_one(diff(SHOP, new), "field-removed")
    assert (change.weight, change.affected) == ("risky", ("shop.mail", "shop.payments"))
    assert change.fix == "Deploy mail and payments before orders"


def test_a_field_that_nobody_needs_may_go() -> None:
    lean = replace(SHOP, messages=(*SHOP.messages, reader("OrderPlaced", "payments", "total")))
    index = lean.messages.index(event("OrderPlaced", "orders", "email", "total", "note?"))
    [change] = diff(lean, changed(lean, "messages", index, schema=of("order_id", "email", "total")))
    assert (change.weight, change.why) == ("fine", "no reader class has it")


def test_a_new_field_that_is_required_is_missing_in_what_was_written_before() -> None:
    [change] = diff(SHOP, schema(PLACED, of("order_id", "email", "total", "note?", "country")))
    assert (change.weight, change.what) == ("breaking", "field `country` of OrderPlaced is new, and required")
    assert "payments cannot read events that were written before" in change.why
    assert "dead letters" in change.why
    assert change.fix == "Give the field a default"


def test_a_new_field_with_a_default_is_fine() -> None:
    [change] = diff(SHOP, schema(PLACED, of("order_id", "email", "total", "note?", "country?")))
    assert (change.weight, change.what) == ("fine", "field `country` of OrderPlaced is new")


def test_a_field_of_another_type_breaks_those_who_read_it() -> None:
    new = of("order_id", "email", "total", "note?")
    new["properties"]["email"] = {"type": "array", "items": {"type": "string"}}
    [change] = diff(SHOP, schema(PLACED, new))
    assert change.what == "field `email` is array of string now, not string in OrderPlaced"
    assert (change.weight, change.affected) == ("breaking", ("shop.crm", "shop.mail", "shop.payments"))


def test_a_field_inside_another_is_named_by_its_path() -> None:
    def order(*names: str) -> dict[str, object]:
        line = {"type": "object", "properties": {name: {"type": "string"} for name in names}}
        properties = {"lines": {"type": "array", "items": {"$ref": "#/$defs/Line"}}}
        return {"type": "object", "properties": properties, "$defs": {"Line": line}}

    old, new = schema(PLACED, order("sku", "size")), schema(PLACED, order("sku", "colour"))
    change = the_one(diff(old, new), "field-changed")
    assert change.what == "field `lines[].size` is gone and `lines[].colour` is new in OrderPlaced"


def test_a_public_event_keeps_its_fields_for_those_outside() -> None:
    with_amount = changed(SHOP, "messages", 5, schema=of("order_id", "amount"))
    [change] = diff(with_amount, SHOP)
    assert (change.weight, change.kind) == ("breaking", "field-removed")
    assert "consumers outside of the choreography" in change.why


def test_schemas_that_lead_in_circles_or_very_deep_are_compared_all_the_same() -> None:
    tree = {"type": "object", "properties": {"children": {"type": "array", "items": {"$ref": "#"}}, "name": {"type": "string"}}}
    deep: dict[str, object] = {"type": "string"}
    for _ in range(often(3_000, 100_000)):  # more than Python's stack has room for
        deep = {"type": "array", "items": deep}
    odd = {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}},
        "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}},
    }
    for one in (tree, {"type": "object", "properties": {"deep": deep}}, odd):
        copied = {**one, "properties": dict(one["properties"])}
        assert diff(schema(PLACED, one), schema(PLACED, copied)) == []
        more = {**one, "properties": one["properties"] | {"more": {"type": "string"}}}
        assert [c.what for c in diff(schema(PLACED, one), schema(PLACED, more))] == ["field `more` of OrderPlaced is new"]


# --- messages


@pytest.mark.parametrize(
    ("values", "kind", "weight", "what"),
    [
        ({"topic": "shop.other"}, "topic-changed", "breaking", "OrderPlaced moves from topic shop.orders to shop.other"),
        ({"key": "email"}, "key-changed", "breaking", "OrderPlaced is ordered by `email` now, not by `order_id`"),
        ({"key": None}, "key-changed", "breaking", "OrderPlaced is ordered by nothing now, not by `order_id`"),
        ({"version": (1, 1)}, "version-changed", "fine", "OrderPlaced is version 1.1 now, not 1.0"),
        ({"version": (0, 9)}, "version-changed", "risky", "OrderPlaced is version 0.9 now, not 1.0"),
        ({"public": True}, "public-changed", "fine", "OrderPlaced is now public"),
        ({"sensitive": ("email",)}, "sensitive-added", "fine", "`email` of OrderPlaced is marked sensitive now"),
    ],
)
def test_what_an_owner_says_of_an_event_is_compared(values: dict[str, object], kind: str, weight: str, what: str) -> None:
    [change] = diff(SHOP, changed(SHOP, "messages", PLACED, **values))
    assert (change.kind, change.weight, change.what) == (kind, weight, what)


def test_a_mark_of_a_sensitive_field_that_went_is_told() -> None:
    [change] = diff(changed(SHOP, "messages", PLACED, sensitive=("email",)), SHOP)
    assert (change.weight, change.what) == ("risky", "`email` of OrderPlaced is no longer marked sensitive")


def test_a_new_major_version_is_another_event_and_says_who_waits_for_the_old_one() -> None:
    new = changed(SHOP, "messages", PLACED, type="shop.OrderPlaced.v2", version=(2, 0))
    new = changed(new, "reactions", 0, emits=("shop.OrderPlaced.v2",))
    changes = diff(SHOP, new)
    gone = the_one(changes, "event-removed")
    assert gone.what == "event OrderPlaced v1 is gone; OrderPlaced v2 is there instead"
    assert gone.why == "crm, mail and payments still read it"
    assert the_one(changes, "source-lost").weight == "breaking"


def test_an_event_that_lost_its_only_source_breaks_those_who_wait() -> None:
    new = changed(SHOP, "reactions", CHARGE, emits=types("PaymentFailed"))
    change = the_one(diff(SHOP, new), "source-lost")
    assert change.what == "PaymentCompleted is no longer emitted by anybody"
    assert change.why == "orders waits for it, and nobody emits it"


def test_an_event_that_nobody_hears_yet_is_risky_and_one_with_an_outcome_is_fine() -> None:
    late = changed(SHOP, "reactions", CONFIRM, emits=types("OrderConfirmed", "Cheered"))
    late = replace(late, messages=(*late.messages, event("Cheered", "orders")))
    assert the_one(diff(SHOP, late), "unheard").what == "Cheered is emitted now, and nobody reads it"
    ends = changed(late, "workflows", 0, succeeds=types("OrderConfirmed", "Cheered"))
    assert [change for change in diff(SHOP, ends) if change.kind == "unheard"] == []


def test_a_command_that_is_gone_breaks_its_senders() -> None:
    change = the_one(diff(SHOP, without(without(SHOP, "messages", 0), "reactions", 0)), "command-removed")
    assert (change.weight, change.what) == ("breaking", "command PlaceOrder is gone")


def test_an_event_with_a_new_owner_has_two_sources_for_a_while() -> None:
    change = the_one(diff(SHOP, changed(SHOP, "messages", PLACED, service="shop.crm")), "owner-changed")
    assert change.what == "OrderPlaced comes from crm now, not from orders"
    assert change.fix == "Stop orders before crm begins"


def test_a_new_reader_that_needs_what_is_not_sent_is_told() -> None:
    new = replace(
        SHOP, services=(*SHOP.services, service("stats")), reactions=(*SHOP.reactions, reaction("stats.count", "OrderPlaced"))
    )
    new = replace(new, messages=(*new.messages, reader("OrderPlaced", "stats", "country")))
    change = the_one(diff(SHOP, new), "unreadable")
    assert (change.weight, change.what) == ("breaking", "stats cannot read OrderPlaced")
    assert "country: the reader needs it" in change.why


def test_what_could_not_be_read_before_is_no_news() -> None:
    wrong = changed(SHOP, "messages", 6, schema=of("country"))
    assert [c.weight for c in diff(wrong, changed(wrong, "messages", PLACED, doc="In other words."))] == ["fine"]


# --- reactions


def test_a_rename_with_formerly_is_fine() -> None:
    [change] = diff(SHOP, changed(SHOP, "reactions", CHARGE, name="bill", formerly="charge"))
    assert (change.weight, change.kind) == ("fine", "reaction-renamed-formerly")
    assert change.what == "payments.charge is called bill now, and was charge; formerly= keeps its identity"


def test_a_rename_without_formerly_loses_inbox_rows_and_the_group_s_position() -> None:
    new = changed(SHOP, "reactions", CHARGE, id="shop.payments.bill", name="bill", group="shop.payments.bill")
    new = changed(new, "reactions", REFUND, compensates="shop.payments.bill")
    change = the_one(diff(SHOP, new), "reaction-renamed")
    assert (change.weight, change.what) == ("breaking", "payments.charge seems to be payments.bill now, without formerly=")
    assert "inbox rows" in change.why
    assert "Its group shop.payments.charge is left behind" in change.why
    assert 'formerly="charge"' in change.fix


def test_a_reaction_that_went_and_one_that_came_on_another_event_are_no_rename() -> None:
    new = changed(SHOP, "reactions", 5, id="shop.crm.count", name="count", trigger=Trigger("event", types("OrderConfirmed")))
    kinds = {change.kind for change in diff(SHOP, new)}
    assert {"reaction-removed", "reaction-added"} <= kinds
    assert "reaction-renamed" not in kinds


def test_a_service_that_seems_renamed_begins_anew() -> None:
    new = changed(SHOP, "services", 2, id="shop.post")
    new = changed(new, "reactions", 4, id="shop.post.thank", service="shop.post", group="shop.post")
    change = the_one(diff(SHOP, new), "service-renamed")
    assert (change.weight, change.what) == ("breaking", "service mail seems to be post now")


@pytest.mark.parametrize(
    ("values", "weight", "what"),
    [
        (
            {"trigger": Trigger("event", types("OrderPlaced", "PaymentFailed"))},
            "fine",
            "payments.charge reacts to PaymentFailed too",
        ),
        (
            {"trigger": Trigger("all", types("OrderPlaced"))},
            "risky",
            "payments.charge is set off by a join of all now, not by one event",
        ),
        ({"trigger": Trigger("event", types("OrderPlaced"), by="email")}, "breaking", "tells instances apart by `email` now"),
        (
            {"trigger": Trigger("event", types("OrderPlaced"), within=60.0)},
            "risky",
            "payments.charge waits 1 min now, not for ever",
        ),
        ({"many": types("PaymentCompleted")}, "risky", "payments.charge emits several PaymentCompleted at once now"),
        (
            {"exhausted": Branch(types("PaymentFailed"), AT)},
            "fine",
            "payments.charge.exhausted is new: PaymentFailed when its retries",
        ),
        (
            {"late": Branch(types("PaymentFailed"), AT)},
            "fine",
            "payments.charge.late is new: PaymentFailed when something comes too late",
        ),
        ({"outside": False}, "fine", "payments.charge no longer calls the outside"),
        ({"group": "shop.slow"}, "risky", "payments.charge is fed by group shop.slow now, not by shop.payments.charge"),
        ({"parks": False}, "risky", "payments.charge lets later events of a key pass behind a failed one now"),
        ({"horizon": 30 * 86400.0}, "risky", "payments.charge tries for 30 days at most now, not for 0 s"),
        ({"answers": (types("PaymentCompleted"), types("PaymentFailed"), ())}, "risky", "payments.charge may emit nothing now"),
        (
            {"answers": (types("PaymentCompleted", "PaymentFailed"),)},
            "fine",
            "payments.charge may emit PaymentCompleted and PaymentFailed together now",
        ),
    ],
)
def test_how_a_reaction_runs_is_compared(values: dict[str, object], weight: str, what: str) -> None:
    changes = diff(SHOP, changed(SHOP, "reactions", CHARGE, **values))
    assert [change.weight for change in changes if what in change.what] == [weight], changes


def test_an_exhausted_handler_that_went_leaves_the_flow_where_it_is() -> None:
    old = changed(SHOP, "reactions", CHARGE, exhausted=Branch(types("PaymentFailed"), AT))
    [change] = diff(old, SHOP)
    assert (change.weight, change.what) == ("risky", "payments.charge.exhausted is gone")


def test_a_compensation_that_went_breaks_the_saga() -> None:
    change = the_one(diff(SHOP, changed(SHOP, "reactions", REFUND, compensates=None, undoes=None)), "compensation-lost")
    assert (change.weight, change.subject) == ("breaking", "shop.payments.charge")
    assert change.what == "payments.refund no longer undoes payments.charge after PaymentCompleted"


def test_a_compensation_that_another_took_over_is_fine() -> None:
    new = changed(SHOP, "reactions", REFUND, id="shop.payments.repay", name="repay", formerly=None)
    changes = diff(SHOP, new)
    assert [c.kind for c in changes if "compensation" in c.kind] == ["compensation-added", "compensation-removed"]


# --- cycles and workflows


def test_a_new_cycle_breaks_unless_it_is_allowed() -> None:
    new = changed(SHOP, "reactions", REFUND, emits=types("PaymentRefunded", "PaymentFailed"))
    change = the_one(diff(SHOP, new), "cycle-new")
    assert (change.weight, change.what) == ("breaking", "PaymentFailed can cause itself now, through payments.refund")
    allowed = replace(new, cycles=(AllowedCycle(types("PaymentFailed"), 3, AT),))
    assert the_one(diff(SHOP, allowed), "cycle-new").weight == "risky"
    assert the_one(diff(new, SHOP), "cycle-gone").weight == "fine"


def test_service_levels_that_come_change_or_go_are_told() -> None:
    level = Expectation("fast", "shop.OrderPlaced.v1", ("shop.OrderConfirmed.v1",), 30.0)
    with_it = changed(SHOP, "workflows", 0, expects=(level,))
    slower = changed(SHOP, "workflows", 0, expects=(replace(level, within=60.0),))
    other = changed(SHOP, "workflows", 0, expects=(replace(level, types=("shop.PaymentFailed.v1",)),))
    told = {
        (change.weight, change.what)
        for before, now in ((SHOP, with_it), (with_it, slower), (with_it, other), (with_it, SHOP))
        for change in diff(before, now)
    }
    assert told == {
        ("fine", "workflow checkout expects fast within 30 s"),
        ("fine", "workflow checkout expects fast within 1 min now, not 30 s"),
        ("fine", "workflow checkout means other events by fast"),
        ("risky", "workflow checkout no longer expects fast"),
    }


def test_a_workflow_with_less_time_counts_more_as_late() -> None:
    [change] = diff(SHOP, changed(SHOP, "workflows", 0, within=60.0))
    assert (change.weight, change.what) == ("risky", "workflow checkout should take 1 min at most now, not 5 min at most")


def test_an_outcome_that_went_is_told_to_those_who_wait_for_it() -> None:
    change = the_one(diff(SHOP, changed(SHOP, "workflows", 0, fails=())), "workflow-fails")
    assert change.what == "workflow checkout no longer ends badly with PaymentFailed"


def test_what_breaks_comes_first() -> None:
    new = changed(changed(SHOP, "messages", PLACED, topic="shop.other"), "services", 0, team="A")
    assert [change.weight for change in diff(SHOP, new)] == ["breaking", "fine"]


def test_two_services_of_one_short_name_are_called_by_their_long_ones() -> None:
    two = replace(SHOP, services=(*SHOP.services, replace(service("orders"), id="bank.orders")))
    [change] = diff(two, changed(two, "services", 0, team="A"))
    assert change.what == "shop.orders belongs to A now, not to nobody"
