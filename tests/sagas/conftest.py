"""Each test runs on every store."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """The URL of an empty database."""
    if request.param == "sqlite":
        return "sqlite://"
    url: str = request.getfixturevalue("schema")
    return url
