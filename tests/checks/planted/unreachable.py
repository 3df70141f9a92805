"""Two reactions wait for one another, and nothing ever sets off the first: the door that did was taken away."""

from farandole import Choreography, Command, Event, Service, allow_cycle


class StartRound(Command):
    round_id: str


class RoundBegun(Event, key="round_id"):
    round_id: str


class RoundDone(Event, key="round_id"):
    round_id: str


def choreography(*, planted: bool) -> Choreography:
    clock, watchman = Service("clock"), Service("watchman")

    if not planted:

        @clock.command
        async def start(command: StartRound) -> RoundBegun: ...

    @watchman.on(RoundBegun)
    async def walk(round: RoundBegun) -> RoundDone: ...

    @clock.on(RoundDone)  # planted: unreachable
    async def again(round: RoundDone) -> RoundBegun | None: ...

    meant = allow_cycle(RoundBegun, RoundDone, at_most=8, reason="a night has eight rounds")
    return Choreography("house", clock, watchman, cycles=[meant])
