"""The same seed, the same run: across processes, hash seeds and what ran before; another seed, another run."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from tests.counts import often
from tests.rehearse.shop_program import INVOICES
from tests.runtime.kit import PaymentFailed, Place, Placed, opened, shop

from farandole.brokers import open_broker
from farandole.brokers.base import Subscription
from farandole.model.envelope import Message
from farandole.model.service import Service
from farandole.rehearse.loop import RehearsalLoop
from farandole.rehearse.trace import Entry, difference
from farandole.rehearse.wire import TracedBroker
from farandole.rehearse.world import RehearsalWorld

SEEDS = often(12, 30)
ROOT = Path(__file__).parents[2]


def in_a_process(module: str, *arguments: object, hash_seed: int) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}", "PYTHONHASHSEED": str(hash_seed)}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT)


def printed(process: subprocess.Popen[str]) -> list[list[str]]:
    """What it printed, a list of words per line."""
    out, trouble = process.communicate(timeout=100)
    assert process.returncode == 0, trouble
    return [line.split() for line in out.splitlines()]


@pytest.mark.slow
@pytest.mark.real_time
def test_the_shop_runs_the_same_in_every_process_and_differently_for_every_seed(
    record_property: Callable[[str, object], None],
) -> None:
    both = [in_a_process("tests.rehearse.shop_program", 0, SEEDS, hash_seed=hash_seed) for hash_seed in (1, 77)]
    first, second = (printed(process) for process in both)
    assert first == second
    assert [int(seed) for seed, *_ in first] == list(range(SEEDS))
    assert len({digest for _, _, digest, *_ in first}) == SEEDS, "two seeds had one schedule"
    assert {int(outcomes) for *_, outcomes, _ in first} == {len(INVOICES)}, "an invoice came to no outcome"
    assert len({wire for *_, wire in first}) > 3, "the schedule never changed what was published when"
    record_property("entries in the shortest and longest trace", sorted(int(count) for _, count, *_ in first)[:: SEEDS - 1])


@pytest.mark.real_time
def test_a_seed_runs_the_same_alone_and_after_others() -> None:
    both = [in_a_process("tests.rehearse.shop_program", first, 6 - first, hash_seed=3) for first in (0, 5)]
    whole, alone = (printed(process) for process in both)
    assert whole[5:] == alone


# --- what asyncio leaves to addresses

ADDRESSES = """
import asyncio, sys
from farandole.rehearse.loop import RehearsalLoop

padding = [bytearray(size) for size in range(int(sys.argv[1]))]  # moves the addresses of what comes after

async def main():
    ended = []

    async def child(number):
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(number)

    tasks = [asyncio.create_task(child(number)) for number in range(20)]
    await asyncio.sleep(1.0)
    for task in asyncio.all_tasks() - {asyncio.current_task()}:
        task.cancel()
    await asyncio.wait(tasks)

    futures = [asyncio.get_running_loop().create_future() for _ in range(20)]
    asyncio.get_running_loop().call_later(1.0, lambda: [future.set_result(None) for future in futures])
    done, _ = await asyncio.wait(futures)
    ended.append([futures.index(future) for future in done])

    async def failing():
        await asyncio.sleep(1.0)
        raise LookupError

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(child(number))
            group.create_task(failing())
    except* LookupError:
        pass
    return ended

for seed in range(5):
    loop = RehearsalLoop(seed)
    print(loop.play(main()), loop.trace.digest)
"""


@pytest.mark.real_time
def test_task_groups_wait_and_all_tasks_do_not_follow_addresses() -> None:
    outputs = []
    for padding in (0, 3000):
        command = [sys.executable, "-c", ADDRESSES, str(padding)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        outputs.append(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert outputs[0] == outputs[1]
    assert len(set(outputs[0].splitlines())) == 5


GARBAGE = """
import asyncio, gc, sys
from farandole.rehearse.loop import RehearsalLoop

gc.set_threshold(int(sys.argv[1]))

async def numbers():
    try:
        yield 1
    finally:
        await asyncio.sleep(0.001)

async def drop():
    circle = [numbers()]
    circle.append(circle)
    await anext(circle[0])

async def main():
    for _ in range(50):
        await drop()
        await asyncio.sleep(0.01)

loop = RehearsalLoop(1)
loop.play(main())
print(loop.trace.digest, gc.isenabled())
"""


@pytest.mark.real_time
def test_when_garbage_is_collected_changes_nothing() -> None:
    outputs = []
    for threshold in (1, 100_000):
        command = [sys.executable, "-c", GARBAGE, str(threshold)]
        environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
        outputs.append(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
    assert outputs[0] == outputs[1]
    assert outputs[0].endswith("True\n")


# --- what a user may do wrong is found by comparing


def traced(chance: Callable[[], float]) -> RehearsalLoop:
    loop = RehearsalLoop(1)

    async def program() -> None:
        for _ in range(3):
            await asyncio.sleep(chance())

    loop.play(program())
    return loop


def test_two_runs_of_a_program_that_asks_the_outside_differ_and_the_place_is_told() -> None:
    numbers = iter([1.0, 2.0, 3.0, 1.0, 2.5, 3.0])
    first, second = traced(lambda: next(numbers)), traced(lambda: next(numbers))
    assert first.trace.digest != second.trace.digest
    found = difference(first.trace.entries, second.trace.entries)
    assert found is not None
    assert (found.index, found.first, found.second) == (2, (3.0, "", "step main"), (3.5, "", "step main"))
    assert traced(lambda: 1.0).trace.digest == traced(lambda: 1.0).trace.digest


def published(number: Callable[[], str], seed: int) -> list[Entry]:
    """The trace of a service that puts a number of its own into its event."""
    loop = RehearsalLoop(seed)
    world = RehearsalWorld(loop, "node")
    payments = Service("payments")

    @payments.on(Placed)
    async def pay(order: Placed) -> PaymentFailed:
        return PaymentFailed(order_id=order.order_id, reason=number())

    async def program() -> None:
        broker = TracedBroker(open_broker("memory://", world), world)
        await broker.open()
        async with opened(shop(payments), world, broker=broker) as app:
            await app.send(Place(order_id="a-1"))
            await app.idle()
        await broker.close()

    loop.play(program())
    return loop.trace.entries


def test_a_number_from_outside_is_found_by_comparing_two_runs_as_soon_as_it_is_published() -> None:
    assert difference(published(lambda: "fixed", 3), published(lambda: "fixed", 3)) is None
    found = difference(published(lambda: str(uuid4()), 3), published(lambda: str(uuid4()), 3))
    assert found is not None
    assert found.first is not None
    assert found.first[2].startswith("publish shop.PaymentFailed.v1 ")


async def test_a_traced_broker_is_the_broker_itself_with_what_it_refuses_in_the_trace() -> None:
    loop = RehearsalLoop()
    world = RehearsalWorld(loop, "node")
    inner = open_broker("memory://", world)
    broker = TracedBroker(inner, world)
    too_large = Message("shop.orders", "k", "id-1", "shop.Placed.v1", b"x" * (inner.capabilities.max_bytes + 1))
    await broker.open()
    assert broker.capabilities == inner.capabilities
    [result] = await broker.publish([too_large])
    assert result.permanent
    assert await broker.lag(Subscription("g", ("shop.orders",))) == 0
    await broker.close()
    assert [what for _, _, what in loop.trace.entries if what.startswith("refused")] == [f"refused id-1: {result.error}"]
    loop.close()
