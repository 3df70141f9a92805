"""What the two type checkers say of right and wrong usage, line by line."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RIGHT = sorted(HERE.glob("right_*.py"))
WRONG = sorted(HERE.glob("wrong_*.py"))

Complaints = dict[str, dict[int, str]]
"""By file name and line: what the checker says there."""


def run(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy() -> Complaints:
    found: Complaints = defaultdict(dict)
    for line in run("mypy", "--strict", *map(str, RIGHT + WRONG)).splitlines():
        if match := re.match(r"(.*?):(\d+): error: (.*)", line):
            found[Path(match[1]).name][int(match[2])] = match[3]
    return found


def pyright() -> Complaints:
    found: Complaints = defaultdict(dict)
    for each in json.loads(run("pyright", "--outputjson", "--pythonpath", sys.executable, str(HERE)))["generalDiagnostics"]:
        if each["severity"] == "error":
            found[Path(each["file"]).name][each["range"]["start"]["line"] + 1] = each["message"]
    return found


@pytest.mark.slow
@pytest.mark.real_time
@pytest.mark.parametrize("checker", [mypy, pyright])
def test_a_type_checker_objects_to_every_wrong_line_and_to_no_other(checker: Callable[[], Complaints]) -> None:
    complaints = checker()
    for path in RIGHT:
        assert complaints.get(path.name, {}) == {}
    for path in WRONG:
        expected = {number for number, line in enumerate(path.read_text().splitlines(), 1) if "  # wrong: " in line}
        assert expected, f"{path.name} marks no wrong line"
        assert complaints[path.name].keys() == expected, complaints[path.name]
    assert complaints.keys() <= {path.name for path in RIGHT + WRONG}
