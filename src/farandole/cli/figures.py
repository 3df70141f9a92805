"""`farandole figures`: what the measures of a choreography say."""

from __future__ import annotations

import asyncio

import msgspec
from rich.table import Table

from farandole.cli import FINE
from farandole.cli.output import ago, console, print_json
from farandole.cli.target import Target, find
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire
from farandole.observe.figures import Figures
from farandole.observe.measures import Figure
from farandole.observe.record import Reading
from farandole.world import World

__all__ = ["figures"]


def figures(app: str | None = None, *, json: bool = False) -> int:
    """Show the figures of the business, counted from the record up to now.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    json
        Print JSON.
    """
    target = find(app)
    found = asyncio.run(_figures(target, World()))
    if json:
        print_json({"choreography": target.choreography.name, "figures": [_as_json(figure) for figure in found]})
    else:
        console().print(_table(found))
    return FINE


async def _figures(target: Target, world: World) -> list[Figure]:
    choreography = target.choreography
    if not choreography.measures:
        raise ConfigurationError(
            f"{choreography.name} declares no measures. Give it one: Choreography(…, measures=[Measure.open(…)]), see docs/metrics.md"
        )
    wire = Wire(choreography)
    async with target.record(world, Reading(wire)) as record:
        if record is None:
            raise ConfigurationError(
                f"no record of {choreography.name} can be read from here, and measures are counted from it. "
                f'Configure one, and start the services: record = "sqlite:///.farandole/record.db"'
            )
        return await Figures(choreography, record, world, wire).now()


def _as_json(figure: Figure) -> dict[str, object]:
    told: dict[str, object] = msgspec.to_builtins(figure)
    if figure.kind == "time":
        told |= {"p50": figure.quantile(0.5), "p95": figure.quantile(0.95)}
    return told


def _table(found: list[Figure]) -> Table:
    table = Table("measure", box=None, pad_edge=False)
    table.add_column("value", justify="right")
    table.add_column("of", justify="right")
    table.add_column("")
    for figure in found:
        table.add_row(figure.name, _value(figure), str(figure.begun), _more(figure))
    return table


def _value(figure: Figure) -> str:
    if figure.value is None:
        return "-"
    if figure.kind == "time":
        return ago(figure.value)
    return f"{figure.value:.1%}" if figure.kind == "share" else f"{figure.value:,.10g}"


def _more(figure: Figure) -> str:
    if figure.kind != "time":
        return figure.doc
    told = [f"{share:.0%} within {_bound(figure, share)}" for share in (0.5, 0.95) if figure.done]
    return "; ".join(["on average" if figure.done else "", *told, figure.doc]).strip("; ")


def _bound(figure: Figure, share: float) -> str:
    bound = figure.quantile(share)
    return "more than all bounds" if bound is None else ago(bound)
