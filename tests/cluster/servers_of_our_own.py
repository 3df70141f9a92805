"""A second set of servers, beside those that all tests share: for tests that kill them."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parents[2]
PORTS = 3000


class Servers:
    """`scripts/servers`, for some servers at ports of their own.

    Parameters
    ----------
    names:
        Which.
    """

    def __init__(self, *names: str) -> None:
        self.names = tuple(dict.fromkeys(names))
        self._environment = {
            **os.environ, "FARANDOLE_SERVERS": str(ROOT / ".servers" / "of-tests"), "FARANDOLE_PORTS": str(PORTS),
        }  # fmt: skip

    async def __aenter__(self) -> Self:
        await self.do("forget")  # topics have the names that the shop gives them: what another run left would come again
        await self.do("up", *self.names)
        lines = (await self.do("env")).splitlines()
        self._urls = dict(line.removeprefix("export FARANDOLE_").split("=", 1) for line in lines)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.do("down", *self.names)

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
