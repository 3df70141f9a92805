"""Where the real servers are: the environment says it, and `scripts/servers` sets it."""

from __future__ import annotations

import os

import pytest


def server(name: str) -> str:
    """The URL of a server; without one the test is skipped, or fails where servers are required."""
    variable = f"FARANDOLE_{name.upper()}"
    url = os.environ.get(variable)
    if url:
        return url
    missing = f"{variable} is not set: start the server with `scripts/servers up {name}`"
    if os.environ.get("FARANDOLE_REQUIRE_SERVERS"):
        pytest.fail(missing)
    pytest.skip(missing)
