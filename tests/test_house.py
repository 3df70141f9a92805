"""The house rules that no other tool holds: who may import whom, how long files are, what is public."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import farandole

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"
PACKAGE = SRC / "farandole"
SOURCES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

BASE = {"errors", "world", "process", "bell", "sockets", "version", "words"}
CONTRACTS = {"brokers.base", "stores.base", "stores.measures", "stores.record"}
PURE = BASE | {"model", "schema"}
RUNTIME = PURE | CONTRACTS | {"runtime"}
PLUGINS = {"observe", "sourcing", "sagas", "security"}
HOST = RUNTIME | PLUGINS | {"graph", "brokers", "stores", "config", "loading", "host"}

MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "world": set(),
    "process": set(),
    "version": set(),
    "bell": set(),
    "sockets": set(),
    "words": set(),
    "drawing": {"drawing"},
    "model": {"errors", "model"},
    "schema": {"errors", "model", "schema"},
    "graph": {"errors", "words", "model", "schema", "drawing", "graph"},
    "checks": {"errors", "words", "schema", "graph", "checks"},
    "manifest": {"errors", "words", "model", "schema", "graph", "checks", "manifest"},
    "brokers.base": PURE,
    "stores.base": PURE,
    "stores.measures": PURE,
    "stores.record": PURE | {"stores.measures"},
    "brokers": PURE | {"brokers", "brokers.base"},
    "stores": PURE | {"stores", "stores.base", "stores.measures", "stores.record"},
    "runtime": RUNTIME,
    "config": {"errors", "model", "config"},
    "loading": {"errors", "config"},
    **{plugin: RUNTIME | {plugin} for plugin in PLUGINS},
    "observe": RUNTIME | {"graph", "drawing", "config", "observe"},
    "host": HOST,
    "testing": HOST | {"testing", "graph", "checks"},
    "rehearse": HOST | {"drawing", "testing", "rehearse"},
    "pytest_plugin": {"rehearse"},
    "cli": HOST | {"cli", "drawing", "graph", "checks", "manifest", "testing", "rehearse", "web", ""},
    "web": HOST | {"drawing", "web", "graph", "checks", "manifest", ""},
    "": BASE | {"model", "host", "runtime", "observe"},  # the public names
}
"""For each part of the house, the parts that it may import. Imports point down; whoever is not named here has no place yet."""

NO_DRIVERS = {
    "drawing",
    "model",
    "schema",
    "graph",
    "checks",
    "manifest",
    "runtime",
    "observe",
    "brokers.base",
    "stores.base",
    "stores.measures",
    "stores.record",
    "config",
    "errors",
    "world",
    "process",
    "sockets",
    "words",
}
"""Parts that run without SQLAlchemy or any database driver."""

PUBLIC = """
    App Breaker BreakerOpen BrokerError Chain Choreography Command CommandRefused ConfigurationError Context CorrelationFilter DeclarationError
    Effects EmissionError EnvelopeError Event FarandoleError Guard Later Measure Move OutsideInTransaction Policy Process Reaction Receipt Reject Retry Sensitive
    Service Skip Status StoreError TransactionOwned UnknownInstance Workflow World all_items all_of allow_cycle any_of expect open
""".split()  # noqa: SIM905 - read as a text


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(SRC).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def part_of(module: str) -> str:
    """The part of the house that a module belongs to: its first folder or file, with the two contracts apart."""
    words = module.split(".")[1:]
    return ".".join(words[:2]) if ".".join(words[:2]) in CONTRACTS else ".".join(words[:1])


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Every import in a file, inside functions as well, with its line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: say where from: relative imports hide the direction"
            module = node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}"
                yield node.lineno, inner if inner in MODULES else module


def run(code: str) -> str:
    """What this code prints in an interpreter of its own."""
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SRC)}).stdout.strip()


# --- import directions


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str) -> None:
    part = part_of(module)
    assert part in MAY_IMPORT, f"{module} has no place in MAY_IMPORT"
    wrong = [
        f"{MODULES[module]}:{line} imports {target}: {part or 'farandole'} may not import {part_of(target) or 'farandole'}"
        for line, target in imports(MODULES[module])
        if target.split(".")[0] == "farandole" and part_of(target) not in MAY_IMPORT[part]
    ]
    assert wrong == []


@pytest.mark.parametrize("module", [module for module in MODULES if part_of(module) in NO_DRIVERS])
def test_the_pure_parts_and_the_runtime_know_no_driver(module: str) -> None:
    drivers = {"sqlalchemy", "sqlite3", "asyncpg", "aiosqlite", "confluent_kafka", "aio_pika", "nats", "redis"}
    assert [f"line {line}: {target}" for line, target in imports(MODULES[module]) if target.split(".")[0] in drivers] == []


def test_no_part_of_the_house_can_reach_itself_through_others() -> None:
    """The table above draws a graph without circles, but for a part and the contract that it keeps."""
    reached = {part: set(parts) - {part} for part, parts in MAY_IMPORT.items()}
    for _ in reached:
        reached = {part: parts.union(*(reached.get(other, set()) for other in parts)) for part, parts in reached.items()}
    assert [part for part, parts in reached.items() if part in parts] == []


def test_the_model_and_the_public_names_come_without_sqlalchemy_asyncio_or_sqlite() -> None:
    loaded = run(
        "import sys, farandole, farandole.model.wire\n"
        "farandole.Service, farandole.Event, farandole.Choreography\n"
        "print([m for m in ('sqlalchemy', 'asyncio', 'sqlite3', 'cyclopts', 'rich', 'opentelemetry') if m in sys.modules])"
    )
    assert loaded == "[]"


def test_the_runtime_comes_without_sqlalchemy() -> None:
    loaded = run(
        "import sys, importlib\n"
        f"for name in {[module for module in MODULES if part_of(module) == 'runtime']}: importlib.import_module(name)\n"
        "print('sqlalchemy' in sys.modules, 'farandole.stores.base' in sys.modules)"
    )
    assert loaded == "False True"


def test_importing_farandole_loads_declarations_and_nothing_heavy(record_property: Callable[[str, object], None]) -> None:
    """So that the command line answers in a moment: what a service declares needs no event loop, no database, no client library."""
    code = (
        "import sys, time; before, t = set(sys.modules), time.process_time(); import farandole; t = time.process_time() - t\n"
        "print(t, *sorted(set(sys.modules) - before))"
    )
    took, *loaded = run(code).split()
    record_property("import farandole", f"{float(took) * 1000:.0f} ms of the processor")
    libraries = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    assert libraries <= {"farandole", "msgspec", "typing_extensions"}
    assert {"asyncio", "sqlite3", "ssl", "http", "email", "logging", "subprocess"}.isdisjoint(loaded)
    assert len(loaded) < 110, "of which Python's own inspect, dataclasses and re bring most"


# --- files


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_a_file_is_read_in_one_sitting_and_says_what_it_is_for(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 500
    first = ast.get_docstring(ast.parse(text))
    assert first, f"{path} does not say what it is for"
    assert len(first.splitlines()[0]) > 10


@pytest.mark.parametrize("path", TESTS, ids=lambda path: str(path.relative_to(ROOT / "tests")))
def test_no_test_sleeps_on_a_real_clock(path: Path) -> None:
    sleeps = [
        f"{path}:{node.lineno}"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and node.attr == "sleep"
        and isinstance(node.value, ast.Name)
        and node.value.id == "time"
    ]
    assert sleeps == []


@pytest.mark.parametrize("path", [path for path in TESTS if path.name.startswith("test_")], ids=lambda path: path.stem)
def test_test_names_are_sentences(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [
        node.name
        for node in ast.walk(tree)
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_")
    ]
    assert [name for name in names if len(name.split("_")) < 4] == []


# --- public names


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(farandole.__all__) == sorted(PUBLIC)


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(farandole, name)
    assert inspect.getdoc(value)
    assert name in dir(farandole)


def test_a_misspelt_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'farandole' has no attribute 'Evnt'"):
        farandole.Evnt  # noqa: B018


def test_the_version_is_one_that_pip_understands() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", farandole.__version__)
