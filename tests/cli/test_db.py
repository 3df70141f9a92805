"""`farandole db`: which schema databases have, and bringing them up to date."""

from __future__ import annotations

import json

import pytest

from farandole.cli import main

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
    assert found["schema"] == found["latest"] == 2


def test_a_database_that_is_away_is_one_line(capsys):
    assert main(["db", "status", APP, "--service", "payments", "--database", "postgresql://me:hush@127.0.0.1:1/x"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "cannot connect to postgresql://127.0.0.1:1/x" in said
    assert "hush" not in said
