"""`farandole broker setup`."""

from __future__ import annotations

import asyncio

from farandole.brokers import open_broker
from farandole.brokers.base import Subscription
from farandole.cli import main
from farandole.model.envelope import Message
from farandole.world import World

APP = "examples.shop:shop"


def test_what_is_published_after_it_waits_for_the_groups(tmp_path, capsys):
    url = f"sqlite:///{tmp_path}/broker.db"
    assert main(["broker", "setup", APP, "--service", "email", "--broker", url]) == 0
    assert main(["broker", "setup", APP, "--service", "email", "--broker", url]) == 0
    said = capsys.readouterr().out
    assert "shop.email: shop.payments" in said
    assert f"ready on {url}" in said.replace("\n", "")

    async def lag() -> int:
        broker = open_broker(url, World())
        await broker.open()
        await broker.publish([Message("shop.payments", "k", "1", "T", b"")])
        count = await broker.lag(Subscription("shop.email", ("shop.payments",), start="end"))
        await broker.close()
        return count

    assert asyncio.run(lag()) == 1
