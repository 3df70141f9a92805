"""What a chain says of its events: what became of each, how long it took, what undoes what, what never happened."""

from __future__ import annotations

import re
from graphlib import CycleError, TopologicalSorter
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.counts import often
from tests.graph.kit import checkout, graph, reaction, workflow
from tests.observe.told import START, says
from tests.rehearse.story.test_mermaid import check

from farandole.graph import Graph
from farandole.observe.chain import Chain, Chains, Handled
from farandole.observe.chain.data import as_data
from farandole.observe.chain.handled import handled
from farandole.observe.chain.mermaid import mermaid
from farandole.observe.chain.svg import svg
from farandole.observe.chain.table import table
from farandole.observe.chain.text import tree
from farandole.stores.record import Entry, Fate

SHOP = graph(
    reaction("orders.place", "PlaceOrder", "OrderPlaced", kind="command"),
    reaction("payments.charge", "OrderPlaced", "Paid PaymentFailed"),
    reaction("stock.reserve", "OrderPlaced", "Reserved"),
    reaction("stock.release", "PaymentFailed", "Released", compensates="stock.reserve", undoes="shop.Reserved.v1"),
    reaction("shipping.ship", "Paid Reserved", "Shipped", kind="all"),
    reaction("mail.thank", "Shipped"),
    workflows=[workflow("checkout", "OrderPlaced", "Shipped", "PaymentFailed")],
)
PLACED = says("orders", "OrderPlaced", "c")


def fate(reaction: str, event: str = "OrderPlaced", state: str = "done", at: float = 0.0, **more: object) -> Fate:
    return Fate(id=event, correlation_id="c", reaction=reaction, state=state, at=START + at, **more)  # type: ignore[arg-type]


def chain(
    *told: Entry | Fate, rows: tuple[Fate, ...] = (), looked: tuple[str, ...] = (), at: float = 60.0, of: Graph = SHOP
) -> Chain:
    entries = [one for one in told if isinstance(one, Entry)]
    fates = [one for one in told if isinstance(one, Fate)]
    (found,) = Chains(of).of(entries, fates, rows, now=START + at, looked=looked)
    return found


def became(found: Chain, event: str = "OrderPlaced") -> dict[str, Handled]:
    (node,) = [node for node in found.events if node.id == event]
    return {one.reaction: one for one in node.handled}


def lines(text: str) -> list[str]:
    return [" ".join(line.lstrip("│├└─ ").split()) for line in text.splitlines()]


# --- what became of an event


def test_tries_are_counted_and_the_last_word_counts_with_the_reason_of_the_failure_before() -> None:
    runs = [
        fate("payments.charge", state="parked", at=1, attempt=1, seconds=0.5, reason="OSError: away", place="p.py:3"),
        fate("payments.charge", at=4, attempt=2, seconds=1.0, emitted=1),
    ]
    one = became(chain(PLACED, says("payments", "Paid", "OrderPlaced", at=4), *reversed(runs)))["payments.charge"]
    assert (one.state, one.attempts, one.reason, one.place) == ("done", 2, "OSError: away", "p.py:3")
    assert (one.waited, one.retried, one.seconds, one.unsaid) == (0.5, 2.5, 1.0, 0)


def test_what_the_inbox_holds_now_is_the_latest_word() -> None:
    told = fate("payments.charge", state="parked", at=1, reason="OSError: away", due=START + 5)
    row = Fate(
        id="OrderPlaced", correlation_id="c", reaction="payments.charge", state="dead", attempt=3, at=START + 9, reason="gone"
    )
    one = became(chain(PLACED, told, rows=(row,)))["payments.charge"]
    assert (one.state, one.attempts, one.reason, one.due) == ("dead", 3, "gone", None)


def test_an_inbox_that_knows_no_more_than_that_it_is_done_takes_nothing_away() -> None:
    told = fate("stock.reserve", at=1, seconds=0.25, emitted=1)
    row = Fate(id="OrderPlaced", correlation_id="c", reaction="stock.reserve", state="done", at=START + 1)
    one = became(chain(PLACED, told, rows=(row,)))["stock.reserve"]
    assert (one.seconds, one.emitted) == (0.25, 1)


def test_duplicates_are_counted_beside_what_became_of_it() -> None:
    again = [fate("stock.reserve", state="duplicate", at=at) for at in (2, 3)]
    one = became(chain(PLACED, fate("stock.reserve", at=1), *again))["stock.reserve"]
    assert (one.state, one.duplicates) == ("done", 2)
    assert became(chain(PLACED, *again))["stock.reserve"].state == "duplicate"


def test_a_reaction_of_which_nothing_was_ever_told_never_took_it() -> None:
    found = chain(PLACED, fate("stock.reserve", at=1))
    assert became(found)["payments.charge"].state == "never"
    assert "? payments.charge never taken, waits for 60.0 s" in lines(str(found))


def test_where_nobody_tells_and_no_inbox_is_within_reach_nothing_is_claimed() -> None:
    assert became(chain(PLACED)) == {}
    assert set(became(chain(PLACED, looked=("payments",)))) == {"payments.charge"}


def test_an_answer_says_that_it_was_taken() -> None:
    found = chain(PLACED, says("payments", "Paid", "OrderPlaced", at=1), looked=("payments", "stock"))
    assert {key: one.state for key, one in became(found).items()} == {"payments.charge": "answered", "stock.reserve": "never"}


def test_an_inbox_that_forgets_after_its_window_accuses_nobody() -> None:
    assert became(chain(PLACED, looked=("payments",), at=8 * 86_400.0)) == {}


def test_events_that_were_returned_and_never_recorded_are_missed() -> None:
    found = chain(PLACED, fate("payments.charge", at=1, emitted=2), says("payments", "Paid", "OrderPlaced", at=1))
    assert became(found)["payments.charge"].unsaid == 1
    assert "1 event that it returned not recorded yet" in str(found)


def test_an_event_that_could_not_be_published_is_shown_though_nobody_recorded_it() -> None:
    found = chain(PLACED, fate("(relay)", event="lost", state="dead", at=2, reason="too large"))
    assert "✗ (relay) dead after 1 try: too large" in lines(str(found))


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (fate("stock.reserve", state="skipped", reason="nothing to do"), "- stock.reserve skipped: nothing to do"),
        (fate("stock.reserve", state="parked"), "↻ stock.reserve parked behind another of its key"),
        (fate("stock.reserve", state="parked", due=START + 90, reason="x"), "↻ stock.reserve parked after 1 try, next try in 30.0 s: x"),
        (fate("stock.reserve", state="parked", due=START + 9), "↻ stock.reserve parked after 1 try, due now"),
        (fate("stock.reserve", state="exhausted", attempt=3, reason="x"), "! stock.reserve exhausted after 3 tries: x"),
        (fate("stock.reserve", state="dead", place="s.py:7", reason="x"), "✗ stock.reserve dead after 1 try: x s.py:7"),
        (fate("stock.reserve", state="claimed"), "▸ stock.reserve runs now, 1 try"),
        (fate("stock.strange", state="odd\x1b"), r"· stock.strange odd\x1b"),
    ],
)  # fmt: skip
def test_every_state_has_its_words(one: Fate, words: str) -> None:
    assert words in lines(str(chain(PLACED, one)))


# --- causes, undoing, clocks


def test_a_compensation_names_what_it_undoes_and_that_is_marked() -> None:
    failed = says("payments", "PaymentFailed", "OrderPlaced", at=2)
    found = chain(
        PLACED, says("stock", "Reserved", "OrderPlaced", at=1), failed, says("stock", "Released", "PaymentFailed", at=3)
    )
    by_id = {node.id: node for node in found.events}
    assert ([one.id for one in by_id["Released"].undoes], by_id["Reserved"].undone, by_id["OrderPlaced"].undone) == (
        ["Reserved"],
        True,
        False,
    )
    shown = lines(str(found))
    assert any(line.startswith("Released stock undoes Reserved +1.0 s") for line in shown)
    assert any(line.startswith("Reserved stock undone +1.0 s") for line in shown)
    assert "✓ stock.release answered, undoes Reserved" in shown


def test_a_clock_that_is_behind_is_found_and_no_delay_is_negative() -> None:
    paid = says("payments", "Paid", "OrderPlaced", at=-7560)
    shipped = says("shipping", "Shipped", "Paid", at=3)
    found = chain(PLACED, paid, shipped)
    assert "clock of payments is ≥ 2.1 h behind that of orders" in lines(str(found))
    assert [node.id for node in found.events] == ["OrderPlaced", "Paid", "Shipped"], "by cause, not by clock"
    assert [node.delay for node in found.events] == [None, None, 7563.0]


def test_a_delay_that_begins_with_a_clock_that_is_behind_is_a_bound() -> None:
    paid = says("payments", "Paid", "OrderPlaced", at=-7560)
    back = says("orders", "Confirmed", "Paid", at=3)
    (node,) = [node for node in chain(PLACED, paid, back).events if node.id == "Confirmed"]
    assert (node.delay, node.at_most) == (3.0, True)


def test_a_run_before_its_event_tells_of_a_clock_too() -> None:
    found = chain(PLACED, fate("stock.reserve", at=-120, seconds=1.0))
    assert [(skew.behind, skew.ahead, skew.seconds) for skew in found.skews] == [("stock", "orders", 120.0)]
    assert became(found)["stock.reserve"].waited is None


def test_machines_of_one_service_that_disagree_are_told_of() -> None:
    assert "clocks of orders differ by ≥ 5.0 s" in str(chain(PLACED, says("orders", "Again", "OrderPlaced", at=-5)))


def test_what_is_expected_stands_under_its_cause() -> None:
    found = chain(PLACED)
    assert sorted(one.reaction for one in found.events[0].expected) == ["shop.payments.charge", "shop.stock.reserve"]
    assert "○ expected: Reserved from stock.reserve, since 08:00:00 (60.0 s)" in lines(str(found))


def test_a_command_that_came_later_is_a_command_though_nobody_recorded_it() -> None:
    declared = graph(*SHOP.reactions, reaction("orders.cancel", "CancelOrder", "OrderCancelled", kind="command"))
    found = chain(PLACED, says("orders", "OrderCancelled", "another", at=5), of=declared)
    assert [(root.kind, root.name) for root in found.roots] == [("command", "PlaceOrder"), ("command", "CancelOrder")]


def test_strangers_are_called_by_their_full_type_and_source() -> None:
    (node,) = Chains(SHOP).of([Entry(id="x", type="else.Thing.v1", source="/else/where", correlation_id="x")], now=0.0)[0].events
    assert (node.name, node.service, node.delay) == ("else.Thing.v1", "/else/where", None)


# --- views


def shown() -> Chain:
    """An order whose payment failed."""
    return chain(
        PLACED,
        says("stock", "Reserved", "OrderPlaced", at=0.5),
        says("payments", "PaymentFailed", "OrderPlaced", at=2),
        says("stock", "Released", "PaymentFailed", at=2.25),
        fate("orders.place", "c", seconds=0.002),
        fate("payments.charge", state="parked", at=0.4, seconds=0.3, reason="OSError: the gateway is down", place="payments.py:34"),
        fate("payments.charge", at=2, attempt=2, seconds=0.3, emitted=1),
        fate("stock.reserve", at=0.5, seconds=0.1, emitted=1),
        fate("shipping.ship", "Reserved", at=0.6, seconds=0.0),
        fate("stock.release", "PaymentFailed", at=2.25, seconds=0.1, emitted=1),
    )  # fmt: skip


TREE_80 = """\
c  order_id=k, 4 events in 2.2 s, from 2027-01-15 08:00:00 UTC
PlaceOrder  orders  command
│  ✓ orders.place  took 2.0 ms
└─ OrderPlaced  orders                               08:00:00.000
   │  ✓ payments.charge  waited 100 ms, 2 tries over 1.6 s (the last failure:
   │      OSError: the gateway is down), took 300 ms
   │  ✓ stock.reserve  waited 400 ms, took 100 ms
   ├─ Reserved  stock  undone               +500 ms  08:00:00.500
   │     ✓ shipping.ship  waited 100 ms, took 0 ms
   └─ PaymentFailed  payments                +2.0 s  08:00:02.000
      │  ✓ stock.release  waited 150 ms, took 100 ms, undoes Reserved
      └─ Released  stock  undoes Reserved   +250 ms  08:00:02.250
checkout c compensated for 57.8 s: 4 events, the last Released from stock"""

TABLE_80 = """\
c  order_id=k, 4 events in 2.2 s, from 2027-01-15 08:00:00 UTC
time          delay    event          service   what became of it
                       PlaceOrder     orders    ✓ orders.place took 2.0 ms
08:00:00.000           OrderPlaced    orders    ✓ payments.charge waited 100 ms,
                                                  2 tries over 1.6 s (the last
                                                  failure: OSError: the gateway
                                                  is down), took 300 ms
                                                ✓ stock.reserve waited 400 ms,
                                                  took 100 ms
08:00:00.500  +500 ms  Reserved       stock     undone
                                                ✓ shipping.ship waited 100 ms,
                                                  took 0 ms
08:00:02.000   +2.0 s  PaymentFailed  payments  ✓ stock.release waited 150 ms,
                                                  took 100 ms, undoes Reserved
08:00:02.250  +250 ms  Released       stock     undoes Reserved
checkout c compensated for 57.8 s: 4 events, the last Released from stock"""


def test_the_tree_at_80_columns_looks_like_this() -> None:
    assert tree(shown(), width=80) == TREE_80


def test_the_table_at_80_columns_looks_like_this() -> None:
    assert table(shown(), width=80) == TABLE_80


def test_colours_change_nothing_but_the_colours() -> None:
    for view in (tree, table):
        coloured = view(shown(), width=80, colour=True)
        assert "\x1b[" in coloured
        assert re.sub(r"\x1b\[[\d;]*m", "", coloured).splitlines() == view(shown(), width=80).splitlines()


def test_ids_stand_at_the_right_where_they_are_asked_for() -> None:
    assert tree(shown(), width=120, ids=True).splitlines()[3].endswith("08:00:00.000  OrderPlaced")


def test_a_diagram_has_crosses_for_what_was_never_taken_and_dashes_for_what_undoes() -> None:
    text = mermaid(shown())
    check(text)
    assert "p0->>p1: PlaceOrder\n" in text
    assert "-->>" not in text, "nobody hears of it"
    assert "Note over p3: Released +250 ms" in text
    lost = chain(PLACED, fate("stock.reserve", at=1))
    assert "-xp2: OrderPlaced" in mermaid(lost)
    ET.fromstring(svg(lost))


def test_a_wide_fan_is_folded_and_a_long_chain_cut_each_with_a_count() -> None:
    fan = [says("stock", "Reserved", "OrderPlaced", at=n, id=f"r{n}") for n in range(100)]
    dead = fate("shipping.ship", "r50", state="dead", at=60)
    assert "… 88 more: 88 Reserved; 100 of them in trouble" not in str(chain(PLACED, *fan))
    assert any(line.startswith("… 88 more: 88 Reserved") for line in lines(str(chain(PLACED, *fan))))
    assert "in trouble" in str(chain(PLACED, *fan, dead))
    deep = [says("stock", "Reserved", f"r{n - 1}" if n else "OrderPlaced", at=n, id=f"r{n}") for n in range(1500)]
    found = chain(PLACED, *deep)
    assert found.status is None
    assert str(found).splitlines()[-1] == "… 1,302 events more: --all shows them"
    assert len(tree(found, whole=True).splitlines()) == 1504, "a line each, with two above and the command"
    assert "1,302 events more" in table(found)
    assert "1,302 events more" in mermaid(found)
    assert "1,302 events more" in svg(found)
    assert mermaid(found, whole=True).count("Reserved") == 1500


IDS = [str(n) for n in range(7)]
NAMES = ["OrderPlaced", "PaymentDone", "StockReserved", "OrderExpired", "StockReleased", "Strange\x1b[2J<b>;\ud800"]
SERVICES = ["orders", "payments", "stock", "a" * 90]
TIMES = st.one_of(st.none(), st.floats(-5e9, 5e9))
"""As envelopes may have them."""
MOMENTS = st.one_of(st.none(), st.floats(-1e6, 1e6), st.sampled_from([1e18, -1e18]))
EVENTS = st.builds(
    lambda of, name, service, causes, at, key, flow: Entry(
        id=of, type=f"shop.{name}.v1", source=f"/shop/{service}", correlation_id=flow or of, causationid=",".join(causes),
        time=None if at is None else START + at, field="order_id", key=key,
    ),
    st.sampled_from(IDS), st.sampled_from(NAMES), st.sampled_from(SERVICES), st.lists(st.sampled_from([*IDS, "gone"]), max_size=3),
    TIMES, st.sampled_from("kl"), st.sampled_from([None, "c", "d"]),
)  # fmt: skip
TOLD = st.builds(
    lambda of, flow, reaction, state, attempt, at, seconds, due: Fate(
        id=of, correlation_id=flow, reaction=reaction, state=state, attempt=attempt, at=at or 0.0, seconds=seconds, emitted=attempt,
        due=due, reason="why",
    ),
    st.sampled_from([*IDS, "other"]), st.sampled_from("cd"), st.sampled_from(["payments.charge", "stock.release", "(relay)", "x.(envelope)"]),
    st.sampled_from(["done", "skipped", "parked", "dead", "exhausted", "duplicate", "refused", "claimed", "?"]), st.integers(0, 4),
    MOMENTS, st.one_of(st.none(), st.floats(0, 1e6)), MOMENTS,
)  # fmt: skip
CHAINS = Chains(checkout())


def is_acyclic(causes: dict[str, set[str]]) -> bool:
    try:
        TopologicalSorter(causes).prepare()
    except CycleError:
        return False
    return True


@settings(max_examples=often(30, 200))
@given(st.lists(EVENTS, max_size=9), st.lists(TOLD, max_size=6), st.lists(TOLD, max_size=3))
def test_whatever_strangers_write_every_event_stands_once_after_its_causes_and_every_view_shows_it(
    entries: list[Entry], fates: list[Fate], rows: list[Fate]
) -> None:
    found = CHAINS.of(entries, fates, rows, now=START, looked=("stock",))
    assert sorted(node.id for one in found for node in one.events) == sorted({entry.id for entry in entries})
    for one in found:
        order = {node.id: place for place, node in enumerate(one.events)}
        walked = [node for node, _ in one.walk() if node.kind == "event"]
        assert sorted(node.id for node in walked) == sorted(order)
        if is_acyclic({node.id: set(node.causes) & order.keys() for node in walked}):
            assert all(order[cause] < order[node.id] for node in walked for cause in node.causes if cause in order)
        assert all(node.delay is None or node.delay >= 0 for node in walked)
        for view in (tree(one, width=80), tree(one, width=None, ids=True), table(one, width=80)):
            assert "\x1b" not in view
        check(mermaid(one).encode("utf-8", "replace").decode())
        ET.fromstring(svg(one).encode("utf-8", "replace").decode())
        assert [event["id"] for event in as_data(one)["events"] if event["kind"] == "event"] == [node.id for node in walked]


def test_fates_in_any_order_say_the_same() -> None:
    told = [fate("a.b", state=state, at=at, attempt=at) for at, state in enumerate(("parked", "duplicate", "parked", "done"), 1)]
    assert handled(told) == handled(reversed(told))
