"""A small project in a folder of its own, to run commands on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.cli.kit import CAFE, Project


@pytest.fixture
def project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., Project]]:
    """Makes a project with a module of this source; the current folder is its folder."""
    made: list[str] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def make(source: str = CAFE) -> Project:
        name = f"cafe_{abs(hash(tmp_path))}_{len(made)}"
        made.append(name)
        (tmp_path / f"{name}.py").write_text(source, encoding="utf-8")
        (tmp_path / "farandole.toml").write_text(f'app = "{name}:shop"\n', encoding="utf-8")
        return Project(tmp_path, name, capsys)

    yield make
    for name in made:
        sys.modules.pop(name, None)


@pytest.fixture
def cafe(project: Callable[..., Project]) -> Project:
    """The café: orders, payments and e-mail."""
    return project()
