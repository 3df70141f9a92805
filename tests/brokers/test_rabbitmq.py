"""The broker on RabbitMQ, against a real server."""

from __future__ import annotations

import os

import pytest

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.testing.conformance_broker import BrokerSuite
from farandole.world import World

URL = os.environ.get("FARANDOLE_RABBITMQ", "")
pytestmark = [
    pytest.mark.real_time,
    pytest.mark.skipif(not URL, reason="set FARANDOLE_RABBITMQ to the URL of a RabbitMQ, such as amqp://guest:guest@127.0.0.1:5672/"),
]


class TestConformance(BrokerSuite):
    async def make(self, world: World) -> Broker:
        return open_broker(URL, world)
