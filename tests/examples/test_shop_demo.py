"""`farandole demo` from end to end: on the real file against the oracle, in bad weather, and again after a crash."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import tomllib
from itertools import islice
from pathlib import Path

import pytest
from tests.counts import often
from tests.examples import oracle

import farandole
from examples.shop import shop
from examples.shop.performance import unless_it_stops
from farandole.cli import main

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.real_time


def run(capsys, *flags):
    code = main(["demo", "--json", *map(str, flags)])
    return code, json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_the_real_file_comes_to_what_the_rule_says_in_every_figure(shared, tmp_path, capsys):
    file = beginning_of(shared / "data" / "online_retail_2010_12.csv.gz", tmp_path / "orders.csv.gz")
    weather = ("--stock", "plenty", "--declines", 0, "--timeouts", 0, "--frauds", 0, "--duplicates", 0.2)
    code, told = run(capsys, "--orders", file, *weather)
    expected = oracle.decide(oracle.read(file))
    assert {name: told[name] for name in expected} == expected
    assert told["violations"] == []
    assert (code, told["open"], told["dead_letters"]) == (0, 0, 0)
    assert told["duplicates_suppressed"] > often(200, 1000)


def beginning_of(file, copy):
    """Its first eight thousand lines; all of it with FULL=1."""
    with gzip.open(file, "rt", encoding="utf-8") as lines, gzip.open(copy, "wt", encoding="utf-8") as some:
        some.writelines(islice(lines, often(8_000, 1_000_000)))
    return copy


def test_in_bad_weather_every_invariant_holds(capsys):
    code, told = run(
        capsys, "--invoices", 150, "--stock", "scarce", "--declines", 0.1, "--timeouts", 0.4, "--frauds", 0.3, "--duplicates", 0.3
    )
    assert told["violations"] == []
    assert (code, told["open"], told["dead_letters"]) == (0, 0, 0)
    assert set(told["cancelled_by_reason"]) == {"out of stock", "card declined", "suspected fraud", "the gateway did not answer"}
    assert told["retries"] > 0
    assert told["duplicates_suppressed"] > 0
    assert told["placed"] == told["confirmed"] + told["cancelled"]


def test_a_second_run_in_the_same_folder_changes_nothing(tmp_path, capsys):
    flags = ("--invoices", 60, "--data", tmp_path, "--timeouts", 0.2)
    _, first = run(capsys, *flags)
    code, second = run(capsys, *flags)
    changing = {"duplicates_suppressed", "retries", "seconds", "workflows_per_second"}
    assert {k: v for k, v in first.items() if k not in changing} == {k: v for k, v in second.items() if k not in changing}
    assert code == 0


def test_a_folder_with_other_orders_is_refused(tmp_path, capsys):
    run(capsys, "--invoices", 2, "--data", tmp_path)
    assert main(["demo", "--invoices", "3", "--data", str(tmp_path)]) == 2
    assert "it holds a run with other orders or stock" in capsys.readouterr().err


@pytest.mark.slow
def test_a_run_that_was_killed_is_finished_by_the_next_one(tmp_path, capsys):
    flags = ["--invoices", "120", "--data", str(tmp_path), "--timeouts", "0.2", "--seed", "5"]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    command = [sys.executable, "-m", "farandole.cli", "demo", "--json", *flags]
    for confirmed in (5, 50):
        with subprocess.Popen(command, env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.DEVNULL) as process:
            wait_until_confirmed(tmp_path / "orders.db", confirmed, process)
            process.send_signal(signal.SIGKILL)
    code, told = run(capsys, *flags)
    assert told["violations"] == []
    assert (code, told["open"]) == (0, 0)


def wait_until_confirmed(file, count, process):
    """Watch the database itself: nothing else tells from outside how far a run is."""
    import sqlite3

    while process.poll() is None:
        try:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as db:
                if db.execute("SELECT count(*) FROM orders WHERE state = 'confirmed'").fetchone()[0] >= count:
                    return
        except sqlite3.OperationalError:
            continue
    pytest.fail(f"the run ended with {process.returncode} before {count} orders were confirmed")


def test_the_summary_shows_the_chain_of_an_order_that_failed(capsys):
    assert main(["demo", "--invoices", "40", "--declines", "0.5", "--timeouts", "0"]) == 0
    shown = capsys.readouterr().out
    for words in (
        "orders placed",
        "duplicates suppressed",
        "workflows/s",
        "How one order failed",
        "PaymentFailed  payments",
        "StockReleased  inventory",
    ):
        assert words in shown
    assert "✓ the money adds up" in shown


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--orders", "."], "cannot be read"),
        (["--declines", "2"], "expected declines to be a share from 0 to 1"),
        (["--frauds", "2"], "expected frauds to be a share from 0 to 1"),
        (["--timeouts", "-1"], "expected timeouts to be a share from 0 to 1"),
        (["--duplicates", "nan"], "expected --duplicates to be a share from 0 to 1"),
        (["--invoices", "0"], "expected --invoices to be a whole number from 1 up"),
        (["--data", __file__], "--data"),
        (["--stock", "some"], "stock"),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(capsys, flags, words):
    assert main(["demo", *flags]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert (told.out, told.err.count("\n")) == ("", 1)


async def test_an_app_that_stops_ends_the_work_and_errors_of_the_work_come_through(tmp_path):
    async def wait_for_ever():
        app.stop()
        await asyncio.Event().wait()

    async def fail():
        raise LookupError("no such thing")

    async with farandole.open(shop, services=[], broker="memory://", database=f"sqlite:///{tmp_path}/{{service}}.db") as app:
        with pytest.raises(LookupError):
            await unless_it_stops(app, fail())
        await asyncio.wait_for(unless_it_stops(app, wait_for_ever()), timeout=10)


def demo_of(root, *, installed):
    """Run the demo from a copy of the package alone, as pyproject.toml lays out a wheel."""
    shutil.copytree(ROOT / "src" / "farandole", root / "farandole", ignore=shutil.ignore_patterns("__pycache__"))
    wheel = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    for path in wheel["only-include"]:
        if installed and path.startswith("examples/"):
            there = root / path.replace("examples", wheel["sources"]["examples"], 1)
            there.parent.mkdir(exist_ok=True)
            (shutil.copytree if (ROOT / path).is_dir() else shutil.copy)(ROOT / path, there)
    command = [sys.executable, "-m", "farandole.cli", "demo", "--json", "--invoices", "2"]
    return subprocess.run(
        command, cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, capture_output=True, text=True, check=False
    )


def test_the_installed_demo_needs_no_checkout(tmp_path):
    ran = demo_of(tmp_path / "a" / "b", installed=True)
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["open"] == 0


def test_a_demo_without_the_shop_says_what_to_do(tmp_path):
    ran = demo_of(tmp_path / "a" / "b", installed=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "farandole: the shop example is not installed. Install farandole again, from its wheel or checkout\n"


def test_a_folder_may_have_any_name(tmp_path, capsys):
    data = tmp_path / "50% off? a%20b"
    code, told = run(capsys, "--invoices", 20, "--data", data)
    assert (code, told["violations"]) == (0, [])
    assert {path.name for path in data.iterdir()} >= {"broker.db", "orders.db", "gateway.db"}
    assert [path.name for path in tmp_path.iterdir()] == [data.name]
