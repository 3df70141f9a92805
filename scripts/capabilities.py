"""Write the table of what brokers claim into docs/brokers.md: asks the adapters that are within reach, keeps the rows of the others.

python scripts/capabilities.py            the embedded ones, and those that FARANDOLE_KAFKA, … name
"""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from farandole.brokers import open_broker
from farandole.brokers.base import Capabilities
from farandole.world import World

PAGE = Path(__file__).parents[1] / "docs" / "brokers.md"
BEGIN, END = "<!-- capabilities: begin -->", "<!-- capabilities: end -->"
HEAD = (
    "| broker | assigns partitions | replay | fenced ack | redelivery flag | shared | largest event | an acknowledged publish survives |\n"
    "|---|---|---|---|---|---|---|---|"
)
ROW = re.compile(r"^\| `(\w+)` .*$", re.MULTILINE)


def row(name: str, claims: Capabilities) -> str:
    """One broker, as a line of the table."""
    said = ("assigns_partitions", "replay", "fenced_ack", "redelivery_flag", "shared")
    cells = ["yes" if getattr(claims, claim) else "no" for claim in said]
    return f"| `{name}` | {' | '.join(cells)} | {claims.max_bytes:,} bytes | {claims.durability} |"


async def ask(url: str) -> Capabilities:
    """What an adapter claims, once it is open."""
    broker = open_broker(url, World())
    await broker.open()
    await broker.close()
    return broker.capabilities


def table(rows: dict[str, str]) -> str:
    """The block between the marks."""
    order = ("memory", "sqlite", "postgresql", "kafka", "nats", "amqp", "redis")
    return "\n".join([BEGIN, HEAD, *(rows[name] for name in order if name in rows), END])


def main(folder: Path) -> None:
    """Ask, and write."""
    page = PAGE.read_text()
    rows = {found[1]: found[0] for found in ROW.finditer(page)}
    urls = {"memory": "memory://", "sqlite": f"sqlite:///{folder}/broker.db"}
    for name, variable in (
        ("postgresql", "POSTGRES"), ("kafka", "KAFKA"), ("nats", "NATS"), ("amqp", "RABBITMQ"), ("redis", "REDIS"),
    ):  # fmt: skip
        if url := os.environ.get(f"FARANDOLE_{variable}"):
            urls[name] = url
    for name, url in urls.items():
        rows[name] = row(name, asyncio.run(ask(url)))
    before, _, rest = page.partition(BEGIN)
    PAGE.write_text(before + table(rows) + rest.partition(END)[2])


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        main(Path(folder))
