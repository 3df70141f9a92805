"""What every broker must do, as tests: subclass `BrokerSuite`, say how to make yours, and let pytest collect the class.

    class TestMine(BrokerSuite):
        async def make(self, world: World) -> Broker:
            return MyBroker("mine://localhost", world)

The suite picks topics, groups and keys, and counts every delivery: nothing is dropped before it is counted. What `Capabilities` claims
is tested; what is not claimed is skipped, and says so. The cases stand in `broker_delivery`, `broker_members`, `broker_again`,
`broker_replay`, `broker_closing` and `broker_trouble`. `broker_scene.BrokerCases` has what else you may say of your broker: how it dies,
restarts or refuses, how patient one must be with it, and by what the large counts are multiplied.

Tests are coroutine functions. On a virtual clock (see `testing.virtual`) they take no time; on a real one every wait has an end.
"""

from __future__ import annotations

from farandole.testing.broker_again import AgainCases
from farandole.testing.broker_closing import ClosingCases
from farandole.testing.broker_delivery import DeliveryCases
from farandole.testing.broker_members import MemberCases
from farandole.testing.broker_replay import ReplayCases
from farandole.testing.broker_trouble import TroubleCases

__all__ = ["BrokerSuite"]


class BrokerSuite(DeliveryCases, MemberCases, AgainCases, ReplayCases, ClosingCases, TroubleCases):
    """Subclass it; see the module."""
