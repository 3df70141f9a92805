"""The warehouse and the tills both say how much stock there is, on one topic, and nobody keeps the two in order."""

from farandole import Choreography, Command, Event, Service


class CountShelf(Command):
    sku: str


class SellOverCounter(Command):
    sku: str


class StockCounted(Event, key="sku", topic="stock"):  # planted: two-owners
    sku: str
    pieces: int


class GoodsSold(Event, key="sku"):
    sku: str


def choreography(*, planted: bool) -> Choreography:
    warehouse, tills, webshop = Service("warehouse"), Service("tills"), Service("webshop")

    @warehouse.command
    async def count(command: CountShelf) -> StockCounted: ...

    if planted:

        @tills.command
        async def sell(command: SellOverCounter) -> StockCounted: ...

    else:

        @tills.command
        async def sell(command: SellOverCounter) -> GoodsSold: ...

        @warehouse.on(GoodsSold)
        async def take(goods: GoodsSold) -> StockCounted: ...

    @webshop.on(StockCounted)
    async def offer(stock: StockCounted) -> None: ...

    return Choreography("shop", warehouse, tills, webshop)
