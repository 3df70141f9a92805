"""A chain of thirty-five causes, where the runtime ends chains at thirty-two: the last steps become dead letters."""

from farandole import Choreography, Command, Event, Service


class BeginRelay(Command):
    race_id: str


def choreography(*, planted: bool) -> Choreography:
    runners = [Service("runner0")]

    class Leg0Run(Event, key="race_id"):
        race_id: str

    @runners[0].command
    async def begin(command: BeginRelay) -> Leg0Run: ...

    last = Leg0Run
    for number in range(1, 36 if planted else 20):
        fields = {"__annotations__": {"race_id": str}, "__module__": __name__}
        done = type(last)(f"Leg{number}Run", (Event,), fields, key="race_id")
        runners.append(Service(f"runner{number}"))
        _run(runners[-1], last, done)
        last = done

    finish = Service("finish")

    @finish.on(last)
    async def stop_clock(leg: last) -> None: ...

    return Choreography("race", *runners, finish)


def _run(runner: Service, heard: type, done: type) -> None:
    @runner.on(heard)  # planted: too-deep
    async def run(leg: heard) -> done: ...
