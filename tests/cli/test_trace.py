"""`farandole trace`: the tree of a workflow instance, and what became of each event."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli.kit import CAFE, Project, publish

from farandole.cli.reading import entries_of
from farandole.model.envelope import Envelope
from farandole.model.wire import Wire
from farandole.observe.chain import chains_of, of_row
from farandole.observe.chain.text import tree
from farandole.observe.record import Reading
from farandole.stores.base import InboxRow


def foreign(id: str, **more: object) -> dict[str, object]:
    return {"id": id, "source": "/elsewhere", "type": "else.Thing.v1"} | more


def test_a_correlation_id_shows_the_whole_tree_with_services_and_delays(cafe: Project) -> None:
    first, _ = cafe.place("4711", "4712")
    code, out, err = cafe.run("trace", first)
    assert (code, err) == (0, "")
    lines = [" ".join(line.lstrip("│├└─ ").split()[:2]) for line in out.splitlines()]
    assert lines == [
        f"{first} order_id=4711,",
        "PlaceOrder orders",
        "✓ orders.place",
        "OrderPlaced orders",
        "✓ payments.charge",
        "✓ email.notify",
        "PaymentCompleted payments",
        "✓ orders.confirm",
        "OrderConfirmed orders",
        f"checkout {first}",
    ]
    assert out.splitlines()[-1].startswith(f"checkout {first} succeeded for ")
    assert " +" in next(line for line in out.splitlines() if "PaymentCompleted" in line)


def test_an_event_s_id_shows_the_tree_that_it_stands_in(cafe: Project) -> None:
    (flow, _) = cafe.place("4711", "4712")
    chain = cafe.json("trace", flow)["chains"][0]
    for event in chain["events"]:
        assert cafe.json("trace", event["id"])["chains"] == [chain]


def test_a_field_shows_every_instance_that_shares_it_apart(cafe: Project) -> None:
    first, second, _ = cafe.place("4711", "4711", "4712")
    chains = cafe.json("trace", "order_id=4711")["chains"]
    assert [chain["correlationid"] for chain in chains] == [first, second]
    assert [len(chain["events"]) for chain in chains] == [4, 4]


def test_json_is_flat_and_names_what_stands_above(cafe: Project) -> None:
    (flow,) = cafe.place("4711")
    command, placed, paid, confirmed = cafe.json("trace", flow)["chains"][0]["events"]
    assert (command["id"], command["kind"], command["above"]) == (flow, "command", None)
    assert (placed["type"], placed["above"], placed["causes"]) == ("shop.OrderPlaced.v1", flow, [flow])
    assert (paid["above"], confirmed["above"]) == (placed["id"], paid["id"])
    assert [(fate["service"], fate["reaction"], fate["state"]) for fate in paid["handled"]] == [
        ("orders", "orders.confirm", "done")
    ]
    assert paid["delay_seconds"] >= 0


def test_sensitive_fields_are_never_shown(cafe: Project) -> None:
    (flow,) = cafe.place("4711")
    assert cafe.json("trace", flow)["chains"][0]["events"][1]["data"] == {"order_id": "4711", "email": "***"}
    _, out, _ = cafe.run("trace", flow, "--data")
    assert "order_id = 4711" in out
    assert "email = ***" in out
    assert "home.example" not in out


def test_a_dead_letter_is_shown_with_reason_and_place(cafe: Project) -> None:
    cafe.place("bad1")
    _, out, _ = cafe.run("trace", "order_id=bad1")
    (line,) = [line for line in out.splitlines() if "✗ payments.charge" in line]
    assert "✗ payments.charge  dead after 1 try: RuntimeError: no luck with bad1" in line
    assert f"{cafe.name}.py:" in line


def test_a_waiting_event_is_shown_with_its_next_try(cafe: Project) -> None:
    cafe.place("poor1")
    _, out, _ = cafe.run("trace", "order_id=poor1")
    (line,) = [line for line in out.splitlines() if "email.notify" in line]
    assert "↻ email.notify  parked after 1 of 3 tries, next try in " in line
    assert "ValueError: cannot write to ***" in line


def test_an_event_that_was_never_taken_says_so(cafe: Project) -> None:
    cafe.place("4711")
    publish({"id": "new", "source": "/shop/orders", "type": "shop.OrderPlaced.v1", "data": {"order_id": "9", "email": "x"}})
    _, out, _ = cafe.run("trace", "new")
    assert "? payments.charge  never taken" in out
    assert "? email.notify  never taken" in out


def test_without_databases_only_the_log_is_told(cafe: Project) -> None:
    (flow,) = cafe.place("4711")
    code, out, _ = cafe.run("trace", flow, "--database", "sqlite:///elsewhere/{service}.db")
    assert code == 0
    assert "OrderConfirmed" in out
    assert "payments.charge  answered" in out
    assert "email.notify" not in out, "it answers nothing, and nobody told of it"
    assert not (cafe.folder / "elsewhere").exists()


def test_what_belongs_to_nothing_is_a_finding(cafe: Project) -> None:
    cafe.place("4711")
    for sought in ("nobody", "order_id=4", "colour=red", "no field=1"):
        code, out, err = cafe.run("trace", sought)
        assert (code, out) == (1, "")
        assert f"nothing in shop's log belongs to {sought!r}" in err


@pytest.mark.parametrize(
    ("field", "held"),
    [("number=7", 7), ("text=7", "7"), ("yes=true", True), ("name=Ö/\u2603", "Ö/\u2603"), ("a.b=1=2", None), ("other=1", None)],
)
def test_a_field_may_hold_text_numbers_and_booleans(cafe: Project, field: str, held: object) -> None:
    cafe.place("1")
    publish(foreign("f", data={field.partition("=")[0]: held}))
    assert (cafe.run("trace", field)[0] == 0) == (held is not None)


def test_the_data_of_an_unknown_type_is_not_shown(cafe: Project) -> None:
    cafe.place("1")
    publish(foreign("f", data={"secret": "hunter2"}))
    _, out, _ = cafe.run("trace", "f", "--data")
    assert "data of an unknown type, not shown" in out
    assert "hunter2" not in out
    assert cafe.json("trace", "f")["chains"][0]["events"][0]["data"] is None


def test_a_cycle_made_by_strangers_ends(cafe: Project) -> None:
    cafe.place("1")
    publish(foreign("a", causationid="b"), foreign("b", causationid="a"))
    _, out, _ = cafe.run("trace", "a")
    assert "causes itself" in out
    assert "a  stands" not in out
    assert "stands elsewhere" in out


def test_strangers_without_correlation_are_followed_through_their_causes(cafe: Project) -> None:
    cafe.place("1")
    publish(*(foreign(f"e{n}", causationid=f"e{n - 1}" if n else None) for n in range(5)))
    (chain,) = cafe.json("trace", "e2")["chains"]
    assert [event["id"] for event in chain["events"]] == ["e0", "e1", "e2", "e3", "e4"]


def test_a_deep_chain_of_strangers_is_no_trouble(cafe: Project) -> None:
    cafe.place("1")
    publish(*(foreign(f"e{n}", correlationid="deep", causationid=f"e{n - 1}") for n in range(2000)))
    (chain,) = cafe.json("trace", "deep")["chains"]
    assert len(chain["events"]) == 2001
    code, out, _ = cafe.run("trace", "deep")
    assert (code, len(out.splitlines())) == (0, 202)
    assert out.splitlines()[-1] == "… 1,801 events more: --all shows them"
    assert len(cafe.run("trace", "deep", "--all")[1].splitlines()) == 2002


def test_a_repeat_in_the_log_is_counted(cafe: Project) -> None:
    cafe.place("1")
    publish(foreign("a", correlationid="c"), foreign("a", correlationid="c"))
    assert "2 copies" in cafe.run("trace", "c")[1]


def test_what_waits_behind_another_says_so(cafe: Project) -> None:
    module = cafe.module()
    envelope = Envelope(specversion="1.0", id="1", source="/shop/orders", type="shop.OrderPlaced.v1", correlationid="1")
    row = InboxRow(reaction="email.notify", id="1", key="k", topic="shop.orders", body=b"")
    entries = entries_of([envelope], Reading(Wire(module.shop)))
    (chain,) = chains_of(module.shop).of(entries, rows=[of_row(row)], now=0.0, looked=["email"])
    assert "↻ email.notify  parked behind another of its key" in tree(chain)


def test_a_service_that_knows_no_events_has_no_log(project: Callable[..., Project]) -> None:
    cafe = project()
    cafe.place("1")
    (cafe.folder / "empty.py").write_text("from farandole import *\nshop = Choreography('empty', Service('alone'))\n")
    assert cafe.run("trace", "x", "empty:shop")[0] == 1


def test_a_missing_cause_is_shown_as_such(cafe: Project) -> None:
    cafe.place("1")
    publish(foreign("a", correlationid="c", causationid="gone"))
    assert "gone  not recorded" in cafe.run("trace", "c")[1]


def test_what_strangers_write_cannot_steer_the_terminal(cafe: Project) -> None:
    cafe.place("1")
    publish(foreign("a", type="else.\u001b[2J[red]", correlationid="c"))
    _, out, _ = cafe.run("trace", "c")
    assert "\x1b" not in out
    assert r"else.\x1b[2J[red]" in out


def test_ids_that_json_may_write_in_several_ways_are_found(cafe: Project) -> None:
    cafe.place("1")
    publish(b'{"specversion":"1.0","id":"x\\/1","source":"/e","type":"t"}')
    assert cafe.json("trace", "x/1")["chains"][0]["events"][0]["id"] == "x/1"


def test_bytes_that_are_no_event_are_passed_over(cafe: Project) -> None:
    (flow,) = cafe.place("1")
    publish(b"not json " + flow.encode(), b"")
    assert len(cafe.json("trace", flow)["chains"]) == 1


def test_a_record_is_read_instead_of_the_log(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARANDOLE_RECORD", "sqlite:///record.db")
    first, second, _ = cafe.place("4711", "4711", "4712")
    from_record = cafe.json("trace", first)["chains"]
    event = from_record[0]["events"][2]["id"]
    assert [event["kind"] for event in from_record[0]["events"]] == ["command", "event", "event", "event"]
    monkeypatch.setenv("FARANDOLE_RECORD", "none")
    from_log = cafe.json("trace", first)["chains"]
    assert from_log[0]["events"] == from_record[0]["events"]
    (cafe.folder / ".farandole" / "broker.db").rename(cafe.folder / "away.db")
    assert cafe.run("trace", first)[0] == 2
    monkeypatch.setenv("FARANDOLE_RECORD", "sqlite:///record.db")
    assert cafe.json("trace", event)["chains"][0]["events"] == from_record[0]["events"]
    assert [chain["correlationid"] for chain in cafe.json("trace", "order_id=4711")["chains"]] == [first, second]
    assert cafe.run("trace", "email=me@home.example")[0] == 2, "sensitive fields are in the log only"
    assert cafe.run("trace", "nobody")[0] == 2, "what the record does not know is looked for in the log"


def test_the_status_of_the_workflow_stands_below_the_tree(cafe: Project) -> None:
    (flow,) = cafe.place("bad1")
    _, out, _ = cafe.run("trace", flow)
    status, expected = out.splitlines()[-2:]
    assert status.startswith(f"checkout {flow} running for ")
    assert expected.startswith("  expected: PaymentCompleted from payments.charge, since ")
    told = cafe.json("trace", flow)["chains"][0]["status"]
    assert (told["workflow"], told["state"], told["expected"][0]["types"]) == (
        "checkout",
        "running",
        ["shop.PaymentCompleted.v1"],
    )


def test_two_commands_that_may_have_begun_it_are_both_named(project: Callable[..., Project]) -> None:
    second = (
        "class Reorder(PlaceOrder): ...\n\n@orders.command\nasync def reorder(command: Reorder) -> OrderPlaced: ...\n\n@orders.on"
    )
    mine = project(CAFE.replace("@orders.on", second, 1))
    (flow,) = mine.place("1")
    assert "PlaceOrder or Reorder" in mine.run("trace", flow, "--database", "sqlite:///elsewhere/{service}.db")[1]
    assert " or Reorder" not in mine.run("trace", flow)[1], "the database knows which"
