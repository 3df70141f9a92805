"""Shows that RabbitMQ, killed within a second, forgets the quorum queue that was made last, and what it had confirmed there.

    python -m scripts.rabbitmq_forgets [SECONDS [--spare]]

It starts a server of its own, makes three quorum queues with a plain client, publishes a message to each and waits for the confirms, and
kills the server so many seconds (0) after that. `--spare` makes one more queue before publishing, as `brokers/rabbitmq/setup.py` does.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
from pathlib import Path

import aiormq
from tests.brokers.rabbitmq_server import OwnServer

from farandole.world import World

__all__ = ["NAMES", "fill", "look"]

NAMES = ("first", "second", "third")
QUORUM = {"x-queue-type": "quorum"}


async def fill(url: str, *, spare: bool) -> None:
    """Make the queues, and publish a message to each."""
    async with aiormq.connect(url) as connection:
        channel = await connection.channel()
        for name in (*NAMES, "spare") if spare else NAMES:
            await channel.queue_declare(name, durable=True, arguments=QUORUM)
        for name in NAMES:
            properties = aiormq.spec.Basic.Properties(delivery_mode=2)
            await channel.basic_publish(b"precious", routing_key=name, properties=properties)  # comes back once it is confirmed
            print(f"{name}: a message is confirmed")


async def look(url: str, name: str) -> str:
    """What a queue has."""
    try:
        async with asyncio.timeout(20), aiormq.connect(url) as connection:
            message = await (await connection.channel()).basic_get(name, no_ack=True)
            return "nothing" if isinstance(message.delivery, aiormq.spec.Basic.GetEmpty) else message.body.decode()
    except TimeoutError:
        return "no answer within 20 s"


def main() -> None:
    """See above."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 0.0
    with tempfile.TemporaryDirectory() as folder:
        server = OwnServer(Path(folder))
        try:
            server.start()
            asyncio.run(fill(server.url, spare="--spare" in sys.argv))
            asyncio.run(World().sleep(seconds))
            server.kill()
            print(f"killed {seconds:g} s later, and started again")
            server.start()
            for name in NAMES:
                print(f"{name}: {asyncio.run(look(server.url, name))}")
            print(f"what they are: {server.ctl('eval', 'lists:sort(ets:tab2list(ra_state)).').strip()}")
            (home,) = Path(folder).glob("mnesia/*/quorum/*")
            print(f"folders of queues on its disk: {sum(path.is_dir() for path in home.iterdir())}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
