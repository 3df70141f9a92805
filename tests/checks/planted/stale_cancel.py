"""The classic: a cancellation of a guest's first reservation comes late, and takes away the one that she has made since."""

from farandole import Choreography, Command, Event, Service


class Reserve(Command):
    reservation_id: str


class Cancel(Command):
    guest_id: str


class ReservationMade(Event, key="reservation_id"):
    reservation_id: str


class SeatHeld(Event, key="reservation_id"):
    reservation_id: str


def choreography(*, planted: bool) -> Choreography:
    desk, seats = Service("desk"), Service("seats")

    class ReservationCancelled(Event, key="guest_id" if planted else "reservation_id"):
        guest_id: str
        reservation_id: str

    @desk.command
    async def reserve(command: Reserve) -> ReservationMade: ...

    @desk.command
    async def cancel(command: Cancel) -> ReservationCancelled: ...

    @seats.on(ReservationMade)
    async def hold(reservation: ReservationMade) -> SeatHeld: ...

    @desk.on(SeatHeld)
    async def tell(seat: SeatHeld) -> None: ...

    @seats.on(ReservationCancelled, compensates=hold, undoes=SeatHeld)  # planted: late-compensation-of-later
    async def free(reservation: ReservationCancelled) -> None: ...

    return Choreography("theatre", desk, seats)
