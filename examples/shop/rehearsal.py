"""The shop in rehearsal: `farandole rehearse examples.shop.rehearsal:rehearsal`.

Made-up customers order, and send back; the gateway declines some cards, and Farandole takes care that everything else goes wrong.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from farandole import World
from farandole.rehearse import Rehearsal, Stage, View

from . import invariants, shop
from .bureau import Bureau, BureauUnavailable
from .databases import LEDGER
from .driver import fill_shelves, submit
from .events import Line
from .gateway import Gateway, GatewayTimeout, Weather
from .generator import generate
from .reader import Invoice
from .stock import initial_stock

__all__ = ["rehearsal"]


def _few(invoice: Invoice) -> tuple[Line, ...]:
    """Its first lines; of every third order so many pieces that it is a big one."""
    many = 20 if invoice.sequence % 3 == 0 and not invoice.is_return else 1
    return tuple(Line(line.stock_code, line.quantity * many, line.unit_price) for line in invoice.lines[:3])


INVOICES = [Invoice(i.number, i.customer_id, i.country, i.day, i.sequence, _few(i)) for i in generate(20, seed=3)]
STOCK = {**initial_stock(INVOICES, "scarce", 3), INVOICES[5].lines[0].stock_code: 0}
DAY = 86400.0
WEATHER = Weather(declines=0.15, seed=1, frauds=0.68)

rehearsal = Rehearsal(shop)


def gateway(world: World) -> Gateway:
    """A gateway with a ledger of its own for each run."""
    return Gateway(Path(":memory:"), WEATHER, world)


def bureau(world: World) -> Bureau:
    """A bureau that warns of some."""
    return Bureau(WEATHER, world)


rehearsal.provide(Gateway, gateway, error=GatewayTimeout)
rehearsal.provide(Bureau, bureau, error=BureauUnavailable)


class Seen:
    """What the invariants look at: the services' databases, and the gateway's ledger."""

    def __init__(self, view: View) -> None:
        self._view = view

    def rows(self, service: str, sql: str, **values: Any) -> list[tuple[Any, ...]]:
        """What a query gives."""
        return self._view.outside(Gateway).rows(sql, **values) if service == LEDGER else self._view.rows(service, sql, **values)

    def one(self, service: str, sql: str, **values: Any) -> Any:
        """The first value of the first row, 0 where it is null."""
        return self.rows(service, sql, **values)[0][0] or 0


@rehearsal.scenario
async def customers(stage: Stage) -> None:
    """Three customers at a time, each with one invoice after the other."""
    invoices = stage.some(INVOICES)
    stage.notes["submitted"] = [invoice.number for invoice in invoices]
    await fill_shelves(stage, STOCK)
    await submit(stage, invoices, databases=Seen(stage), world=stage.world, customers=3, timeout=DAY, done=lambda invoice: None)


@shop.invariant
async def the_money_adds_up(world: View) -> list[str]:
    """Order by order, to the penny."""
    return invariants.the_money_adds_up(Seen(world))


@shop.invariant
async def stock_adds_up(world: View) -> list[str]:
    """Code by code, to the piece."""
    return invariants.stock_adds_up(Seen(world), STOCK)


@shop.invariant(always=True)
async def nobody_is_charged_twice(world: View) -> list[str]:
    """Not even for a moment."""
    return invariants.nobody_is_charged_twice(Seen(world))


@shop.invariant
async def every_failed_saga_is_compensated(world: View) -> list[str]:
    """A cancelled order holds no goods and no money."""
    return invariants.every_failed_saga_is_compensated(Seen(world))


@shop.invariant
async def listeners_heard_every_payment(world: View) -> list[str]:
    """One confirmation, one sale, one pick list each."""
    return invariants.listeners_heard_every_payment(Seen(world))


@shop.invariant(always=True)
async def big_orders_are_reviewed(world: View) -> list[str]:
    """Before they are charged."""
    return invariants.big_orders_are_reviewed(Seen(world))


@shop.invariant
async def points_are_what_was_bought(world: View) -> list[str]:
    """No more, no less, in whatever order loyalty heard."""
    return invariants.points_are_what_was_bought(Seen(world))


@shop.invariant
async def every_invoice_has_an_outcome(world: View) -> list[str]:
    """Whatever was submitted has ended."""
    return invariants.every_invoice_has_an_outcome(Seen(world), world.notes["submitted"])
