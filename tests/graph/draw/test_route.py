"""Where boxes and arrows are: never an arrow across a box, never two upon each other."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from farandole.graph.draw.grid import depths, place
from farandole.graph.draw.picture import Arrow, Node, Picture
from farandole.graph.draw.route import Plan, plan

SIZE = (190.0, 40.0)  # so wide that no crowd has to share its tracks


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    many = draw(st.integers(1, 12))
    lanes = draw(st.integers(0, 4))
    nodes = tuple(Node(f"n{k}", "event", f"n{k}", f"g{draw(st.integers(1, lanes))}" if lanes else "") for k in range(many))
    ends = st.integers(0, many - 1).map("n{}".format)
    looks = st.sampled_from(["usual", "fails", "undoes", "stops"])
    arrows = draw(st.lists(st.builds(Arrow, ends, ends, looks), max_size=14, unique_by=lambda arrow: (arrow.tail, arrow.head)))
    return Picture("any", "reaction", nodes, tuple(arrows), {node.group: node.group for node in nodes if node.group})


def planned(picture: Picture) -> Plan:
    cells, lanes = place(picture)
    assert len(set(cells.values())) == len(picture.nodes), "two boxes in one place"
    return plan(cells, dict.fromkeys(cells, SIZE), picture.arrows, len(lanes))


@given(pictures())
def test_no_arrow_runs_across_a_box(picture: Picture) -> None:
    found = planned(picture)
    boxes = [(x - SIZE[0] / 2, y - SIZE[1] / 2, x + SIZE[0] / 2, y + SIZE[1] / 2) for x, y in found.at.values()]
    for way in found.ways:
        for (x1, y1), (x2, y2) in pairwise(way):
            assert x1 == x2 or y1 == y2
            for left, top, right, bottom in boxes:
                across = min(x1, x2) < right and max(x1, x2) > left and min(y1, y2) < bottom and max(y1, y2) > top
                assert not across, (way, (left, top, right, bottom))


@given(pictures())
def test_each_arrow_leaves_below_its_tail_and_arrives_above_its_head(picture: Picture) -> None:
    found = planned(picture)
    for arrow, way in zip(picture.arrows, found.ways, strict=True):
        (x1, y1), (x2, y2) = found.at[arrow.tail], found.at[arrow.head]
        assert abs(way[0][0] - x1) < SIZE[0] / 2 and way[0][1] == y1 + SIZE[1] / 2
        assert abs(way[-1][0] - x2) < SIZE[0] / 2 and way[-1][1] == y2 - SIZE[1] / 2
        assert way[-1][0] == way[-2][0] and way[-1][1] > way[-2][1], "it comes from above"


@given(pictures())
def test_arrows_of_different_kind_or_tail_never_lie_upon_each_other(picture: Picture) -> None:
    found = planned(picture)
    for (one, way), (other, its) in combinations(zip(picture.arrows, found.ways, strict=True), 2):
        if (one.tail, one.look) != (other.tail, other.look):
            for a, b in pairwise(way):
                for c, d in pairwise(its):
                    assert not _upon(a, b, c, d), (one, way, other, its)


def _upon(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float], d: tuple[float, float]) -> bool:
    """Whether two straight pieces share more than a point."""
    for axis in (0, 1):
        if a[axis] == b[axis] == c[axis] == d[axis]:
            other = 1 - axis
            return (
                min(max(a[other], b[other]), max(c[other], d[other])) - max(min(a[other], b[other]), min(c[other], d[other]))
                > 0.01
            )
    return False


@given(pictures())
def test_everything_is_inside_and_the_same_each_time(picture: Picture) -> None:
    found = planned(picture)
    points = [point for way in found.ways for point in way] + list(found.at.values())
    assert all(0 <= x <= found.width and 0 <= y <= found.height for x, y in points)
    assert planned(picture) == found


@given(pictures())
def test_without_circles_every_arrow_leads_down(picture: Picture) -> None:
    names = [node.id for node in picture.nodes]
    arrows = tuple(arrow for arrow in picture.arrows if names.index(arrow.tail) < names.index(arrow.head))
    cells, _ = place(replace(picture, arrows=arrows))
    assert [arrow for arrow in arrows if cells[arrow.tail][0] >= cells[arrow.head][0]] == []


def test_depth_is_the_longest_way_and_circles_end() -> None:
    assert depths("abcd", [("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")]) == {"a": 0, "b": 1, "c": 2, "d": 3}
    assert depths("ab", [("a", "b"), ("b", "a"), ("a", "a")]) == {"a": 0, "b": 1}


def test_a_chain_of_ten_thousand_needs_no_recursion() -> None:
    names = [f"n{k}" for k in range(10_000)]
    assert depths(names, list(pairwise(names)))["n9999"] == 9_999
