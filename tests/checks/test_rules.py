"""The rules beyond the planted folder: their words, what Python cannot declare, and where they must be silent."""

from __future__ import annotations

import pytest
from tests.checks.kit import at, event, found, graph, reaction, reader, said, service

from farandole.checks.registry import FILES, rule_named, rules
from farandole.errors import ConfigurationError
from farandole.graph import Effects, Move, Workflow

TEXT = {"type": "object", "properties": {"order_id": {"type": "string"}}, "required": ["order_id"]}


def place(emits: str = "OrderPlaced") -> tuple[object, ...]:
    return (
        service("orders"),
        event("PlaceOrder", "orders", kind="command"),
        event(emits, "orders", key="order_id"),
        reaction("orders.place", "PlaceOrder", kind="command", emits=(emits,)),
    )


# --- all of them


def test_each_file_has_one_rule_named_after_it() -> None:
    assert [id.replace("-", "_") for id in rules()] == list(FILES)


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.id)
def test_a_rule_says_in_whole_sentences_why_it_matters(rule: object) -> None:
    assert rule.why[0].isupper()
    assert rule.why.endswith(".")
    assert not rule.title.endswith(".")
    assert rule.title[0].islower()


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigurationError, match=r"there is no rule 'unconsumd'. Did you mean unconsumed"):
        rule_named("unconsumd")


@pytest.mark.parametrize("rule", rules().values(), ids=lambda rule: rule.id)
def test_a_graph_without_anything_has_no_finding(rule: object) -> None:
    assert list(rule.check(graph())) == []


# --- unconsumed


def test_with_one_service_alone_nobody_can_tell_who_consumes() -> None:
    assert said("unconsumed", *place()) == []
    assert said("unconsumed", *place(), service("mail")) == ["OrderPlaced, which orders.place emits, is consumed by nobody."]


def test_what_a_foreign_document_receives_is_consumed() -> None:
    assert said("unconsumed", *place(), service("mail", complete=False), reader("OrderPlaced", "mail", "orders")) == []


@pytest.mark.parametrize("more", [{"public": True}, {"kind": "command"}])
def test_what_is_public_or_a_command_needs_no_consumer(more: dict[str, object]) -> None:
    nodes = (service("orders"), service("mail"), event("OrderPlaced", "orders", **more))
    assert said("unconsumed", *nodes, reaction("orders.place", "X", emits=("OrderPlaced",))) == []


def test_an_outcome_needs_no_consumer() -> None:
    outcome = Workflow("checkout", at(9), ("shop.OrderPlaced.v1",), ("shop.OrderPlaced.v1",))
    assert said("unconsumed", *place(), service("mail"), outcome) == []


# --- unemitted


def test_what_an_owner_elsewhere_sends_is_not_missed() -> None:
    nodes = (service("mail"), reader("OrderPlaced", "mail", "orders"), reaction("mail.thank", "OrderPlaced"))
    assert said("unemitted", *nodes) == []


def test_what_an_owner_here_does_not_send_is_missed_by_all_who_wait() -> None:
    nodes = (
        service("orders"),
        service("mail"),
        reader("OrderPaid", "mail", "orders"),
        reaction("mail.thank", "OrderPaid", place=at(7)),
        reaction("mail.count", "OrderPaid"),
        reaction("mail.print", "OrderPaid"),
    )
    [finding] = found("unemitted", *nodes)
    assert finding.what == "mail.thank, mail.count and mail.print wait for OrderPaid, which nobody emits."
    assert (finding.place, finding.subject) == (at(7), "shop.OrderPaid.v1")


def test_what_a_foreign_document_sends_is_emitted() -> None:
    nodes = (
        service("orders", complete=False),
        event("OrderPaid", "orders"),
        service("mail"),
        reaction("mail.thank", "OrderPaid"),
    )
    assert said("unemitted", *nodes) == []


def test_an_older_version_that_its_owner_still_sends_is_emitted() -> None:
    owner = event("Paid", "orders", former=("shop.Paid.v0",))
    nodes = (service("orders"), service("mail"), owner, reaction("orders.pay", "X", emits=("Paid",)))
    old = reaction("mail.thank", "Paid").__class__(
        "shop.mail.thank", "shop.mail", "thank", at(3), reaction("a.b", "X").trigger.__class__("event", ("shop.Paid.v0",))
    )
    assert [text for text in said("unemitted", *nodes, old) if "Paid" in text] == []
    assert said("incompatible-versions", *nodes, old) == []


# --- owners, services, handlers


def test_three_owners_are_all_named() -> None:
    nodes = [service(name) for name in "abc"] + [event("Counted", name, place=at(line)) for line, name in enumerate("abc", 1)]
    [finding] = found("two-owners", *nodes)
    assert finding.what == "Counted has 3 owners: a, b and c emit it."
    assert finding.place == at(2)


def test_what_is_declared_twice_by_one_owner_with_other_fields_is_told_with_both_places() -> None:
    one, two = (
        event("Paid", "orders", schema=TEXT),
        event("Paid", "orders", schema={"type": "object"}, topic="shop.money", place=at(5)),
    )
    assert said("two-owners", one, two) == [
        "Paid is declared twice, by orders and by orders (services.py:1), with topic 'shop.money' and 'shop.orders' and other fields."
    ]
    assert said("two-owners", one, one) == []


def test_readers_that_contradict_each_other_are_told_even_without_an_owner() -> None:
    [finding] = found("two-owners", reader("Paid", "a", "x", key="id"), reader("Paid", "b", "x", key="number"))
    assert finding.what == "Paid is declared twice, by b and by a (services.py:1), with key 'number' and 'id'."
    assert finding.fix == "Say the same in both, as its owner does."


def test_a_command_that_its_owner_does_not_handle_is_found() -> None:
    nodes = (service("orders"), event("PlaceOrder", "orders", kind="command", place=at(4)))
    [finding] = found("command-handlers", *nodes)
    assert (finding.what, finding.place) == ("Command PlaceOrder has no handler.", at(4))
    assert finding.fix.startswith("Handle it in orders: @orders.command, on a function whose first parameter is a PlaceOrder.")


@pytest.mark.parametrize("nodes", [(), (service("orders", complete=False),)])
def test_a_command_of_others_needs_no_handler_here(nodes: tuple[object, ...]) -> None:
    assert said("command-handlers", *nodes, event("PlaceOrder", "orders", kind="command")) == []


# --- fields


@pytest.mark.parametrize("schemas", [(None, TEXT), (TEXT, None), ({}, TEXT), (TEXT, {"type": "object"})])
def test_what_is_not_described_is_not_missed(schemas: tuple[object, object]) -> None:
    theirs, ours = schemas
    assert said("missing-fields", event("Paid", "orders", schema=theirs), reader("Paid", "mail", "orders", schema=ours)) == []


def test_missing_and_rare_fields_are_told_apart() -> None:
    owner = event(
        "Paid", "orders", schema={"type": "object", "properties": {"a": {}, "b": {"default": 1}, "c": {}}, "required": ["c"]}
    )
    mine = reader("Paid", "mail", "orders", schema={"properties": {x: {} for x in "abcd"}, "required": list("abcd")}, place=at(8))
    assert [(finding.what, finding.place.line) for finding in found("missing-fields", owner, mine)] == [
        ("mail needs d of Paid, which orders does not send.", 8),
        ("mail needs a of Paid, which orders sends only sometimes.", 8),
    ]


# --- sensitive


@pytest.mark.parametrize(
    ("cleared", "fine"),
    [
        ("email", True),
        ("Paid.email", True),
        ("Paid.*", True),
        ("shop.Paid.email", True),
        ("shop.Paid.v1.email", True),
        ("*", True),
        ("phone", False),
        ("Placed.email", False),
        ("emai", False),
        ("Placed.*", False),
    ],
)
def test_a_clearance_covers_a_field_of_one_event_or_of_all(cleared: str, fine: bool) -> None:
    nodes = (event("Paid", "orders", sensitive=("email",)), service("mail", cleared=(cleared,)), reaction("mail.thank", "Paid"))
    assert (said("sensitive-flow", *nodes) == []) is fine


@pytest.mark.parametrize(
    ("cleared", "fine"), [("address", True), ("address.street", True), ("address.streets", False), ("items[].name", False)]
)
def test_a_clearance_covers_what_is_inside(cleared: str, fine: bool) -> None:
    nodes = (
        event("Paid", "orders", sensitive=("address.street",)),
        service("mail", cleared=(cleared,)),
        reaction("mail.thank", "Paid"),
    )
    assert (said("sensitive-flow", *nodes) == []) is fine


def test_the_owner_and_whoever_emits_know_the_values_anyway() -> None:
    nodes = (
        event("Paid", "orders", sensitive=("email",)),
        service("orders"),
        service("desk"),
        reaction("orders.look", "Paid"),
        reaction("desk.pay", "Other", emits=("Paid",)),
        reaction("desk.look", "Paid"),
    )
    assert said("sensitive-flow", *nodes) == []


def test_a_document_that_says_nothing_of_its_fields_proves_nothing() -> None:
    nodes = (event("Paid", "orders", sensitive=("email",)), service("mail"), reaction("mail.thank", "Paid"))
    assert said("sensitive-flow", *nodes, reader("Paid", "mail", "orders")) == []
    assert said("sensitive-flow", *nodes, reader("Paid", "mail", "orders", schema={"type": "object"})) == [
        "mail reads email of Paid (mail.thank) and is not cleared for it."
    ]


# --- order and time


def test_an_order_is_not_kept_where_there_is_no_key() -> None:
    nodes = (service("orders"), event("A", "orders"), event("B", "orders", key="id"), service("mail"))
    rely = reaction("mail.thank", "B", relies_on=("shop.A.v1",))
    assert said("order-across-topics", *nodes, rely) == [
        "mail.thank relies on A having come before B, but A has no key: order is kept under one key only."
    ]


def test_an_order_of_what_nobody_describes_is_left_alone() -> None:
    assert said("order-across-topics", service("mail"), reaction("mail.thank", "B", relies_on=("shop.A.v1",))) == []
    foreign = (service("orders", complete=False), event("A", "orders"), event("B", "orders"))
    assert said("order-across-topics", *foreign, reaction("mail.thank", "B", relies_on=("shop.A.v1",))) == []


def test_times_are_told_as_people_say_them() -> None:
    nodes = (service("mail", window=7 * 86_400.0), reaction("mail.thank", "Paid", horizon=10 * 86_400.0))
    [finding] = found("retry-beyond-window", *nodes)
    assert finding.what == "The retries of mail.thank may take 10 days, but the inbox of mail forgets an event after 7 days."
    assert said("retry-beyond-window", service("mail"), reaction("mail.a", "B", horizon=7 * 86_400.0)) == []


def test_a_workflow_with_a_misspelt_event_is_told_the_nearest() -> None:
    flow = Workflow("checkout", at(9), ("shop.OrderPlacd.v1",), ("shop.OrderPlaced.v1",))
    [finding] = found("unknown-workflow-event", *place(), flow)
    assert finding.what == "Workflow checkout starts with OrderPlacd, which no service declares."
    assert finding.fix == "Did you mean shop.OrderPlaced.v1? If its service is missing here, add it."


# --- hints


def test_a_retriable_step_before_the_pivot_is_found() -> None:
    nodes = (
        reaction("a.one", "Begun", emits=("Mid",), effects=Effects(step="retriable"), place=at(3)),
        reaction("b.two", "Mid", emits=("End",), effects=Effects(step="pivot")),
        Workflow("w", at(1), ("shop.Begun.v1",), ("shop.End.v1",)),
    )
    [finding] = found("pivot-order", *nodes)
    assert finding.what == "a.one is retriable and comes before b.two, which decides the saga."
    assert finding.fix == "Move it after the pivot, or make it compensatable."
    assert (finding.place, finding.workflow) == (at(3), "w")


def test_a_step_that_undoes_is_on_no_side_of_the_pivot() -> None:
    nodes = (
        reaction("b.two", "Begun", emits=("End", "Failed"), effects=Effects(step="pivot")),
        reaction("a.undo", "Failed", effects=Effects(step="compensatable"), compensates="shop.a.one"),
        Workflow("w", at(1), ("shop.Begun.v1",), ("shop.End.v1",)),
    )
    assert said("pivot-order", *nodes) == []


def test_a_lock_that_an_earlier_step_holds_is_enough() -> None:
    flows = [Workflow(name, at(1), (f"shop.{name}.v1",), ("shop.End.v1",)) for name in "AB"]
    holder = reaction("x.hold", "A", emits=("Held",), effects=Effects(locks=("credit",)))
    writers = [
        reaction("x.take", "Held", effects=Effects(writes=("credit",))),
        reaction("x.give", "B", effects=Effects(writes=("credit",), locks=("credit",))),
    ]
    assert said("unlocked-resource", *flows, holder, *writers) == []
    assert said("unlocked-resource", *flows, reaction("x.hold", "A", emits=("Held",)), *writers) == [
        'x.take writes "credit" without a lock; workflow B writes it, too.'
    ]


def test_a_state_is_final_where_the_workflow_ends() -> None:
    flow = Workflow("w", at(1), ("shop.Begun.v1",), ("shop.End.v1",))
    ends = reaction("a.end", "Begun", emits=("End",), moves=(Move("order", to="done"),))
    hears = reaction("a.hear", "End", moves=(Move("order", to="filed"),))
    undoes = reaction("a.undo", "Begun", moves=(Move("order", to="undone"),), compensates="shop.a.end")
    assert said("waiting-state", flow, ends, hears, undoes) == []
    assert said("waiting-state", flow, reaction("a.stop", "Begun", moves=(Move("order", to="stuck"),))) == [
        'a.stop puts order into "stuck", and no reaction moves it on.'
    ]


def test_a_deep_object_is_fat_by_its_fields() -> None:
    inner = {"type": "object", "properties": {f"f{n}": {"type": "string"} for n in range(16)}}
    fat = event("Paid", "orders", schema={"type": "object", "properties": {"customer": inner}})
    assert said("fat-event", service("orders"), fat) == ["Paid carries 16 fields in customer."]
    assert said("fat-event", service("orders", complete=False), fat) == []


def test_advice_has_the_numbers() -> None:
    steps = [reaction(f"s{n}.do", f"E{n}", emits=(f"E{n + 1}",)) for n in range(8)]
    flow = Workflow("long", at(1), ("shop.E0.v1",), ("shop.E8.v1",))
    assert said("advice", flow, *steps) == [
        "Workflow long has 8 steps in a row (up to 7 are easy) and 8 services (up to 6 are easy)."
    ]
    assert said("advice", flow, *steps[:7]) == []


# --- names


def test_names_are_short_where_nothing_else_is_called_so() -> None:
    two = (event("Paid", "orders"), event("Paid", "orders").__class__("bank.Paid.v1", "bank.orders", at(1)))
    nodes = (*two, service("orders"), service("mail"), reaction("orders.pay", "X", emits=("Paid",)))
    assert said("unconsumed", *nodes) == ["shop.Paid.v1, which orders.pay emits, is consumed by nobody."]
