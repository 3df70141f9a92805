"""One JSON line per benchmark."""

from __future__ import annotations

import json
import os
import platform
import sqlite3
from importlib.util import find_spec
from typing import Any

__all__ = ["has_rival", "left_out", "machine", "report"]


def report(name: str, **figures: Any) -> None:
    """Print a benchmark's figures: times with their unit in the name, ratios against a baseline of the same run."""
    print(json.dumps({"benchmark": name, **{key: value for key, value in figures.items() if value is not None}}), flush=True)


def machine(**more: Any) -> None:
    """Print what the figures depend on."""
    report("the machine", python=platform.python_version(), sqlite=sqlite3.sqlite_version, processors=os.cpu_count(), **more)


def has_rival() -> bool:
    """Whether FastStream is here; prints what to type where it is not."""
    found = find_spec("faststream") is not None
    if not found:
        report("FastStream: left out", type='pip install "faststream[confluent,nats,rabbit,redis]"')
    return found


def left_out(what: str, *servers: str) -> None:
    """Print that a benchmark was not made, and how to make it."""
    report(
        f"{what}: left out",
        needs=", ".join(f"FARANDOLE_{server.upper()}" for server in servers),
        type=f'scripts/servers up {" ".join(servers)}; eval "$(scripts/servers env)"',
    )
