"""Where things run: broker, databases, services and times, from files, the environment and flags.

Later wins: `[tool.farandole]` in pyproject.toml, then farandole.toml, then FARANDOLE_* in the environment, then flags.

    [tool.farandole]
    app = "examples.shop:shop"
    broker = "sqlite:///.farandole/broker.db"
    database = "sqlite:///.farandole/{service}.db"     # or one by one: database.payments = "sqlite:///payments.db"
    services = ["orders", "payments"]                  # all, if left out
    record = "sqlite:///.farandole/record.db"          # where all events are recorded; nowhere, if left out
    retention = { "shop.StockChecked" = "7d" }         # how long the record keeps events of single types; as their instance, if left out
    observe = ["logs", "metrics"]                      # who listens to single events: see docs/observing.md
    log = "json"                                       # what `farandole run` writes: json, text, or off
    alerts = ["log", "https://chat.example/hook"]      # who is told where a workflow stalls; the log, if left out
    window = "7d"                                      # how long a handled event is remembered
    shutdown = "30s"                                   # how long a stopping host waits for what runs
    lease = "10s"                                      # how long a process that shows no sign of life keeps what it took
    checks.names = { severity = "off", reason = "…" }  # how much the rules of `farandole check` count, and why

In the environment, `FARANDOLE_DATABASE_PAYMENTS` is the database of one service, and FARANDOLE_SERVICES is separated by commas.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from farandole.errors import ConfigurationError
from farandole.model.choreography import Choreography
from farandole.model.policy import Settled
from farandole.model.reaction import OnCommand

__all__ = [
    "Config",
    "check_services",
    "check_window",
    "load",
    "nearest",
    "parse_duration",
    "sqlite_path",
    "without_password",
]

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw]?)")
_A_DURATION = 'a duration such as "30s", "5m" or "7d", or seconds, more than 0'
_FILES = (("pyproject.toml", "[tool.farandole] "), ("farandole.toml", ""))
_VARIABLE = "FARANDOLE_"
_LOGS = ("json", "text", "off")
_OTHER_VARIABLES = frozenset({"DEBUG", "PORTS", "SERVERS", "SHARED"})  # read elsewhere


@dataclass(frozen=True, slots=True)
class Config:
    """Where a choreography runs.

    Attributes
    ----------
    app:
        The choreography, as `module:variable`; None: to be given by hand.
    broker:
        The broker's URL.
    database:
        The URL of a service's database; `{service}` stands for the service's name.
    databases:
        The URLs of single services, which come before `database`.
    services:
        Which services run here; None: all.
    record:
        The URL of the database in which all events are recorded; None: not said.
    retention:
        How long the record keeps events of single types after the last event of their instance, in seconds, by their names.
    observe:
        The names of those who listen to single events; None: not said.
    log:
        What `farandole run` writes to standard output: `json`, `text` or `off`.
    alerts:
        Who is told where a workflow stalls or a service level is missed; None: not said.
    window:
        How long a handled event is remembered, in seconds.
    shutdown:
        How long a stopping host waits for what runs, in seconds.
    lease:
        How long a process that shows no sign of life keeps what it took, in seconds.
    checks:
        How much the rules of `farandole check` count, as it was written; `farandole.checks.settings` reads it.
    """

    app: str | None = None
    broker: str = "sqlite:///.farandole/broker.db"
    database: str = "sqlite:///.farandole/{service}.db"
    databases: Mapping[str, str] = field(default_factory=dict)
    services: tuple[str, ...] | None = None
    record: str | None = None
    retention: Mapping[str, float] = field(default_factory=dict)
    observe: tuple[str, ...] | None = None
    log: str = "off"
    alerts: tuple[str, ...] | None = None
    window: float = 7 * 86400.0
    shutdown: float = 30.0
    lease: float = 10.0
    checks: Mapping[str, Any] = field(default_factory=dict)

    def database_of(self, service: str) -> str:
        """The database URL of one service."""
        return self.databases.get(_variable(service)) or self.database.replace("{service}", service)

    def database_urls(self, services: Collection[str]) -> dict[str, str]:
        """The database URL of each of these services.

        Raises
        ------
        ConfigurationError
            Two services would share one database.
        """
        urls: dict[str, str] = {}
        owners: dict[str, str] = {}
        for service in services:
            urls[service] = url = self.database_of(service)
            other = owners.setdefault(url, service)
            if other != service and url != "sqlite://":  # in memory, each has its own
                raise ConfigurationError(
                    f"{other} and {service} would share the database {without_password(url)}. Each service owns one: "
                    f"put {{service}} into the URL, or give each its own: database.{service} = …"
                )
        return urls


def load(folder: Path | None = None, environment: Mapping[str, str] | None = None, **flags: Any) -> Config:
    """Read the configuration.

    Parameters
    ----------
    folder:
        Where pyproject.toml and farandole.toml are looked for; default: the current one.
    environment:
        Default: that of the process.
    flags:
        What the command line or the caller says, by key; None and empty sequences say nothing.

    Raises
    ------
    ConfigurationError
        A file cannot be read, a key is unknown, or a value is not what is expected.
    """
    folder = folder or Path.cwd()
    values: dict[str, Any] = {"databases": {}}
    for where, key, value in (
        *_from_files(folder),
        *_from_environment(os.environ if environment is None else environment),
        *((f"argument {key}", key, value) for key, value in flags.items() if value is not None and value != []),
    ):
        if key not in _KEYS:
            raise ConfigurationError(f"{where}: there is no such key. {nearest(key, _KEYS)}")
        expected, read = _KEYS[key]
        try:
            parsed = read(value)
        except ValueError:
            raise ConfigurationError(f"{where}: expected {expected}, got: {_shown(key, value)}") from None
        if key == "database":
            _merge_database(values, parsed)
        else:
            values[key] = parsed
    return Config(**values)


def _shown(key: str, value: Any) -> str:
    """A wrong value, without what is secret in the URLs of webhooks."""
    return re.sub(r"(://)[^\s'\",]+", r"\1…", repr(value)) if key == "alerts" else repr(value)


def _merge_database(values: dict[str, Any], parsed: str | dict[str, str]) -> None:
    """A table adds to what was said before; a single URL, being said later, replaces all of it."""
    if isinstance(parsed, dict):
        values["databases"] = {**values["databases"], **parsed}
    else:
        values["database"], values["databases"] = parsed, {}


def _from_files(folder: Path) -> Iterator[tuple[str, str, Any]]:
    for name, section in _FILES:
        path = folder / name
        try:
            document = tomllib.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"{path} cannot be read: {error}") from None
        except tomllib.TOMLDecodeError as error:
            raise ConfigurationError(f"{path} is no TOML: {error}") from None
        table = document.get("tool", {}).get("farandole", {}) if section else document
        if not isinstance(table, dict):
            raise ConfigurationError(f"{path} [tool.farandole]: expected a table, got: {table!r}")
        for key, value in table.items():
            yield f"{path} {section}{key}", key, value


def _from_environment(environment: Mapping[str, str]) -> Iterator[tuple[str, str, Any]]:
    # A plain database URL comes before those of single services, which add to it.
    for variable in sorted(name for name in environment if name.startswith(_VARIABLE)):
        name = variable.removeprefix(_VARIABLE)
        value = environment[variable]
        if name.startswith("DATABASE_"):
            yield variable, "database", {name.removeprefix("DATABASE_").lower(): value}
        elif name.lower() in _KEYS:
            yield variable, name.lower(), value
        # Only a near miss is an error: Kubernetes sets FARANDOLE_PORT, FARANDOLE_SERVICE_HOST, … where a service is called farandole.
        elif (
            name not in _OTHER_VARIABLES
            and not name.startswith("SERVICE_")
            and (near := get_close_matches(name.lower(), _KEYS, 1, 0.75))
        ):
            raise ConfigurationError(f"{variable}: there is no such variable. Did you mean {_VARIABLE}{near[0].upper()}?")


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value


def _url(value: Any) -> str:
    if ":" not in _text(value):
        raise ValueError
    return str(value)


def _record(value: Any) -> str:
    return "none" if value == "none" else _url(value)


def _app(value: Any) -> str:
    if not re.fullmatch(r"[\w.]+:[\w.]+", _text(value)):
        raise ValueError
    return str(value)


def _database(value: Any) -> str | dict[str, str]:
    return {_variable(service): _url(url) for service, url in value.items()} if isinstance(value, dict) else _url(value)


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError  # noqa: TRY004 - the caller of all these expects it
    return value


def _observe(value: Any) -> tuple[str, ...]:
    return () if value in ("none", []) else _names(value)


def _log(value: Any) -> str:
    if value not in _LOGS:
        raise ValueError
    return str(value)


def _alerts(value: Any) -> tuple[str, ...]:
    names = _observe(value)
    if not all(name == "log" or name.startswith(("https://", "http://")) for name in names):
        raise ValueError
    return names


def _names(value: Any) -> tuple[str, ...]:
    names = [name.strip() for name in value.split(",")] if isinstance(value, str) else value
    if not isinstance(names, (list, tuple)) or not names:
        raise ValueError
    return tuple(_text(name) for name in names)


def parse_duration(value: Any) -> float:
    """Seconds, from `"250ms"`, `"30s"`, `"5m"`, `"2h"`, `"7d"`, `"1w"`, or a number of seconds.

    Raises
    ------
    ValueError
        It is no duration, or not more than 0.
    """
    match = _DURATION.fullmatch(value.strip()) if isinstance(value, str) else None
    seconds = 0.0
    if match:
        seconds = float(match[1]) * _UNITS[match[2] or "s"]
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        seconds = float(value)
    if not 0 < seconds < float("inf"):
        raise ValueError(f"expected {_A_DURATION}, got: {value!r}")
    return seconds


def _retention(value: Any) -> dict[str, float]:
    return {name: parse_duration(duration) for name, duration in _table(value).items()}


_KEYS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "app": ('"module:variable" such as "examples.shop:shop"', _app),
    "broker": ('a URL such as "sqlite:///broker.db"', _url),
    "database": ('a URL such as "sqlite:///{service}.db", or a table of such by service', _database),
    "services": ('a list of names such as ["orders", "payments"]', _names),
    "record": ('a URL such as "sqlite:///record.db", "memory://", or "none"', _record),
    "observe": ('a list of names such as ["logs", "metrics"], or "none"', _observe),
    "log": ('"json", "text" or "off"', _log),
    "retention": ('a table of durations by event, such as { "shop.StockChecked" = "7d" }', _retention),
    "alerts": ('a list such as ["log", "https://chat.example/hook"], or "none"', _alerts),
    "window": (_A_DURATION, parse_duration),
    "shutdown": (_A_DURATION, parse_duration),
    "lease": (_A_DURATION, parse_duration),
    "checks": ('a table by rule such as names = { severity = "off", reason = "…" }', _table),
}


def check_window(choreography: Choreography, window: float) -> None:
    """Refuse an inbox window (in seconds) that is shorter than a reaction's retries may take.

    Raises
    ------
    ConfigurationError
        An event could be forgotten while it is still tried again; the message names the reaction.
    """
    for reaction in choreography.reactions:
        if isinstance(reaction.trigger, OnCommand) and reaction.trigger.command not in choreography.posted:
            continue  # its caller is told at once; nothing is retried
        horizon = Settled.of(reaction.policy).retry.horizon * (2 if reaction.on_exhausted else 1)  # that one retries as often
        if horizon > window:
            raise ConfigurationError(
                f"window: expected at least {horizon:g} s, which is how long the retries of {reaction.id} ({reaction.place}) "
                f"may take, got: {window:g} s. Lengthen the window, or let it retry for a shorter time"
            )


def check_services(choreography: Choreography, services: Collection[str]) -> None:
    """Refuse names that are no services of the choreography.

    Raises
    ------
    ConfigurationError
        With the nearest name.
    """
    for name in services:
        if name not in choreography.services:
            raise ConfigurationError(
                f"services: {choreography.name!r} has no service {name!r}. {nearest(name, choreography.services)}"
            )


def sqlite_path(url: str) -> Path | None:
    """The file of a `sqlite:///` URL; None for other schemes and for a database in memory."""
    if not url.startswith("sqlite:///"):
        return None
    path = unquote(url.removeprefix("sqlite:///").partition("?")[0])
    return None if path in ("", ":memory:") else Path(path)


def without_password(url: str) -> str:
    """A URL that may be shown."""
    return re.sub(r"(?<=://)([^/@:]*):.*@", r"\1:***@", url)


def nearest(name: str, known: Collection[str]) -> str:
    """A hint: the nearest of the known names, or all of them."""
    near = get_close_matches(name, list(known), 1, 0.6)
    return f"Did you mean {near[0]}?" if near else f"Known are: {', '.join(known)}"


def _variable(service: str) -> str:
    return service.lower().replace("-", "_")
