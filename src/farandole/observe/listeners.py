"""Listeners by their names, as in `observe = ["logs", "metrics"]`. Each is imported when it is asked for."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from farandole.config import nearest
from farandole.errors import ConfigurationError

if TYPE_CHECKING:
    from farandole.observe.observer import Listener
    from farandole.runtime.signals import Signals
    from farandole.stores.record import Record

__all__ = ["NAMES", "by_default", "is_shared", "listeners_of"]

NAMES = {
    "fates": "farandole.observe.fates:Fates",
    "logs": "farandole.observe.logs:Logs",
    "metrics": "farandole.observe.metrics:Metrics",
    "traces": "farandole.observe.traces:Traces",
}


def is_shared(record: str | Record | None) -> bool:
    """Whether what is recorded there can be seen from other processes: a database, but not one in memory."""
    if not isinstance(record, str):
        return record is not None and record.shared
    return not (record in ("", "none", "sqlite://") or record.startswith("memory:"))


def by_default(record: str | Record | None) -> tuple[str, ...]:
    """Who listens where nobody says otherwise: a record that all share hears what became of events as well."""
    return ("fates",) if is_shared(record) else ()


def listeners_of(wanted: Iterable[str | Signals]) -> list[Signals]:
    """Those that are meant.

    Raises
    ------
    ConfigurationError
        Nobody has that name.
    """
    return [_named(one) if isinstance(one, str) else one for one in wanted]


def _named(name: str) -> Listener:
    if name not in NAMES:
        raise ConfigurationError(f"observe: nobody listens under the name {name!r}. {nearest(name, NAMES)}")
    module, _, attribute = NAMES[name].partition(":")
    listener: Listener = getattr(importlib.import_module(module), attribute)()
    return listener
