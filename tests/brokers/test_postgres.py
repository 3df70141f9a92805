"""PostgreSQL as a broker, on a real server."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from tests.brokers.conftest import vanish_from_log
from tests.brokers.restarts import RestartSuite

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.brokers.postgres import PostgresBroker
from farandole.model.envelope import Message
from farandole.world import World

REFUSE = """
CREATE SEQUENCE refusals;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id = ANY (TG_ARGV) AND nextval('refusals') = 1 THEN RAISE 'not now'; END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON farandole_log FOR EACH ROW EXECUTE FUNCTION refuse({})
"""


@pytest.mark.servers
class TestConformance(RestartSuite):
    server = "postgres"
    connections = 8

    @pytest.fixture(autouse=True)
    def _place(self, schema: str) -> None:
        self.url = schema

    async def make(self, world: World) -> Broker:
        return open_broker(self.url, world)

    async def die(self, broker: Broker) -> None:
        vanish_from_log(broker)

    async def refuse_some(self, broker: Broker, messages: Sequence[Message]) -> None:
        """The statement fails that holds one of them: nothing of the batch is published."""
        assert isinstance(broker, PostgresBroker)
        await broker._pool.execute(REFUSE.format(", ".join(f"'{message.id}'" for message in messages)))
