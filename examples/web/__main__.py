"""Runs the shop with a page in front: `python -m examples.web`, then http://127.0.0.1:8000."""

from __future__ import annotations

import argparse
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import uvicorn

from examples.shop.gateway import Gateway, Weather
from farandole import World
from farandole.config import load

from .api import create


def main() -> None:
    flags = argparse.ArgumentParser(prog="python -m examples.web", description=__doc__)
    flags.add_argument("--host", default="127.0.0.1")
    flags.add_argument("--port", type=int, default=8000)
    flags.add_argument("--declines", type=float, default=0.25, help="the share of cards that are declined")
    flags.add_argument("--delay", type=float, default=0.7, help="seconds that the payment provider takes")
    given = flags.parse_args()

    async def gateway() -> AsyncIterator[Gateway]:
        ledger = Path(".farandole/gateway.db")
        ledger.parent.mkdir(exist_ok=True)
        opened = Gateway(ledger, Weather(declines=given.declines), World(), latency=given.delay)
        yield opened
        opened.close()

    record = load().record or "sqlite:///.farandole/record.db"  # so that orders are known after a restart
    api = create(record=record, provide={Gateway: gateway})
    config = uvicorn.Config(api, host=given.host, port=given.port, timeout_graceful_shutdown=3, log_level="warning")
    with suppress(KeyboardInterrupt):  # it has shut down by then
        Telling(config).run()


class Telling(uvicorn.Server):
    """Says when it is ready."""

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        print(f"the shop is open: http://{self.config.host}:{self.config.port}", flush=True)


if __name__ == "__main__":
    main()
