"""`farandole figures`: the business in a table."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.observe.test_measures import event

from farandole import World
from farandole.cli import main
from farandole.stores import open_record


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FARANDOLE_RECORD", f"sqlite:///{tmp_path}/record.db")
    return tmp_path


async def fill(folder: Path) -> None:
    record = open_record(f"sqlite:///{folder}/record.db", World())
    await record.open()
    await record.append(
        [event("1", "a", "Placed", 0, cents=250), event("2", "a", "Paid", 90), event("3", "b", "Placed", 0, cents=1000)]
    )
    await record.close()


def test_figures_are_shown_in_a_table_or_as_json(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asyncio.run(fill(folder))
    assert main(["figures", "tests.observe.test_measures:SUMMED"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1:] == [
        ["unpaid", "1", "2"],
        [
            "placed_to_paid",
            *[
                "90.0",
                "s",
                "2",
                "on",
                "average;",
                "50%",
                "within",
                "more",
                "than",
                "all",
                "bounds;",
                "95%",
                "within",
                "more",
                "than",
                "all",
                "bounds",
            ],
        ],
        ["paid", "50.0%", "2"],
        ["worth", "1,250", "2"],
        ["turnover", "1,250", "2"],
    ]
    assert main(["figures", "tests.observe.test_measures:SUMMED", "--json"]) == 0
    found = {figure["name"]: figure for figure in json.loads(capsys.readouterr().out)["figures"]}
    assert (found["unpaid"]["value"], found["paid"]["value"], found["placed_to_paid"]["p50"]) == (1, 0.5, None)
    assert found["placed_to_paid"]["buckets"]["+Inf"] == 1


def test_without_a_record_or_measures_it_is_said_what_to_do(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["figures", "tests.observe.test_measures:SUMMED"]) == 2
    assert "no record of shop can be read from here" in capsys.readouterr().err
    assert main(["figures", "tests.observe.test_measures:BARE"]) == 2
    assert "shop declares no measures" in capsys.readouterr().err
