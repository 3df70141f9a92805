"""Two systems copy addresses to each other: each copy is a change, and each change is copied."""

from farandole import Choreography, Command, Event, Service, allow_cycle


class MoveHouse(Command):
    customer_id: str


class AddressCorrected(Event, key="customer_id"):
    customer_id: str


class AccountCorrected(Event, key="customer_id"):
    customer_id: str


def choreography(*, planted: bool) -> Choreography:
    crm, billing = Service("crm"), Service("billing")

    @crm.command
    async def move(command: MoveHouse) -> AddressCorrected: ...

    @billing.on(AddressCorrected)
    async def copy_address(address: AddressCorrected) -> AccountCorrected | None: ...

    @crm.on(AccountCorrected)  # planted: cycle
    async def copy_account(account: AccountCorrected) -> AddressCorrected | None: ...

    meant = allow_cycle(AddressCorrected, AccountCorrected, at_most=2, reason="the second round finds nothing to correct")
    return Choreography("office", crm, billing, cycles=[] if planted else [meant])
