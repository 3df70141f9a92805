"""Runs the benchmarks, or those named: `python -m benchmarks [NAME…]`. Some need servers, and are left out where there are none."""

from __future__ import annotations

import sys
from importlib import import_module

from benchmarks.disk import folder_on_disk, medium, sync_us
from benchmarks.report import machine

NAMES = (
    "overhead", "chain", "latency", "failures", "checks", "postgres", "brokers", "cluster", "steady", "cleanup", "waiting", "record", "recorded",
    "large_record", "observe",
)  # fmt: skip


def main(names: list[str]) -> None:
    """Say where we are, then measure."""
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        sys.exit(f"benchmarks: there is no {unknown[0]!r}. There are: {', '.join(NAMES)}")
    with folder_on_disk() as folder:
        machine(files_on=medium(folder), fsync_us=round(sync_us(folder)))
    for name in names or NAMES:
        import_module(f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
