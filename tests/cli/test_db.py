"""`farandole db`: which schema databases have, and bringing them up to date."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path

import asyncpg
import pytest
from tests.servers import postgres_url

import farandole.stores
from farandole.cli import main
from farandole.stores.sqlite.migrate import latest

APP = "examples.shop:shop"


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_new_database_is_missing_then_upgraded_then_up_to_date(kind, schema, tmp_path, capsys):
    url = schema if kind == "postgres" else f"sqlite:///{tmp_path}/{{service}}.db"
    where = [APP, "--service", "payments", "--database", url]
    if kind == "postgres":
        where[-1] += "&migrate=no"
    assert main(["db", "status", *where]) == 1
    assert "missing: run farandole db upgrade" in capsys.readouterr().out
    assert main(["db", "upgrade", *where]) == 0
    assert main(["db", "upgrade", *where]) == 0
    assert "up to date" in capsys.readouterr().out
    assert main(["db", "status", *where, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)["payments"]
    assert found["schema"] == found["latest"] == latest()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_database_of_the_first_version_is_behind_and_keeps_its_rows_when_it_is_upgraded(kind, schema, tmp_path, capsys):
    folder = Path(farandole.stores.__file__).parent / kind / "migrations"
    first = (folder / "0001.sql").read_text() + (
        "CREATE TABLE farandole_schema (version integer NOT NULL); INSERT INTO farandole_schema VALUES (1);"
        "INSERT INTO farandole_inbox (reaction, id, state, handled_at, key, topic, body, reason, attempts) "
        "VALUES ('payments.charge', 'e-1', 'dead', 1, 'k', 't', 'x', 'no', 1);"
    )
    if kind == "sqlite":
        url = f"sqlite:///{tmp_path}/payments.db"
        with sqlite3.connect(tmp_path / "payments.db") as file:
            file.executescript(first)
    else:
        url = schema
        asyncio.run(_in_schema(schema.rpartition("schema=")[2], first))
    where = [APP, "--service", "payments", "--database", url]
    assert main(["db", "status", *where]) == 1
    assert "behind: run farandole db upgrade" in capsys.readouterr().out
    assert main(["db", "upgrade", *where]) == 0
    assert main(["db", "status", *where]) == 0
    capsys.readouterr()
    assert main(["dead", "list", "--app", APP, "--service", "payments", "--database", url, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["groups"][0]["ids"] == ["e-1"]
    assert main(["dead", "edits", "--app", APP, "--service", "payments", "--database", url]) == 0
    assert capsys.readouterr().out == "nothing was edited\n"


async def _in_schema(name, script):
    connection = await asyncpg.connect(postgres_url())
    await connection.execute(f'CREATE SCHEMA "{name}"; SET search_path = "{name}"; {script}')
    await connection.close()


def test_a_database_that_is_away_is_one_line(capsys):
    assert main(["db", "status", APP, "--service", "payments", "--database", "postgresql://me:hush@127.0.0.1:1/x"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot connect to postgresql://127.0.0.1:1/x" in said
    assert "hush" not in said
