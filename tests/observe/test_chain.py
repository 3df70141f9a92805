"""Causal trees: each event stands in exactly one place, whatever foreign producers wrote."""

from __future__ import annotations

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from farandole.graph import Graph
from farandole.observe.chain import Chain, Chains, Node
from farandole.stores.record import Entry

NOON = 1_800_000_000.0


def event(id: str, cause: str | None = None, flow: str | None = "flow", seconds: float | None = 0) -> Entry:
    moment = None if seconds is None else NOON + seconds
    return Entry(id=id, source="/shop/x", type="shop.X.v1", time=moment, correlation_id=flow or id, causationid=cause or "")


def build_chains(entries: Iterable[Entry]) -> list[Chain]:
    """The chains of strangers: nothing is declared."""
    return Chains(Graph("nothing")).of(entries, now=NOON)


def shape(node: Node) -> str:
    mark = "" if node.kind == "event" else f":{node.kind}"
    inside = " ".join(shape(child) for child in node.children)
    return f"{node.id}{mark}({inside})" if inside else f"{node.id}{mark}"


def shapes(chain: Chain) -> list[str]:
    return [shape(root) for root in chain.roots]


def test_no_events_make_no_chain() -> None:
    assert build_chains([]) == []


def test_the_command_that_began_it_is_the_root() -> None:
    (chain,) = build_chains([event("b", "a", "cmd", 2), event("a", "cmd", "cmd", 1), event("c", "a", "cmd", 3)])
    assert (chain.correlation_id, shapes(chain), len(chain.events)) == ("cmd", ["cmd:command(a(b c))"], 3)


def test_an_event_without_a_cause_is_a_root_of_its_own() -> None:
    (chain,) = build_chains([event("flow"), event("b", "flow", seconds=1)])
    assert shapes(chain) == ["flow(b)"]


def test_effects_stand_in_the_order_of_time() -> None:
    (chain,) = build_chains(
        [event("a"), event("late", "a", seconds=9), event("soon", "a", seconds=1), event("never", "a", seconds=None)]
    )
    assert shapes(chain) == ["a(never soon late)"], "what has no time comes with its cause"


def test_the_delay_is_since_the_latest_cause() -> None:
    (chain,) = build_chains([event("a", seconds=0), event("b", "a", seconds=2), event("join", "a,b", seconds=5)])
    delays = {node.id: node.delay for node, _ in chain.walk() if node.kind == "event"}
    assert delays == {"a": None, "b": 2.0, "join": 3.0}


def test_a_delay_is_unknown_where_a_time_is() -> None:
    (chain,) = build_chains([event("a", seconds=None), event("b", "a", seconds=2), event("c", "b", seconds=None)])
    assert [node.delay for node, _ in chain.walk()] == [None, None, None]


def test_a_join_stands_in_full_once_and_is_mentioned_under_its_other_causes() -> None:
    (chain,) = build_chains(
        [event("o"), event("p", "o", seconds=1), event("i", "o", seconds=2), event("j", "p,i", seconds=3), event("k", "j")]
    )
    assert shapes(chain) == ["o(p(j:again) i(j(k)))"]


def test_a_cause_that_is_not_in_the_log_is_shown_as_missing() -> None:
    (chain,) = build_chains([event("a"), event("b", "gone", seconds=1)])
    assert shapes(chain) == ["gone:missing(b)", "a"]


def test_the_command_comes_before_what_is_missing() -> None:
    (chain,) = build_chains([event("b", "gone", "cmd"), event("a", "cmd", "cmd", 1)])
    assert shapes(chain) == ["cmd:command(a)", "gone:missing(b)"]


def test_a_repeat_in_the_log_is_a_copy() -> None:
    again = event("a")
    (chain,) = build_chains([event("a"), again, event("b", "a"), event("a")])
    assert (shapes(chain), chain.roots[0].copies, chain.roots[0].children[0].copies, len(chain.events)) == (["a(b)"], 3, 1, 2)


def test_instances_stand_apart_in_the_order_of_their_beginnings() -> None:
    chains = build_chains([event("b", flow="two", seconds=5), event("a", flow="one", seconds=1), event("c", "b", "two", 6)])
    assert [(chain.correlation_id, shapes(chain)) for chain in chains] == [("one", ["a"]), ("two", ["b(c)"])]


def test_a_cause_in_another_instance_is_mentioned_not_repeated() -> None:
    one, two = build_chains([event("a", flow="one"), event("b", "a", "two", 1)])
    assert (shapes(one), shapes(two)) == (["a"], ["a:again(b)"])
    assert two.roots[0].entry is not None


def test_an_event_without_correlation_belongs_to_the_instance_of_its_cause() -> None:
    (chain,) = build_chains([event("a", flow="one"), event("b", "a", None, 1), event("c", "b", None, 2)])
    assert (chain.correlation_id, shapes(chain)) == ("one", ["a(b(c))"])


def test_events_without_any_correlation_are_named_by_the_first() -> None:
    (chain,) = build_chains([event("b", "a", None, 1), event("c", "b", None, 2), event("a", None, None)])
    assert (chain.correlation_id, shapes(chain)) == ("a", ["a(b(c))"])


def test_siblings_of_a_missing_cause_without_correlation_stay_together() -> None:
    (chain,) = build_chains([event("b", "gone", None, 1), event("c", "gone", None, 2)])
    assert (chain.correlation_id, shapes(chain)) == ("gone", ["gone:command(b c)"])


def test_an_event_that_causes_itself_ends() -> None:
    (chain,) = build_chains([event("a", "a")])
    assert (shapes(chain), chain.roots[0].cyclic) == (["a(a:again)"], True)


def test_a_cycle_begins_with_its_earliest_event() -> None:
    (chain,) = build_chains([event("c", "b", seconds=3), event("a", "c", seconds=1), event("b", "a", seconds=2)])
    assert (shapes(chain), chain.roots[0].cyclic) == (["a(b(c(a:again)))"], True)


def test_a_cycle_without_correlation_is_one_instance_with_what_hangs_on_it() -> None:
    chains = build_chains(
        [event("t", "b", None, 9), event("a", "b", None, 1), event("b", "a", None, 2), event("s", "t", None, 10)]
    )
    assert [shapes(chain) for chain in chains] == [["a(b(a:again t(s)))"]]


def test_a_chain_of_ten_thousand_events_is_no_trouble() -> None:
    chain = [event("0", flow=None), *(event(str(n), str(n - 1), None, n) for n in range(1, 10_000))]
    (found,) = build_chains(reversed(chain))
    assert sum(1 for _ in found.walk()) == 10_000


IDS = [str(n) for n in range(8)]
FOREIGN = st.lists(
    st.builds(
        event,
        id=st.sampled_from(IDS),
        cause=st.lists(st.sampled_from([*IDS, "gone"]), max_size=3).map(lambda ids: ",".join(ids) or None),
        flow=st.sampled_from([None, "one", "two", "3"]),
        seconds=st.one_of(st.none(), st.integers(0, 9)),
    ),
    max_size=12,
)


@given(FOREIGN)
def test_whatever_comes_each_event_stands_in_full_exactly_once(entries: list[Entry]) -> None:
    chains = build_chains(entries)
    full = [node.id for chain in chains for node, _ in chain.walk() if node.kind == "event"]
    assert sorted(full) == sorted({entry.id for entry in entries})
    assert sum(len(chain.events) for chain in chains) == len(full)
    copies = sum(node.copies for chain in chains for node, _ in chain.walk() if node.kind == "event")
    assert copies == len(entries)


@given(FOREIGN)
def test_whatever_comes_each_cause_of_an_event_is_above_a_mention_of_it(entries: list[Entry]) -> None:
    first = {entry.id: entry for entry in reversed(entries)}
    arrows = {(above.id, node.id) for chain in build_chains(entries) for node, above in chain.walk() if above is not None}
    assert arrows == {(cause, entry.id) for entry in first.values() for cause in entry.causes}
