"""One campaign becomes a letter for each customer, and each letter a call to the printer's shop."""

from farandole import Choreography, Command, Event, Service


class Printer:
    """What letters are sent to, outside."""


class StartCampaign(Command):
    campaign_id: str


class CampaignStarted(Event, key="campaign_id"):
    campaign_id: str


class LetterWritten(Event, key="campaign_id"):
    campaign_id: str


class BundleWritten(Event, key="campaign_id"):
    campaign_id: str
    letters: list[str]


def choreography(*, planted: bool) -> Choreography:
    marketing, letters, printing = Service("marketing"), Service("letters"), Service("printing")
    printing.provide(Printer, Printer())

    @marketing.command
    async def start(command: StartCampaign) -> CampaignStarted: ...

    if planted:

        @letters.on(CampaignStarted)  # planted: fan-out
        async def write(campaign: CampaignStarted) -> list[LetterWritten]: ...

        @printing.on(LetterWritten)
        async def put_out(letter: LetterWritten, printer: Printer) -> None: ...

        @put_out.exhausted
        async def give_up(letter: LetterWritten) -> None: ...

    else:

        @letters.on(CampaignStarted)
        async def write(campaign: CampaignStarted) -> BundleWritten: ...

        @printing.on(BundleWritten)
        async def put_out(bundle: BundleWritten, printer: Printer) -> None: ...

        @put_out.exhausted
        async def give_up(bundle: BundleWritten) -> None: ...

    return Choreography("shop", marketing, letters, printing)
