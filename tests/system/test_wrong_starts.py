"""`farandole run` where something is wrong: one line that names it and says what to do, exit code 2, no traceback."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import farandole

APP = """
from farandole import Choreography, Event, Service

class Told(Event, of="elsewhere.news", key="id"):
    id: str

class Gateway: ...

desk = Service("desk")

@desk.on(Told)
async def write_down(event: Told) -> None: ...

office = Choreography("office", desk)
number = 5
"""
UNPROVIDED = APP.replace("(event: Told)", "(event: Told, gateway: Gateway)")
UNANNOTATED = APP.replace(" -> None", "")
BROKEN = APP.replace("office =", "office = missing +")
SLOW = APP.replace(
    "@desk.on(Told)", "@desk.on(Told, policy=Policy(retry=Retry(attempts=9, delay=86400, longest=86400)))"
).replace("import Choreography", "import Policy, Retry, Choreography")


def nothing(folder: Path) -> None:
    """All is well here."""


def a_file(folder: Path) -> None:
    (folder / "file").write_text("dear diary, " * 400)


def a_newer_broker(folder: Path) -> None:
    change(folder / "log.db", "CREATE TABLE broker_schema (version, partitions)", "INSERT INTO broker_schema VALUES (99, 12)")


def a_newer_database(folder: Path) -> None:
    change(folder / "desk.db", "CREATE TABLE farandole_schema (version)", "INSERT INTO farandole_schema VALUES (99)")


def change(path: Path, *statements: str) -> None:
    with sqlite3.connect(path) as db:
        for statement in statements:
            db.execute(statement)
    db.close()


def run(folder: Path, *tokens: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(Path(farandole.__file__).parents[1])}
    command = [sys.executable, "-m", "farandole.cli", *tokens]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)


Prepare = Callable[[Path], None]
CASES: dict[str, tuple[str, Prepare, list[str], list[str]]] = {
    "no app at all": (APP, nothing, [], ["which choreography?", "module:variable"]),
    "an app that is no name": (APP, nothing, ["office_app"], ["expected", "module:variable", "got: 'office_app'"]),
    "an unknown module": (APP, nothing, ["offise_app:office"], ["there is no module 'offise_app'", "Run this where"]),
    "a module without the variable": (APP, nothing, ["office_app:offise"], ["has no 'offise'", "Did you mean office?"]),
    "a variable of another type": (APP, nothing, ["office_app:number"], ["expected a Choreography, got int: 5"]),
    "a module that fails": (BROKEN, nothing, ["office_app:office"], ["NameError", "office_app.py:14"]),
    "an unknown option": (APP, nothing, ["office_app:office", "--databse", "x"], ["--databse", "farandole run --help"]),
    "an unknown service": (APP, nothing, ["office_app:office", "--service", "dest"], ["no service 'dest'", "Did you mean desk?"]),
    "a broker of no known scheme": (
        APP, nothing, ["office_app:office", "--broker", "kafkaesque://x"], ["no broker answers to 'kafkaesque://x'", "sqlite:"]),
    "a database of no known scheme": (
        APP, nothing, ["office_app:office", "--database", "oracle://x"], ["no database answers to 'oracle://x'", "sqlite:"]),
    "a broker below a file": (
        APP, a_file, ["office_app:office", "--broker", "sqlite:///file/log.db"], ["broker file", "file/log.db", "Check the path"]),
    "a database below a file": (
        APP, a_file, ["office_app:office", "--database", "sqlite:///file/{service}.db"], ["file/desk.db", "give another path"]),
    "a folder in place of the broker": (
        APP, nothing, ["office_app:office", "--broker", "sqlite:///."], ["broker file", "it is a folder: name a file in it"]),
    "a folder in place of the database": (
        APP, nothing, ["office_app:office", "--database", "sqlite:///."], ["cannot open the database", "It is a folder: name a file in it"]),
    "a broker that is no database": (
        APP, a_file, ["office_app:office", "--broker", "sqlite:///file"], ["broker file", "not a database", "or give another"]),
    "a database that is none": (
        APP, a_file, ["office_app:office", "--database", "sqlite:///file"], ["is not a SQLite database", "Give another path"]),
    "a broker from a newer version": (APP, a_newer_broker, ["office_app:office"], ["log.db has schema version 99", "upgrade"]),
    "a database from a newer version": (APP, a_newer_database, ["office_app:office"], ["desk.db has schema 99", "Upgrade"]),
    "a dependency nobody provides": (
        UNPROVIDED, nothing, ["office_app:office"], ["desk.write_down", "'gateway'", "office_app.py:11", "desk.provide(Gateway"]),
    "a reaction without a return annotation": (UNANNOTATED, nothing, ["office_app:office"], ["desk.write_down", "-> None", "office_app.py:11"]),
    "a window shorter than the retries": (SLOW, nothing, ["office_app:office"], ["window: expected at least", "Lengthen the window"]),
}  # fmt: skip


@pytest.mark.real_time
@pytest.mark.parametrize("name", CASES)
def test_a_start_that_cannot_be_says_why_and_what_to_do(name: str, tmp_path: Path) -> None:
    source, prepare, tokens, words = CASES[name]
    (tmp_path / "office_app.py").write_text(source, encoding="utf-8")
    (tmp_path / "farandole.toml").write_text('broker = "sqlite:///log.db"\ndatabase = "sqlite:///{service}.db"\n')
    prepare(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir() if path.name in ("file", "office_app.py")}
    done = run(tmp_path, "run", *tokens)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("farandole")
    assert done.stderr.count("\n") == 1, done.stderr
    assert [word for word in words if word not in done.stderr] == [], done.stderr
    assert {path: path.read_bytes() for path in before} == before, "a file that is not ours was changed"
