"""`farandole new`: a project that works, and one more service in it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

import farandole
from farandole.cli import main

SRC = str(Path(farandole.__file__).parents[1])
ENVIRONMENT = {**os.environ, "PYTHONPATH": SRC, "PYTHONDONTWRITEBYTECODE": "1"}
NUMBER = count()

Run = Callable[..., tuple[int, str, str]]


CACHE = Path(__file__).parents[2] / ".mypy_cache" / f"of-tests-{os.environ.get('PYTEST_XDIST_WORKER', '')}"
"""What mypy knows of Farandole itself is the same for all these tests."""


def tool(folder: Path, *words: str) -> str:
    """What a program says that must succeed in this folder."""
    done = subprocess.run(
        [sys.executable, "-m", *words], cwd=folder, capture_output=True, text=True, check=False, env=ENVIRONMENT
    )
    assert done.returncode == 0, f"{words}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def gates(folder: Path) -> None:
    """All that a project must pass."""
    tool(folder, "ruff", "format", "--check", "--no-cache", ".")
    tool(folder, "ruff", "check", "--select", "E,F,I,B,UP", "--no-cache", ".")
    tool(folder, "mypy", "--strict", "--cache-dir", str(CACHE), ".")
    tool(folder, "pytest", "-q", "-p", "no:cacheprovider")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs commands in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", SRC)

    def command(*tokens: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = main(["new", *tokens])
        return code, *capsys.readouterr()

    return command


@pytest.fixture
def shop(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A new project, as the current folder; its modules are forgotten afterwards."""
    name = f"shop{next(NUMBER)}"
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert run(name)[0] == 0
    monkeypatch.chdir(tmp_path / name)
    yield tmp_path / name
    for module in [module for module in sys.modules if module.partition(".")[0] == name or module == "flat"]:
        del sys.modules[module]


def tree(folder: Path) -> dict[str, bytes]:
    """Everything in a folder, but for what Python compiles."""
    return {
        str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }


# --- a project


@pytest.mark.real_time
@pytest.mark.slow
def test_a_new_project_is_formatted_typed_and_sound_and_its_tests_pass(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("teashop")
    assert (code, out.startswith("teashop/ is there")) == (0, True)
    gates(tmp_path / "teashop")
    assert "Nothing found" in tool(tmp_path / "teashop", "farandole.cli", "check")


@pytest.mark.real_time
@pytest.mark.slow
def test_a_new_project_runs_takes_orders_and_stops_when_it_is_told(run: Run, tmp_path: Path) -> None:
    run("teashop")
    folder = tmp_path / "teashop"
    command = [sys.executable, "-m", "farandole.cli", "run"]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if line.startswith("running"):
                break
        assert "OrderConfirmed(order_id='o-1')" in tool(folder, "teashop", "o-1", "tea", "2")
        assert "o-1 is known already" in tool(folder, "teashop", "o-1", "tea", "2")
        assert "OrderCancelled" in tool(folder, "teashop", "o-2", "tea", "9")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_every_command_in_the_readme_of_a_new_project_exists(run: Run, tmp_path: Path) -> None:
    run("teashop")
    from farandole.cli import _COMMANDS

    text = (tmp_path / "teashop" / "README.md").read_text()
    commands = [line.split()[1] for line in text.splitlines() if line.startswith("farandole ")]
    assert commands == ["check", "run", "status", "trace", "new"]
    assert set(commands) <= set(_COMMANDS)
    assert "$project" not in "".join(path.read_text() for path in (tmp_path / "teashop").rglob("*") if path.is_file())


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Tea-Shop", "expected up to 30 lower-case letters, digits and _, such as tea_shop"),
        ("1shop", "such as shop"),
        ("", "such as teashop"),
        ("../up", "such as up"),
        ("s" * 31, "up to 30"),
        ("class", "it is a word of Python"),
        ("match", "it is a word of Python"),
        ("service", "that name is taken"),
        ("json", "that name is taken by Python"),
        ("farandole", "that name is taken"),
    ],
)
def test_a_name_that_cannot_be_a_package_is_refused(run: Run, tmp_path: Path, name: str, reason: str) -> None:
    code, out, err = run(*(("--", name) if name == "service" else (name,)))
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert reason in err
    assert tree(tmp_path) == {}


def test_a_folder_that_is_there_is_left_alone(run: Run, tmp_path: Path) -> None:
    (tmp_path / "teashop").mkdir()
    code, _, err = run("teashop")
    assert (code, err.count("\n")) == (2, 1)
    assert "is there already, and nothing is overwritten" in err
    assert list((tmp_path / "teashop").iterdir()) == []


def test_without_a_name_nothing_is_made(run: Run, tmp_path: Path) -> None:
    code, _, err = run()
    assert code == 2
    assert "PROJECT" in err
    assert list(tmp_path.iterdir()) == []


def test_where_nothing_can_be_written_nothing_is_left_behind(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from farandole.cli import scaffold

    monkeypatch.setitem(scaffold._FILES, "stock.py", "README.md/stock.py")  # a file is no folder
    code, _, err = run("teashop")
    assert (code, err.count("\n")) == (2, 1)
    assert "cannot be written" in err
    assert list(tmp_path.iterdir()) == []


# --- a service


@pytest.mark.real_time
@pytest.mark.slow
def test_a_service_is_added_with_a_test_and_new_events_and_all_gates_still_pass(run: Run, shop: Path) -> None:
    code, out, _ = run("service", "payments", "--on", "OrderPlaced", "--emits", "PaymentCompleted,PaymentFailed")
    assert code == 0
    assert f"wrote   {shop.name}/services/payments.py" in out
    assert f"changed {shop.name}/__init__.py" in out
    assert "PaymentCompleted, PaymentFailed: say in" in out
    gates(shop)
    assert "3 services, 5 reactions, 8 messages" in tool(shop, "farandole.cli", "check")
    code, _, err = run("service", "payments", "--on", "OrderPlaced")
    assert (code, err.count("\n")) == (2, 1)


@pytest.mark.real_time
@pytest.mark.slow
def test_long_names_and_several_events_are_formatted_too(run: Run, shop: Path) -> None:
    emits = "SomethingQuiteUnusualHasHappened,SomethingElseQuiteUnusualHasHappened,NothingOfTheSortHasEverHappened"
    assert run("service", "notifications_for_customers", "--on", "OrderConfirmed,OrderCancelled", "--emits", emits)[0] == 0
    assert run("service", "log", "--on", "OrderConfirmed")[0] == 0
    assert (
        run("service", "accounts", "--on", "OrderPlaced,OrderConfirmed,OrderCancelled,StockReserved", "--reaction", "count")[0]
        == 0
    )
    gates(shop)
    source = (shop / shop.name / "services" / "accounts.py").read_text()
    assert "async def count(event: OrderPlaced | OrderConfirmed | OrderCancelled | StockReserved) -> None:" in source


@pytest.mark.real_time
def test_an_event_that_exists_and_nobody_emits_is_imported_and_filled(run: Run, shop: Path) -> None:
    events = shop / shop.name / "events.py"
    events.write_text(
        events.read_text() + '\n\nclass Told(Event, key="order_id"):\n    order_id: str\n    by: str\n    at: int\n'
    )
    assert run("service", "mail", "--on", "OrderPlaced", "--emits", "Told")[0] == 0
    source = (shop / shop.name / "services" / "mail.py").read_text()
    assert 'return Told(order_id=event.order_id, by="", at=0)' in source
    assert events.read_text().count("class Told") == 1
    gates(shop)


@pytest.mark.real_time
def test_an_event_that_cannot_be_made_up_is_left_to_be_written(run: Run, shop: Path) -> None:
    events = shop / shop.name / "events.py"
    text = "from datetime import datetime\n\n" + events.read_text().partition("\n\n")[2]
    events.write_text(
        f'"""Events."""\n\n{text}\n\nclass Told(Event):\n    since: datetime\n\n\nclass Heard(Event):\n    at: datetime\n'
    )
    orders = shop / shop.name / "services" / "orders.py"
    orders.write_text(
        orders.read_text().replace("    OrderCancelled,\n", "    Heard,\n    OrderCancelled,\n", 1)
        + ("\n\n@orders.on(OrderPlaced)\nasync def hear(event: OrderPlaced) -> Heard | None:\n    return None\n")
    )
    assert run("service", "mail", "--on", "Heard", "--emits", "Told")[0] == 0
    assert 'raise NotImplementedError("TODO: mail.on_heard")' in (shop / shop.name / "services" / "mail.py").read_text()
    assert "assert on_heard.events == (Heard,)" in (shop / "tests" / "test_mail.py").read_text()
    gates(shop)


@pytest.mark.parametrize(
    ("tokens", "reason"),
    [
        (("payments", "--on", "OrderPlacd"), "there is no event OrderPlacd in shop"),
        (("payments", "--on", "OrderPlacd"), "Did you mean OrderPlaced?"),
        (("payments", "--on", ","), "what does payments react to?"),
        (("payments",), "--on"),
        (("orders", "--on", "OrderPlaced"), "has a service orders already"),
        (("Pay-ments", "--on", "OrderPlaced"), "such as pay_ments"),
        (("import", "--on", "OrderPlaced"), "it is a word of Python"),
        (("payments", "--on", "OrderPlaced", "--emits", "OrderPlaced"), "OrderPlaced is given twice"),
        (("payments", "--on", "OrderPlaced", "--emits", "OrderConfirmed"), "OrderConfirmed is emitted by orders already"),
        (("payments", "--on", "OrderPlaced", "--emits", "paid"), "an event cannot be called 'paid'"),
        (("payments", "--on", "OrderPlaced", "--emits", "Service"), "an event cannot be called 'Service'"),
        (("payments", "--on", "OrderPlaced", "--emits", "None"), "an event cannot be called 'None'"),
        (("payments", "--on", "OrderPlaced", "--emits", "PlaceOrder"), "has a name PlaceOrder that is no event"),
        (("payments", "--on", "OrderPlaced", "--reaction", "payments"), "as the service is"),
        (("payments", "--on", "OrderPlaced", "--reaction", "On It"), "a reaction cannot be called"),
    ],
)
def test_what_cannot_be_added_is_one_line_and_changes_nothing(run: Run, shop: Path, tokens: tuple[str, ...], reason: str) -> None:
    before = tree(shop)
    code, out, err = run("service", *tokens)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert reason in err
    assert tree(shop) == before


@pytest.mark.parametrize("place", ["{name}/services/payments.py", "tests/test_payments.py"])
def test_a_file_that_is_there_is_never_overwritten(run: Run, shop: Path, place: str) -> None:
    (shop / place.format(name=shop.name)).write_text("# mine\n")
    before = tree(shop)
    code, _, err = run("service", "payments", "--on", "OrderPlaced")
    assert (code, err.count("\n")) == (2, 1)
    assert "is there already, and nothing is overwritten" in err
    assert tree(shop) == before


def test_outside_of_a_project_it_says_where_to_go(run: Run, tmp_path: Path) -> None:
    code, _, err = run("service", "payments", "--on", "OrderPlaced")
    assert (code, err.count("\n")) == (2, 1)
    assert "which choreography? Run this in a project" in err


def test_a_choreography_that_is_built_in_another_way_is_left_alone_and_the_lines_are_shown(run: Run, shop: Path) -> None:
    path = shop / shop.name / "__init__.py"
    text = path.read_text()
    path.write_text(text.replace(", orders, stock, workflows", ", *[orders, stock], workflows"))
    before = path.read_bytes()
    code, out, _ = run("service", "payments", "--on", "OrderPlaced", "--emits", "PaymentCompleted")
    assert code == 1
    assert path.read_bytes() == before
    assert "    from .services.payments import payments\n" in out
    assert "    choreography = Choreography(…, payments)\n" in out
    assert (shop / shop.name / "services" / "payments.py").exists()


@pytest.mark.real_time
def test_if_the_choreography_cannot_be_imported_afterwards_all_is_put_back(run: Run, shop: Path) -> None:
    (shop / shop.name / "services" / "__init__.py").write_text(
        '"""Services."""\n\nimport pathlib\n\nassert len(list(pathlib.Path(__file__).parent.glob("*.py"))) < 4, "three are enough"\n'
    )
    before = tree(shop)
    code, out, err = run("service", "payments", "--on", "OrderPlaced", "--emits", "PaymentCompleted")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert "all was put back" in err
    assert "AssertionError: three are enough" in err
    assert tree(shop) == before


def test_events_beside_the_choreography_would_go_round_in_a_circle(run: Run, shop: Path) -> None:
    (shop / "flat.py").write_text(
        "from farandole import Choreography, Command, Event, Service\n\n"
        "class Ask(Command): ...\n\nclass Asked(Event): ...\n\ndesk = Service('desk')\n\n"
        "@desk.command\nasync def ask(command: Ask) -> Asked:\n    return Asked()\n\nflat = Choreography('flat', desk)\n"
    )
    before = tree(shop)
    code, _, err = run("service", "payments", "--on", "Asked", "--app", "flat:flat")
    assert (code, err.count("\n")) == (2, 1)
    assert "Move the events into a module of their own first" in err
    assert tree(shop) == before
