"""A real browser, for what only a browser can tell: Debian's Chromium, steered by playwright. It is offline, whatever a page asks for."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run"]


def needed(missing: str) -> None:
    """Skip, or fail where FARANDOLE_REQUIRE_TOOLS says that nothing may be missing."""
    if os.environ.get("FARANDOLE_REQUIRE_TOOLS"):
        pytest.fail(missing)
    pytest.skip(missing)


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium, without a window."""
    path = next(filter(None, map(shutil.which, _NAMES)), None)
    if path is None:
        needed("no Chromium here: apt-get install chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        needed("playwright is not installed: pip install playwright (it needs no browser of its own)")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=_FLAGS)
        try:
            yield started
        finally:
            started.close()


def mermaid_script() -> Path:
    """Mermaid's own code, which is not part of the project."""
    path = Path(__file__).parent / "node" / "node_modules" / "mermaid" / "dist" / "mermaid.min.js"
    if not path.is_file():
        needed("mermaid is absent: npm ci --ignore-scripts --prefix tests/node")
    return path
