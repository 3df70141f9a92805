"""Look at the tables of services' databases, or bring them up to date, before a deployment."""

from __future__ import annotations

import asyncio
from typing import Any

from rich.table import Table

from farandole.cli import FINDINGS, FINE
from farandole.cli.output import console, print_json
from farandole.cli.target import Target, find
from farandole.config import without_password
from farandole.stores import open_store, schema_of, with_option
from farandole.world import World

__all__ = ["COMMANDS"]


def status(app: str | None = None, *, service: list[str] | None = None, database: str | None = None, json: bool = False) -> int:
    """Show which schema each database has. Exits with 1 if one is not up to date.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    service
        Only these services; may be repeated.
    database
        The URL of a service's database, with {service} for its name.
    json
        Print JSON.
    """
    target = find(app, service, None, database)
    found = asyncio.run(_look(target))
    if json:
        print_json(found)
    else:
        table = Table("service", "database", "schema", "", box=None, pad_edge=False)
        for name, one in found.items():
            table.add_row(name, one["database"], f"{one['schema']} of {one['latest']}", _words(one))
        console().print(table)
    return FINE if all(one["schema"] == one["latest"] for one in found.values()) else FINDINGS


def upgrade(app: str | None = None, *, service: list[str] | None = None, database: str | None = None) -> int:
    """Bring the tables of each database up to date; those of the service too, where they lack. Does nothing twice.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    service
        Only these services; may be repeated.
    database
        The URL of a service's database, with {service} for its name.
    """
    target = find(app, service, None, database)
    for name, one in asyncio.run(_upgrade(target)).items():
        console().print(f"{name}: schema {one['schema']}, {_words(one)}")
    return FINE


async def _look(target: Target) -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = {}
    for name, url in target.config.database_urls(target.services).items():
        schema, latest = await schema_of(url, World())
        found[name] = {"database": without_password(url), "schema": schema, "latest": latest}
    return found


async def _upgrade(target: Target) -> dict[str, dict[str, Any]]:
    for name, url in target.config.database_urls(target.services).items():
        store = open_store(with_option(url, "migrate", None), World(), tables=target.choreography.services[name].tables)
        await store.open()
        await store.close()
    return await _look(target)


def _words(one: dict[str, Any]) -> str:
    if one["schema"] == one["latest"]:
        return "up to date"
    if one["schema"] > one["latest"]:
        return "written by a newer Farandole: upgrade this one"
    return "missing: run farandole db upgrade" if not one["schema"] else "behind: run farandole db upgrade"


COMMANDS = {"status": status, "upgrade": upgrade}
