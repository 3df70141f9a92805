"""A broker that vanishes without a goodbye."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from farandole.brokers.base import Broker
from farandole.brokers.shared import LogBroker
from farandole.brokers.sqlite import SqliteBroker


@pytest.fixture
def vanish() -> Callable[[Broker], None]:
    """No more signs of life, and nothing given back: its leases must run out."""

    def stop(broker: Broker) -> None:
        assert isinstance(broker, SqliteBroker)
        if broker._beat is not None:
            broker._beat.cancel()
        for consumer in broker._consumers:
            consumer.closed = True

    return stop


def vanish_from_log(broker: Broker) -> None:
    """The same for brokers that share `LogConsumer`."""
    assert isinstance(broker, LogBroker)
    assert broker._beat is not None
    broker._beat.cancel()
    for consumer in broker._consumers:
        consumer.closed = True
