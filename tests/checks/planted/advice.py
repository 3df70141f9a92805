"""Nine steps in a row through eight services: nobody can say from any one of them where an order is."""

from farandole import Choreography, Command, Event, Service, Workflow


class OpenAccount(Command):
    account_id: str


def choreography(*, planted: bool) -> Choreography:
    door = Service("door")
    services = [door]

    class AccountOpened(Event, key="account_id"):
        account_id: str

    @door.command
    async def open_account(command: OpenAccount) -> AccountOpened: ...

    last = AccountOpened
    for number in range(1, 9 if planted else 4):
        Done = type(
            f"Step{number}Done", (Event,), {"__annotations__": {"account_id": str}, "__module__": __name__}, key="account_id"
        )
        service = Service(f"step{number}")
        services.append(service)
        _react(service, last, Done)
        last = Done
    opening = Workflow("opening", starts=AccountOpened, succeeds=last)  # planted: advice
    return Choreography("bank", *services, workflows=[opening])


def _react(service: Service, heard: type, done: type) -> None:
    @service.on(heard)
    async def go_on(event: heard) -> done: ...
