"""The suite's case of a broker that restarts, on a server of its own: the one that all tests share stays up."""

from __future__ import annotations

import pytest
from tests.cluster.servers_of_our_own import Servers
from tests.servers import server

from farandole.testing.conformance_broker import BrokerSuite

__all__ = ["RestartSuite"]


class RestartSuite(BrokerSuite):
    """The suite for a broker with a server that `scripts/servers` knows.

    Attributes
    ----------
    server:
        What it is called there.
    url:
        Where `make` connects.
    """

    server: str
    url: str
    scale = 0.1
    own: Servers

    async def restart(self) -> None:
        """kill -9."""
        await self.own.die_and_return(self.server)

    @pytest.mark.real_time
    async def test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order(self) -> None:
        server(self.server)
        async with Servers(self.server) as self.own:
            self.url = self.at(self.own.url(self.server))
            await super().test_a_broker_that_restarts_twice_loses_nothing_and_keeps_order()

    def at(self, url: str) -> str:
        """What `make` needs, where the server is there."""
        return url
