"""What a process of this machine had claimed when it was killed is free at once; what a living one has is not."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from farandole.stores.sqlite import outbox
from farandole.world import World

CLAIMER = """
import asyncio, sys
from farandole.stores import open_store
from farandole.stores.base import InboxRow
from farandole.world import World

async def main():
    store = open_store(sys.argv[1], World())
    await store.open()
    await store.ingest([InboxRow(reaction="r", id="1", key="k", topic="t", body=b"{}")], lambda reaction: 9)
    assert len(await store.take(["r"], 9, 3600.0)) == 1
    print(len(await store.lease_buckets("mine", 3600.0)), flush=True)
    sys.stdin.read()

asyncio.run(main())
"""


def claimer(path: Path) -> subprocess.Popen[str]:
    """A process that holds a row and all buckets, for an hour."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIMER, f"sqlite:///{path}"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == f"{outbox.BUCKETS}\n"
    return process


@pytest.mark.real_time
async def test_what_a_killed_process_had_claimed_is_free_at_once(opened, path: Path) -> None:
    with claimer(path) as process:
        try:
            async with opened(world=World()) as store:
                assert await store.take(["r"], 9, 60.0) == []
                assert await store.lease_buckets("heir", 60.0) == []
        finally:
            process.send_signal(signal.SIGKILL)
    async with opened(world=World()) as store:
        [row] = await store.take(["r"], 9, 60.0)
        assert (row.id, row.attempts, row.crashed) == ("1", 2, True)
        assert len(await store.lease_buckets("heir", 60.0)) == outbox.BUCKETS


@pytest.mark.real_time
async def test_a_store_that_was_open_before_follows_a_killed_process_with_its_next_lease(opened, path: Path) -> None:
    async with opened(world=World()) as store:
        with claimer(path) as process:
            process.send_signal(signal.SIGKILL)
        assert await store.take(["r"], 9, 60.0) == []
        assert len(await store.lease_buckets("heir", 60.0)) == outbox.BUCKETS
        assert [row.id for row in await store.take(["r"], 9, 60.0)] == ["1"]
