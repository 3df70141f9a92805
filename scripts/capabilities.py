"""Writes the table of docs/brokers.md: opens each broker that can be reached here, and asks it what it claims.

    python -m scripts.capabilities        rewrites the block between the two marks

The brokers in memory and in a file are always asked; the others where the environment says where their servers are (`FARANDOLE_POSTGRES`,
`FARANDOLE_KAFKA`, `FARANDOLE_NATS`, `FARANDOLE_RABBITMQ`, `FARANDOLE_REDIS`). What is not asked keeps its row. The suite for brokers
holds each to its row: see "A broker of your own" on that page.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from farandole.brokers import open_broker
from farandole.brokers.base import Capabilities
from farandole.errors import UnknownScheme
from farandole.world import World

__all__ = ["HEAD", "PAGE", "asked", "embedded", "rewritten", "rows_of"]

PAGE = Path(__file__).parents[1] / "docs" / "brokers.md"
BEGIN, END = "<!-- capabilities -->", "<!-- /capabilities -->"
HEAD = (
    "| broker | assigns partitions | replay | fenced ack | redelivery flag | shared | largest message | an acknowledged publish survives |\n"
    "|---|---|---|---|---|---|---|---|\n"
)
SERVERS = ("postgres", "kafka", "nats", "rabbitmq", "redis")


def embedded(folder: Path) -> dict[str, str]:
    """The brokers that need no server: what the table calls them, and a URL."""
    return {
        "`memory://`": "memory://",
        "`sqlite:///…`": f"sqlite:///{folder}/full.db",
        "`sqlite:///…?synchronous=normal`": f"sqlite:///{folder}/normal.db?synchronous=normal",
    }


def servers() -> dict[str, str]:
    """The brokers whose servers the environment names."""
    urls = (os.environ.get(f"FARANDOLE_{name.upper()}", "") for name in SERVERS)
    return {f"`{urlsplit(url).scheme}://…`": url for url in urls if url}


async def asked(places: dict[str, str]) -> dict[str, str]:
    """The rows of these brokers, opened one after the other."""
    found = {}
    for name, url in places.items():
        try:
            broker = open_broker(url, World())
        except UnknownScheme:  # its adapter is not there
            continue
        await broker.open()
        try:
            found[name] = row(name, broker.capabilities)
        finally:
            await broker.close()
    return found


def row(name: str, claims: Capabilities) -> str:
    """A line of the table."""
    flags = (claims.assigns_partitions, claims.replay, claims.fenced_ack, claims.redelivery_flag, claims.shared)
    cells = [name, *("yes" if flag else "no" for flag in flags), size(claims.max_bytes), claims.durability.replace("|", "\\|")]
    return f"| {' | '.join(cells)} |"


def size(count: int) -> str:
    """Bytes, for people."""
    for unit, name in ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"), (1_000_000, "MB")):
        if count >= unit and count % unit == 0:
            return f"{count // unit} {name}"
    return f"{count:,} bytes"


def rows_of(page: str) -> dict[str, str]:
    """The rows that a page has, by the names of their brokers."""
    lines = page.partition(BEGIN)[2].partition(END)[0].splitlines()
    return {line.split("|")[1].strip(): line for line in lines if line.startswith("| `")}


def rewritten(page: str, fresh: dict[str, str]) -> str:
    """The page with these rows; others stay."""
    before, _, rest = page.partition(BEGIN)
    after = rest.partition(END)[2]
    rows = {**rows_of(page), **fresh}
    return "".join((before, BEGIN, "\n\n", HEAD, *(f"{line}\n" for line in rows.values()), "\n", END, after))


async def main() -> int:
    """Rewrite the table."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = await asked({**embedded(Path(folder)), **servers()})
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8"), fresh), encoding="utf-8")
    print(f"asked {', '.join(fresh)}")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
