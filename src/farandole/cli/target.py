"""What a command works on: the choreography that APP names, its configuration, its broker and databases."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from farandole.brokers import open_broker
from farandole.brokers.base import Broker
from farandole.config import Config, check_services, load, sqlite_path
from farandole.errors import ConfigurationError
from farandole.loading import load_named
from farandole.model.choreography import Choreography
from farandole.observe.listeners import is_shared
from farandole.observe.record import Reading
from farandole.stores import open_store
from farandole.stores.base import Store
from farandole.stores.record import Record
from farandole.world import World

__all__ = ["Target", "find", "load_app"]


@dataclass(frozen=True, slots=True)
class Target:
    """A choreography and where it runs."""

    choreography: Choreography
    config: Config

    @property
    def services(self) -> tuple[str, ...]:
        """The services that the configuration chooses; all, unless it names some."""
        return self.config.services or tuple(self.choreography.services)

    @asynccontextmanager
    async def broker(self, world: World) -> AsyncIterator[Broker]:
        """The broker, open. It must exist: to look is not to make."""
        url = self.config.broker
        path = sqlite_path(url)
        if url.startswith("memory:"):
            raise ConfigurationError(
                f"the broker {url} lives inside one process, so nothing can be seen from here. Use sqlite:///broker.db"
            )
        if path is not None and not path.exists():
            raise ConfigurationError(f"the broker {url} does not exist: start the services first, or give its URL with --broker")
        broker = open_broker(url, world)
        await broker.open()
        try:
            yield broker
        finally:
            await broker.close()

    @property
    def has_record(self) -> bool:
        """Whether events are recorded in a database that several processes share."""
        return is_shared(self.config.record)

    @asynccontextmanager
    async def record(self, world: World, reading: Reading) -> AsyncIterator[Record | None]:
        """The record, open; None where there is none that can be looked into from here."""
        url = self.config.record or ""
        path = sqlite_path(url)
        if not self.has_record or (path is not None and not path.exists()):
            yield None
            return
        from farandole.host import record_of

        record, _ = record_of(url, world, reading)
        await record.open()
        try:
            yield record
        finally:
            await record.close()

    @asynccontextmanager
    async def stores(self, world: World, only: Iterable[str] | None = None) -> AsyncIterator[dict[str, Store]]:
        """The databases of the services, open, but for those that do not exist yet."""
        opened: dict[str, Store] = {}
        urls = self.config.database_urls(self.services)
        try:
            for service in self.services if only is None else only:
                path = sqlite_path(urls[service])
                if urls[service] == "sqlite://" or (path is not None and not path.exists()):
                    continue
                store = open_store(urls[service], world)
                await store.open()
                opened[service] = store
            yield opened
        finally:
            for store in opened.values():
                await store.close()


def find(
    app: str | None, services: list[str] | None = None, broker: str | None = None, database: str | None = None, **more: Any
) -> Target:
    """The choreography and its configuration; `more` are values of other keys of it.

    Parameters
    ----------
    flags:
        Whatever else a command takes, by key of the configuration.

    Raises
    ------
    ConfigurationError
        No APP is given or configured, or it cannot be loaded, or a service is unknown.
    """
    config = load(app=app, services=services, broker=broker, database=database, **more)
    if config.app is None:
        raise ConfigurationError(
            'which choreography? Give it as module:variable, such as examples.shop:shop, or write app = "examples.shop:shop" '
            "under [tool.farandole] in pyproject.toml"
        )
    choreography = load_app(config.app)
    check_services(choreography, config.services or ())
    return Target(choreography, config)


def load_app(name: str) -> Choreography:
    """The choreography that `module:variable` names; see `load_named`."""
    found: Choreography = load_named(name, Choreography)
    return found
