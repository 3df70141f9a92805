"""SQL's own clock and chance, answered from a simulated world: CURRENT_TIMESTAMP, datetime('now'), random(), and their like.

A column's default may ask them, and no test would see it. Only worlds that are `simulated` pay for it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import datetime
from typing import Any
from weakref import proxy

from farandole.world import World

__all__ = ["answer_from"]

_CURRENT = {
    "current_timestamp": "%Y-%m-%d %H:%M:%S",
    "current_date": "%Y-%m-%d",
    "current_time": "%H:%M:%S",
}
_OF_TIME = {"date": 0, "time": 0, "datetime": 0, "julianday": 0, "unixepoch": 0, "strftime": 1}
"""Functions of a time, and where it stands among their arguments; left out, it is now."""


def answer_from(world: World, connection: sqlite3.Connection) -> None:
    """Let a connection ask a world for time and chance. It does not keep the world: SQLite's own references cannot be collected."""
    world = proxy(world)
    for name, form in _CURRENT.items():
        connection.create_function(name, 0, lambda form=form: world.now().strftime(form))
    for name, place in _OF_TIME.items():  # deterministic, since SQLite takes no others in an index
        connection.create_function(name, -1, _at(name, place, lambda: world.now()), deterministic=True)  # noqa: PLW0108 - a method holds the world
    connection.create_function("random", 0, lambda: int.from_bytes(world.entropy(8), "big", signed=True))
    connection.create_function("randomblob", 1, lambda size: world.entropy(max(1, int(size or 0))))


def _at(name: str, place: int, now: Callable[[], datetime]) -> Callable[..., Any]:
    """SQLite's own function, with the world's time where it would take the machine's."""

    def answer(*arguments: Any) -> Any:
        given = list(arguments)
        if len(given) == place:
            given.append("now")
        if len(given) > place and isinstance(given[place], str) and given[place].lower() == "now":
            given[place] = now().strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        with closing(sqlite3.connect(":memory:")) as native:
            return native.execute(f"SELECT {name}({', '.join('?' * len(given))})", given).fetchone()[0]

    return answer
