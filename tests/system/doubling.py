"""The command line with one more broker: `doubled:///path` is the file `sqlite:///path`, and publishes every event twice."""

from __future__ import annotations

import sys

from examples.shop.duplicates import Duplicating
from farandole import World, brokers
from farandole.brokers.base import Broker
from farandole.cli import main

brokers._ADAPTERS["doubled"] = "tests.system.doubling"


def connect(url: str, world: World) -> Broker:
    """See `open_broker`."""
    return Duplicating(brokers.open_broker(f"sqlite{url.removeprefix('doubled')}", world), 1.0, seed=0)


if __name__ == "__main__":
    sys.exit(main())
