"""Every change of a customer sends the whole customer, so that every reader depends on every column."""

import msgspec

from farandole import Choreography, Command, Event, Service


class CorrectAddress(Command):
    customer_id: str


class Name(msgspec.Struct, frozen=True):
    first: str
    last: str


class Address(msgspec.Struct, frozen=True):
    street: str
    city: str


class Bank(msgspec.Struct, frozen=True):
    iban: str


class Consent(msgspec.Struct, frozen=True):
    newsletter: bool


def choreography(*, planted: bool) -> Choreography:
    customers, shipping = Service("customers"), Service("shipping")

    if planted:

        class AddressCorrected(Event, key="customer_id"):  # planted: fat-event
            customer_id: str
            name: Name
            address: Address
            bank: Bank
            consent: Consent

    else:

        class AddressCorrected(Event, key="customer_id"):
            customer_id: str
            address: Address

    @customers.command
    async def correct(command: CorrectAddress) -> AddressCorrected: ...

    @shipping.on(AddressCorrected)
    async def relabel(customer: AddressCorrected) -> None: ...

    return Choreography("shop", customers, shipping)
