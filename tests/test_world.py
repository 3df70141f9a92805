"""The real world and its virtual twin: clocks, chance and ids."""

from __future__ import annotations

import asyncio
import socket
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from farandole import World
from farandole.testing import virtual
from farandole.world import uuid7


def test_the_real_clock_is_that_of_this_machine() -> None:
    before, now, after = time.time(), World().time(), time.time()
    assert before <= now <= after
    assert abs(World().now() - datetime.now(UTC)) < timedelta(seconds=5)
    assert World().monotonic() <= time.monotonic()


def test_real_chance_differs_each_time_and_has_the_size_asked_for() -> None:
    world = World()
    assert 0 <= world.random() < 1
    assert len({world.token() for _ in range(100)}) == 100
    assert len({world.new_id() for _ in range(100)}) == 100
    assert len(world.entropy(10)) == 10


@pytest.mark.real_time
async def test_the_real_world_really_waits() -> None:
    world = World()
    start = world.monotonic()
    await world.sleep(0.01)
    assert world.monotonic() - start >= 0.009


def test_a_point_is_passed_by() -> None:
    World().point("anywhere")


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_an_id_is_a_version_7_uuid_that_holds_its_time(milliseconds: int, entropy: bytes) -> None:
    made = UUID(uuid7(milliseconds, entropy))
    assert str(made) == uuid7(milliseconds, entropy)
    assert (made.version, made.variant) == (7, "specified in RFC 4122")
    assert made.int >> 80 == milliseconds


def test_ids_sort_by_time() -> None:
    assert uuid7(1, b"\xff" * 10) < uuid7(2, b"\x00" * 10)


async def test_a_virtual_hour_passes_at_once(world: virtual.VirtualWorld) -> None:
    real, start, wall = time.monotonic(), world.monotonic(), world.now()
    await world.sleep(3600)
    assert world.monotonic() - start == pytest.approx(3600)
    assert world.now() - wall == timedelta(hours=1)
    assert time.monotonic() - real < 5


async def test_virtual_timers_fire_in_order_whatever_the_order_they_were_set(world: virtual.VirtualWorld) -> None:
    seen: list[float] = []

    async def note(delay: float) -> None:
        await world.sleep(delay)
        seen.append(delay)

    await asyncio.gather(*(note(delay) for delay in (3, 1, 2)))
    assert seen == [1, 2, 3]


def test_one_seed_is_one_story_and_another_seed_another() -> None:
    async def story(seed: int) -> tuple[object, ...]:
        world = virtual.VirtualWorld(seed)
        return world.random(), world.token(), world.entropy(4), world.new_id(), world.time()

    assert virtual.run(story(1)) == virtual.run(story(1))
    assert virtual.run(story(1))[:4] != virtual.run(story(2))[:4]


@pytest.mark.parametrize("end", ["close", "abort"])
async def test_for_a_connection_that_is_closed_before_anybody_answered_the_clock_does_not_wait(end: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        _, writer = await asyncio.open_connection(*silent.getsockname())
        loop = asyncio.get_running_loop()
        assert isinstance(loop, virtual.VirtualLoop)
        writer.write(b"anybody there?")
        assert writer.transport in loop._jumping.asked
        getattr(writer.transport, end)()
        await asyncio.sleep(0)
        assert not loop._jumping.asked
