"""Async tests run on a virtual clock: no test ever sleeps."""

from __future__ import annotations

import asyncio
import inspect
import os
import secrets
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from hypothesis import HealthCheck, settings
from tests.counts import often
from tests.servers import postgres_url

from farandole.testing import virtual

os.environ.setdefault("OTEL_TRACES_EXPORTER", "none")  # one that is down tries for long, in a thread that outlives its test
LIMIT = often(420, 7200)
"""Seconds of real time that a test may take."""

# How fast an example runs says nothing here: other work shares the machine. A test whose examples are all filtered out fails anyway.
_BASE = settings.get_profile("ci" if os.environ.get("CI") else "default")  # in CI, the same examples each time
settings.register_profile(
    "house",
    _BASE,
    max_examples=often(60, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
settings.load_profile("house")


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run `async def` tests on the virtual loop, or on a real one where they carry the mark `real_time`."""
    function = pyfuncitem.obj
    if not inspect.iscoroutinefunction(function):
        return None
    wanted = inspect.signature(function).parameters
    coroutine = function(**{name: pyfuncitem.funcargs[name] for name in wanted})
    if pyfuncitem.get_closest_marker("real_time"):
        asyncio.run(_in_time(coroutine))
    else:
        virtual.run(coroutine)
    return True


async def _in_time(coroutine: Coroutine[Any, Any, None]) -> None:
    """What waits for ever says where, and fails."""
    test = asyncio.create_task(coroutine, name="test")
    done, _ = await asyncio.wait([test], timeout=LIMIT)
    if not done:
        for task in asyncio.all_tasks():
            task.print_stack(file=sys.stdout)
        test.cancel()
        await asyncio.wait([test], timeout=30)
        pytest.fail(f"it was not over after {LIMIT} s; above is what waited for what")
    test.result()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the figures that tests recorded with `record_property`."""
    for report in terminalreporter.getreports("passed"):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")


@pytest.fixture
def world() -> virtual.VirtualWorld:
    """A world with a virtual clock and seeded chance."""
    return virtual.VirtualWorld()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder with real data and conformance cases; not part of the project. CI must have it."""
    folder = Path(os.environ.get("FARANDOLE_SHARED", Path(__file__).parents[2] / "shared"))
    if not folder.is_dir():
        if os.environ.get("CI"):
            pytest.fail(f"{folder} is absent; set FARANDOLE_SHARED to the folder with data/ and conformance/")
        pytest.skip(f"{folder} is absent (set FARANDOLE_SHARED): real data and conformance cases are not in this checkout")
    return folder


@pytest.fixture
def schema() -> Iterator[str]:
    """The URL of an empty schema on a real PostgreSQL, of this test alone."""
    url, name = postgres_url(), f"test_{secrets.token_hex(6)}"
    yield f"{url}{'&' if '?' in url else '?'}schema={name}"

    async def forget() -> None:
        connection = await asyncpg.connect(url)
        await connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE')
        await connection.close()

    asyncio.run(forget())
