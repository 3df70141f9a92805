"""The mailer's reader class says another key than the owner, so it counts on an order that nobody keeps."""

from farandole import Choreography, Command, Event, Service


class SendParcel(Command):
    order_id: str


class ParcelShipped(Event, key="order_id"):
    order_id: str
    parcel_id: str


def choreography(*, planted: bool) -> Choreography:
    shipping, mail = Service("shipping"), Service("mail")

    @shipping.command
    async def ship(command: SendParcel) -> ParcelShipped: ...

    if planted:

        class ParcelHeard(Event, name="ParcelShipped", key="parcel_id", of="shop.shipping"):  # planted: two-owners
            parcel_id: str

    else:

        class ParcelHeard(Event, name="ParcelShipped", key="order_id", of="shop.shipping"):
            order_id: str

    @mail.on(ParcelHeard)
    async def tell(parcel: ParcelHeard) -> None: ...

    return Choreography("shop", shipping, mail)
