"""Servers beside those that all tests share: for tests that kill them."""

from __future__ import annotations

import asyncio
import os
import random
import shutil
import socket
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PORTS = (25432, 26379, 25672, 25675, 24369, 24222, 29092, 29093)
"""Those that scripts/servers has where nobody moves them."""


class Servers:
    """`scripts/servers`, for some servers at ports and in a folder of their own.

    Parameters
    ----------
    names:
        Which.
    """

    def __init__(self, *names: str) -> None:
        self.names = tuple(dict.fromkeys(names))
        move = _room()
        self._folder = Path(os.environ.get("FARANDOLE_SERVERS") or ROOT / ".servers") / f"of-tests{move}"
        self._environment = {**os.environ, "FARANDOLE_SERVERS": str(self._folder), "FARANDOLE_PORTS": str(move)}

    async def __aenter__(self) -> Self:
        await self.do("up", *self.names)
        lines = (await self.do("env")).splitlines()
        self._urls = dict(line.removeprefix("export FARANDOLE_").split("=", 1) for line in lines)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.do("down", *self.names)
        shutil.rmtree(self._folder, ignore_errors=True)

    def url(self, name: str) -> str:
        """Where it is."""
        return self._urls[name.upper()]

    async def do(self, verb: str, *names: str) -> str:
        """Run the script; gives what it printed."""
        process = await asyncio.create_subprocess_exec(
            str(ROOT / "scripts" / "servers"), verb, *names,
            env=self._environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        out, trouble = await process.communicate()
        assert process.returncode == 0, trouble.decode()
        return out.decode()

    async def die_and_return(self, name: str) -> None:
        """kill -9, then start it again."""
        await self.do("kill", name)
        await self.do("up", name)


def _room() -> int:
    """By how much to move all ports, so that nobody has one of them; below those that the system gives to clients."""
    while True:
        move = -1000 * random.randint(1, 12) - random.randint(1, 400)
        if all(_is_free(port + move) for port in PORTS):
            return move


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
