"""Names processes, so that others on this machine can tell at once that one died, without waiting for its lease to run out."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

__all__ = ["is_dead", "process_name"]


def process_name() -> str:
    """This process: the place where its number means something, its number, and when it started."""
    return _name(str(os.getpid()))


def is_dead(name: str) -> bool:
    """Whether the process of this name certainly died; False where one cannot know."""
    place, _, rest = name.partition(" ")
    pid, _, started = rest.partition(" ")
    return bool(place) and place == _place() and _started(pid) != started


@cache
def _name(pid: str) -> str:
    return f"{_place()} {pid} {_started(pid)}"


@cache
def _place() -> str:
    """This machine since its start, and this container: where process numbers mean the same. Empty: no way to tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip() + "/" + str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return ""


def _started(pid: str) -> str:
    """When a process started, in ticks, since its number may be used again; empty where there is no such process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return ""
    return "" if fields[0] in "ZX" else fields[19]  # a zombie died; its parent has not looked yet
