"""The file of what is known."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.checks.kit import graph, service

from farandole.checks.baseline import Baseline, read_baseline
from farandole.checks.registry import rules
from farandole.errors import ConfigurationError


def test_it_is_written_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    known = Baseline({("b", 'x"y'): 2, ("a", "ü"): 1})
    path.write_text(known.text(), encoding="utf-8")
    assert read_baseline(path) == known
    assert [line.strip() for line in known.text().splitlines()[1:3]] == [
        '{"rule": "a", "subject": "ü", "count": 1},',
        '{"rule": "b", "subject": "x\\"y", "count": 2}',
    ]


def test_an_empty_one_is_a_file_as_well(tmp_path: Path) -> None:
    (tmp_path / "known.json").write_text(Baseline().text(), encoding="utf-8")
    assert read_baseline(tmp_path / "known.json") == Baseline()


def test_without_a_file_nothing_is_known(tmp_path: Path) -> None:
    assert read_baseline(tmp_path / "known.json") == Baseline()


def test_findings_of_one_rule_and_subject_are_counted() -> None:
    twice = rules()["two-services"].check(graph(service("a"), service("a"), service("a")))
    assert Baseline.of(twice).counts == {("two-services", "shop.a"): 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"version": 2, "known": []}',
        '{"version": 1, "known": 3}',
        '{"version": 1, "known": [{"rule": "a"}]}',
        '{"version": 1, "known": [{"rule": 1, "subject": "b", "count": 1}]}',
        "[" * 100000,
        '{"version": 1, "known": [{"rule": "a", "subject": "b", "count": "many"}]}',
    ],
)
def test_what_is_no_baseline_is_refused_with_the_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "known.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="Write it anew with: farandole check --write-baseline") as caught:
        read_baseline(path)
    assert str(path) in str(caught.value)


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_baseline(tmp_path)
    (tmp_path / "known.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_baseline(tmp_path / "known.json")
