"""Members of RabbitMQ that close while partitions move."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest
from tests.brokers.rabbitmq_place import place, pytestmark  # noqa: F401

from farandole.brokers.rabbitmq.member import Member
from farandole.testing.broker_scene import ids


@pytest.mark.parametrize("steps", [0, 3, 10, 30])
async def test_a_member_that_closes_while_it_gives_partitions_up_keeps_nothing_from_others(steps: int) -> None:
    async with place() as (scene, broker):
        first = await broker.subscribe(scene.of())
        assert isinstance(first, Member)
        sent = scene.messages(120, keys=60)
        await scene.publish(broker, sent)
        assert len(await scene.read(first, 1, ack=False)) == 1  # the rest has arrived, and waits
        joining = asyncio.create_task((await scene.broker()).subscribe(scene.of()))
        while len(first._shares) == 12:  # noqa: ASYNC110 - at this very moment
            await asyncio.sleep(0)
        for _ in range(steps):
            await asyncio.sleep(0)
        await first.close()
        heir = await joining
        assert Counter(ids(await scene.read(heir, 120))) == Counter(ids(sent))
        await scene.nothing(heir)
