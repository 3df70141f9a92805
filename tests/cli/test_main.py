"""The command line as a whole: help, versions, and one clear line for every error."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.cli.kit import CAFE, Project

import farandole

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(farandole.__file__).parents[1])}


def test_help_names_every_command(cafe: Project) -> None:
    code, out, _ = cafe.run("--help")
    assert code == 0
    assert all(f"\n  {name} " in out for name in ("run", "trace", "status", "dead", "demo"))


def test_without_a_command_help_is_shown_and_nothing_was_done(cafe: Project) -> None:
    assert cafe.run()[0] == 2
    assert cafe.run("dead")[0] == 2


def test_version_is_the_package_s(cafe: Project) -> None:
    assert cafe.run("--version")[:2] == (0, f"farandole {farandole.__version__}\n")


@pytest.mark.parametrize(
    "command", ["run", "trace", "status", "dead", "dead list", "dead show", "dead retry", "dead discard", "check", "demo"]
)
def test_each_command_has_help(cafe: Project, command: str) -> None:
    code, out, _ = cafe.run(*command.split(), "--help")
    assert code == 0
    assert f"farandole {command}" in out


def test_help_and_version_import_no_command_line_library() -> None:
    program = (
        "import sys; from farandole.cli import main; main(['--help']); main(['--version']); "
        "print(sorted({'cyclopts', 'rich', 'sqlalchemy', 'asyncio'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("tokens", "line"),
    [
        (["rnu"], "farandole: there is no command 'rnu'. Did you mean run?"),
        (["status", "--nope"], "farandole status: Unknown option: --nope. See: farandole status --help"),
        (["trace"], "farandole trace: Parameter ID requires an argument. See: farandole trace --help"),
        (["dead", "discard", "--all"], 'farandole dead: Command "discard" parameter --reason requires an argument.'),
        (["status", "nowhere:shop"], "farandole: nowhere:shop: there is no module 'nowhere'"),
        (["status", "os.nowhere:shop"], "farandole: os.nowhere:shop: there is no module 'os.nowhere'"),
        (["status", "shop"], 'farandole: argument app: expected "module:variable"'),
        (["status", "--broker", "x"], "farandole: argument broker: expected a URL"),
        (["status", "--service", "order"], "farandole: services: 'shop' has no service 'order'. Did you mean orders?"),
        (["run", "--broker", "kafk://x"], "farandole: no broker answers to 'kafk://x'. Known are memory:, sqlite:"),
        (["run", "--database", "mysql://{service}"], "farandole: no database answers to 'mysql://orders'. Known are sqlite:"),
        (["run", "--database", "sqlite:///one.db"], "farandole: orders and payments would share the database sqlite:///one.db."),
        (["status"], "farandole: the broker sqlite:///.farandole/broker.db does not exist: start the services first"),
        (["status", "--broker", "memory://shop"], "farandole: the broker memory://shop lives inside one process"),
        (["status", "--max-age", "soon"], "farandole: --max-age: expected a duration such as"),
        (["dead", "retry"], "farandole: dead retry: which ones? Give an id or a filter"),
        (["dead", "retry", "--all", "--id", "1"], "farandole: dead retry: --all and filters exclude each other"),
        (["dead", "discard", "--all", "--reason", " "], "farandole: --reason: expected a text that tells others why"),
    ],
)
def test_a_wrong_word_is_one_line_with_the_remedy_and_exit_code_2(cafe: Project, tokens: list[str], line: str) -> None:
    code, out, err = cafe.run(*tokens)
    assert (code, out) == (2, "")
    assert err.startswith(line)
    assert err.count("\n") == 1


def test_a_variable_that_is_not_there_is_named_with_the_nearest(cafe: Project) -> None:
    code, _, err = cafe.run("status", f"{cafe.name}:shup")
    assert (code, err) == (2, f"farandole: {cafe.name}:shup: {cafe.name} has no 'shup'. Did you mean shop?\n")


def test_a_variable_that_is_no_choreography_is_told_apart(cafe: Project) -> None:
    code, _, err = cafe.run("status", f"{cafe.name}:nothing")
    assert (code, err) == (2, f"farandole: {cafe.name}:nothing: expected a Choreography, got int: 5\n")


def test_without_an_app_the_ways_to_name_one_are_told(cafe: Project) -> None:
    (cafe.folder / "farandole.toml").unlink()
    code, _, err = cafe.run("status")
    assert code == 2
    assert "which choreography? Give it as module:variable" in err


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("import nowhere_at_all", "ModuleNotFoundError: No module named 'nowhere_at_all'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("def (", "SyntaxError"),
    ],
)
def test_a_module_that_fails_to_import_is_one_line_with_the_place(
    project: Callable[..., Project], source: str, line: str
) -> None:
    mine = project(f"\n{source}\n")
    code, _, err = mine.run("status")
    assert (code, err.count("\n")) == (2, 1)
    assert f"importing {mine.name} failed: {line}" in err
    assert "SyntaxError" in line or f"{mine.name}.py:2)" in err


def test_a_declaration_error_is_one_line(project: Callable[..., Project]) -> None:
    mine = project("from farandole import Service\na = Service('a')\n@a.command\nasync def place(x): ...\n")
    code, _, err = mine.run("run")
    assert (code, err.count("\n")) == (2, 1)
    assert "a.place" in err
    assert "has no return annotation" in err


def test_a_dependency_that_nobody_provides_is_one_line(project: Callable[..., Project]) -> None:
    mine = project(CAFE.replace("payments.provide(Cashier, Cashier())", ""))
    code, _, err = mine.run("run")
    assert (code, err.count("\n")) == (2, 1)
    assert "payments.charge" in err
    assert "Cashier" in err


def test_a_window_shorter_than_the_retries_stops_the_start(cafe: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FARANDOLE_WINDOW", "1h")
    code, _, err = cafe.run("run")
    assert (code, err.count("\n")) == (2, 1)
    assert "window: expected at least 7200 s" in err
    assert "email.notify" in err


def test_a_folder_that_cannot_be_written_is_one_line(cafe: Project) -> None:
    (cafe.folder / "file").touch()
    code, _, err = cafe.run("run", "--broker", "sqlite:///file/broker.db")
    assert (code, err.count("\n")) == (2, 1)
    assert "file/broker.db" in err


def test_a_file_that_is_no_database_is_one_line(cafe: Project) -> None:
    (cafe.folder / "broker.db").write_text("hello, this is a letter and no database at all" * 100)
    code, _, err = cafe.run("status", "--broker", "sqlite:///broker.db")
    assert (code, err.count("\n")) == (2, 1)
    assert "broker.db" in err


@pytest.mark.parametrize("ask", ["--traceback", "FARANDOLE_DEBUG"])
def test_a_traceback_is_shown_where_it_is_asked_for(cafe: Project, monkeypatch: pytest.MonkeyPatch, ask: str) -> None:
    if ask == "FARANDOLE_DEBUG":
        monkeypatch.setenv(ask, "1")
    code, _, err = cafe.run("status", *([ask] if ask.startswith("-") else []))
    assert code == 2
    assert "Traceback (most recent call last)" in err


ODD = """
from farandole import Choreography, Service

class Odd(Choreography):
    @property
    def reactions(self):
        raise SystemError("the till is jammed")

shop = Odd("shop", Service("a"))
"""


def test_what_nobody_foresaw_shows_where_it_comes_from(project: Callable[..., Project]) -> None:
    code, _, err = project(ODD).run("run")
    assert code == 2
    assert "Traceback (most recent call last)" in err
    assert err.endswith("SystemError: the till is jammed\n")


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from farandole.cli import main; sys.exit(main(['--help']))"
    done = subprocess.run(
        [sys.executable, "-u", "-c", program], stdout=writer, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_interrupted_command_says_so_by_its_exit_code(project: Callable[..., Project]) -> None:
    assert project("raise KeyboardInterrupt").run("status")[0] == 130
