"""The world of a node: its own chance, the loop's time, a clock that may be wrong, and what it does in the trace."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from farandole.rehearse.cuts import EndlessLoop
from farandole.rehearse.loop import NODE, RehearsalLoop
from farandole.rehearse.trace import Trace, difference, without_addresses
from farandole.rehearse.world import START, RehearsalWorld
from farandole.testing.crash import Died


def draws(world: RehearsalWorld) -> list[object]:
    return [world.random(), world.token(), world.entropy(4), world.new_id()]


def test_the_same_seed_and_node_draw_the_same_and_others_do_not() -> None:
    def of(seed: int, node: str) -> list[object]:
        loop = RehearsalLoop(seed)
        found = draws(RehearsalWorld(loop, node))
        loop.close()
        return found

    assert of(1, "a") == of(1, "a")
    drawn = [*of(1, "a"), *of(1, "b"), *of(2, "a")]
    assert len(set(drawn)) == len(drawn)


def test_what_one_node_draws_changes_nothing_of_anothers_nor_of_the_schedule() -> None:
    def run(times: int) -> tuple[list[object], list[str]]:
        loop = RehearsalLoop(5)
        one, other = RehearsalWorld(loop, "one"), RehearsalWorld(loop, "other")
        order: list[str] = []

        async def step(name: str) -> None:
            for _ in range(4):
                order.append(name)
                await asyncio.sleep(0)

        async def program() -> list[object]:
            for _ in range(times):
                one.random()
            async with asyncio.TaskGroup() as group:
                for name in "abc":
                    group.create_task(step(name))
            return draws(other)

        return loop.play(program()), order

    assert run(0) == run(7)


def test_nodes_share_the_time_of_the_loop_and_each_clock_is_wrong_in_its_own_way() -> None:
    loop = RehearsalLoop()
    right, ahead = RehearsalWorld(loop, "right"), RehearsalWorld(loop, "ahead", skew=90.0)

    async def program() -> None:
        await right.sleep(12.5)
        assert (right.time(), ahead.time()) == (START + 12.5, START + 102.5)
        assert right.monotonic() == ahead.monotonic() == 12.5
        assert (ahead.now() - right.now()).total_seconds() == 90.0

    loop.play(program())


def test_points_and_steps_stand_in_the_trace_with_time_and_node() -> None:
    loop = RehearsalLoop()
    world = RehearsalWorld(loop, "payments")

    async def deeper() -> None:
        assert NODE.get() is world
        world.point("store.commit:before")

    async def handler() -> None:
        await asyncio.create_task(deeper(), name="deeper")
        await world.sleep(2.0)
        world.point("store.commit:after")

    async def program() -> None:
        await world.start(handler(), name="handler")

    loop.play(program())
    assert loop.trace.entries == [
        (0.0, "", "step main"),
        (0.0, "payments", "step handler"),
        (0.0, "payments", "step deeper"),
        (0.0, "payments", "store.commit:before"),
        (0.0, "payments", "step handler"),
        (2.0, "payments", "step handler"),
        (2.0, "payments", "store.commit:after"),
        (2.0, "", "step main"),
    ]
    assert "    2.000000 s  payments  store.commit:after\n" in loop.trace.text()


def test_crash_points_without_end_are_cut() -> None:
    loop = RehearsalLoop(patience=100)
    world = RehearsalWorld(loop, "payments")

    async def program() -> None:
        while True:
            world.point("store.find:before")

    with pytest.raises(EndlessLoop, match=r"lately store\.find:before for .*test_world\.py:\d+"):
        loop.play(program())


# --- traces


def traced(*what: str, **options: Any) -> Trace:
    trace = Trace(**options)
    for number, entry in enumerate(what):
        trace.write(float(number), "node", entry)
    return trace


def test_the_digest_tells_every_part_of_every_entry_and_needs_no_entries() -> None:
    digests = {traced("a", "b").digest, traced("a", "c").digest, traced("b", "a").digest, traced("a").digest}
    shifted, elsewhere = Trace(), Trace()
    shifted.write(0.5, "node", "a")
    elsewhere.write(0.0, "other", "a")
    assert len({*digests, shifted.digest, elsewhere.digest}) == 6


def test_addresses_are_no_part_of_a_trace() -> None:
    first, second = object(), object()
    assert repr(first) != repr(second)
    assert traced(repr(first)).digest == traced(repr(second)).digest
    assert without_addresses("<a at 0x7f00aa11bb22> 0xff") == "<a at 0x…> 0xff"


def test_a_sealed_trace_takes_nothing_more() -> None:
    trace = traced("a")
    before = trace.digest
    trace.seal()
    trace.write(9.0, "node", "late")
    assert (trace.digest, trace.count) == (before, 1)


def test_the_first_difference_is_told_with_what_came_before() -> None:
    found = difference(traced("a", "b", "c", "d", "e").entries, traced("a", "b", "c", "d", "f", "g").entries)
    assert str(found) == (
        "Both runs agree on 4 entries, and then differ:\n"
        "  both:       1.000000 s  node  b\n"
        "  both:       2.000000 s  node  c\n"
        "  both:       3.000000 s  node  d\n"
        "  first:      4.000000 s  node  e\n"
        "  second:     4.000000 s  node  f"
    )


def test_a_run_that_ends_sooner_differs_where_it_ended_and_the_same_runs_do_not_differ() -> None:
    assert difference(traced("a").entries, traced("a").entries) is None
    assert difference([], []) is None
    assert str(difference(traced("a").entries, traced("a", "b").entries)).splitlines()[-2:] == [
        "  first:  (it had ended)",
        "  second:     1.000000 s  node  b",
    ]
    assert difference(traced("a", "b").entries, traced("a").entries) is not None


def test_a_killed_node_does_nothing_more_and_its_remains_unwind_when_the_run_is_over() -> None:
    loop, did = RehearsalLoop(), list[str]()
    world = RehearsalWorld(loop, "payments")

    async def child() -> None:
        try:
            await world.sleep(5.0)
            did.append("child went on")
        finally:
            did.append("child unwound")

    async def life() -> None:
        world.start(child())
        await world.sleep(1.0)
        world.kill()
        with pytest.raises(Died):
            world.point("store.commit:before")
        await world.sleep(1.0)
        did.append("went on")

    async def program() -> None:
        world.start(life())
        await asyncio.sleep(20.0)
        did.append("over")

    loop.play(program())
    assert did == ["over", "child unwound"]
    assert loop.unhandled == []


def test_a_frozen_node_goes_on_where_it_stood_when_its_time_is_over() -> None:
    loop, did = RehearsalLoop(), list[tuple[float, str]]()
    world, other = RehearsalWorld(loop, "frozen"), RehearsalWorld(loop, "other")

    async def tick(who: RehearsalWorld) -> None:
        for _ in range(3):
            await who.sleep(1.0)
            did.append((loop.time(), who.node))

    async def program() -> None:
        tasks = [world.start(tick(world)), other.start(tick(other))]
        await asyncio.sleep(0.5)
        world.freeze(10.0)
        await asyncio.gather(*tasks)

    loop.play(program())
    assert did == [(1.0, "other"), (2.0, "other"), (3.0, "other"), (10.5, "frozen"), (11.5, "frozen"), (12.5, "frozen")]
