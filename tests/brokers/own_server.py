"""A small server of a test's own, for what must not be done to the one that all tests share."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def serving(port: int, *command: str) -> Iterator[int]:
    """Run it until the `with` ends; it answers at this port."""
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(1000):
            with socket.socket() as probe:
                probe.settimeout(0.05)
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, f"{command[0]} ended"
        yield port
    finally:
        process.kill()
        process.wait()
