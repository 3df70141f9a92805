"""Where the benchmarks write: a temporary folder on a real disk, since the price of a durable commit is a part of the figures."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

__all__ = ["folder_on_disk", "medium", "sync_us"]

_MEMORY = {"tmpfs", "ramfs"}


def medium(folder: Path) -> str:
    """The device and file system of a folder, such as `/dev/sda1 ext4`; `unknown` where the system does not tell."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    place = folder.resolve()
    device, _, kind = max((m[:3] for m in mounts if place.is_relative_to(m[1])), key=lambda mount: len(mount[1]))
    return f"{device} {kind}"


@contextmanager
def folder_on_disk() -> Iterator[Path]:
    """A new folder, removed in the end: where temporary files go, or where we stand if that is memory."""
    for place in (Path(tempfile.gettempdir()), Path.cwd()):
        if medium(place).split()[-1] not in _MEMORY:
            break
    else:
        raise SystemExit("benchmarks: temporary files and this folder are in memory. Set TMPDIR to a folder on a disk")
    with tempfile.TemporaryDirectory(prefix="farandole-bench-", dir=place) as folder:
        yield Path(folder)


def sync_us(folder: Path) -> float:
    """Microseconds of an fsync after 4 kB were appended: the median of 50."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            file.write(b"x" * 4096)
            begun = time.perf_counter()
            os.fsync(file.fileno())
            times.append(time.perf_counter() - begun)
    return median(times) * 1e6
