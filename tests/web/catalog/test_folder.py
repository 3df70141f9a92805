"""What is written, what is taken back, and what is left alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from farandole.errors import ConfigurationError
from farandole.web.catalog import write
from farandole.web.catalog.folder import LIST


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()} - {LIST}


def test_pages_that_are_no_more_are_removed_and_their_folders_too(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "site"
    assert write(folder, [("index.html", "1"), ("event/a.html", "2")]) == 2
    assert write(folder, [("index.html", "3")]) == 1
    assert names(folder) == {"index.html"}
    assert not (folder / "event").exists()
    assert (folder / "index.html").read_text() == "3"


def test_what_others_put_into_the_folder_stays(tmp_path: Path) -> None:
    write(tmp_path, [("event/a.html", "1")])
    (tmp_path / "event" / "CNAME").write_text("theirs")
    write(tmp_path, [])
    assert names(tmp_path) == {"event/CNAME"}


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"holds something that farandole docs did not write, and is left alone"):
        write(tmp_path, [("index.html", "")])
    assert names(tmp_path) == {"thesis.txt"}
    with pytest.raises(ConfigurationError, match=r"is left alone"):
        write(tmp_path / "thesis.txt", [("index.html", "")])


def test_a_list_that_somebody_changed_removes_nothing_outside(tmp_path: Path) -> None:
    site = tmp_path / "site"
    write(site, [("index.html", "")])
    (tmp_path / "precious").write_text("x")
    (site / LIST).write_text(f"../precious\n{tmp_path}/precious\nevent/../../precious\n")
    write(site, [("index.html", "")])
    assert (tmp_path / "precious").exists()


def test_a_run_that_is_cut_short_leaves_a_folder_that_the_next_one_cleans(tmp_path: Path) -> None:
    def broken() -> Iterator[tuple[str, str]]:
        yield "one.html", "1"
        raise RuntimeError("the power went out")

    with pytest.raises(RuntimeError):
        write(tmp_path, broken())
    write(tmp_path, [("two.html", "2")])
    assert names(tmp_path) == {"two.html"}


def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match=r"--output: .*file/site cannot be written: Not a directory"):
        write(tmp_path / "file" / "site", [])
