"""Prometheus' own tool, which must accept what we write. Tests that need it are skipped where it is absent, and fail in CI."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

__all__ = ["promtool"]


def promtool(*arguments: str | Path, given: bytes = b"") -> str:
    """What it says; fails where it finds fault."""
    tool = shutil.which("promtool")
    if tool is None:
        why = "promtool is absent: install Debian's package prometheus"
        if os.environ.get("FARANDOLE_REQUIRE_TOOLS"):
            pytest.fail(why)
        pytest.skip(why)
    done = subprocess.run([tool, *map(str, arguments)], input=given, capture_output=True, check=False, timeout=60)
    said = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, said
    return said
