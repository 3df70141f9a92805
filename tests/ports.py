"""Ports of this machine, for servers that a test starts."""

from __future__ import annotations

import random
import socket

OURS = range(3_000, 10_000)  # systems give outgoing connections others, so that none takes it before the server is up


def free_port() -> int:
    """A port where nobody listens."""
    while True:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", random.SystemRandom().choice(OURS)))
            except OSError:
                continue
            port: int = probe.getsockname()[1]
            return port
