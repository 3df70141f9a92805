"""What the pages say is true: their code runs, their commands parse, their links lead somewhere, their tests exist.

Marks stand in a comment on the line before a block:

    <!-- no-run -->          Python that is compiled, not run
    <!-- file: hello.py -->  what is written to a file of this name; Python is imported, unless it is a program
    <!-- run -->             commands that are run, each to exit code 0; … in the output that is shown stands for anything
    <!-- run to 1 -->        the same, to exit code 1: they find something

The blocks of one page share a namespace and a folder, in order.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import runpy
import shlex
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import cyclopts
import pytest
from tests.servers import server

from farandole import cli, config
from farandole.brokers import open_broker
from farandole.checks.registry import rules
from farandole.stores import open_store
from farandole.world import World

ROOT = Path(__file__).parents[1]
GUIDES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = [
    *GUIDES,
    *sorted((ROOT / "docs" / "adr").glob("*.md")),
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
FENCE = re.compile(r"^```(\w*)\s*$")
MARK = re.compile(r"<!-- (no-run|run|run to 1|file: ([\w.]+)) -->")
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, text, first line in the page, and mark."""

    language: str
    text: str
    line: int
    mark: str


def blocks(page: Path) -> Iterator[Block]:
    lines = page.read_text(encoding="utf-8").splitlines()
    start, language, before = 0, "", ""
    for number, line in enumerate(lines):
        fence = FENCE.match(line)
        if start and line == "```":
            mark = MARK.match(before)
            yield Block(language, "\n".join(lines[start:number]) + "\n", start, mark[1] if mark else "")
            start, before = 0, ""
        elif not start and fence:
            start, language = number + 1, fence[1]
        elif not start and line.strip():
            before = line
    assert not start, f"{page}:{start}: a block that does not end"


def prose(page: Path) -> str:
    """A page without its blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


WITH_CODE = [page for page in GUIDES if any(block.language == "python" for block in blocks(page))]


# --- code


@pytest.mark.real_time
@pytest.mark.parametrize("page", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs_from_top_to_bottom(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("COLUMNS", "120")
    module = ModuleType(f"page_{page.stem.replace('-', '_')}")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    before = set(sys.modules)
    try:
        for block in blocks(page):
            if block.language == "python":
                run_python(page, block, module, tmp_path)
            elif block.mark.startswith("file: "):
                (tmp_path / block.mark.removeprefix("file: ")).write_text(block.text, encoding="utf-8")
            elif block.mark in ("run", "run to 1"):
                capsys.readouterr()
                run_commands(page, block, capsys)
    finally:
        for name in set(sys.modules) - before:
            if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
                del sys.modules[name]


def run_python(page: Path, block: Block, module: ModuleType, folder: Path) -> None:
    awaits = ast.PyCF_ALLOW_TOP_LEVEL_AWAIT if block.mark == "no-run" else 0  # an excerpt may begin in the middle
    code = compile("\n" * block.line + block.text, str(page), "exec", flags=awaits)
    if block.mark.startswith("file: "):
        name = block.mark.removeprefix("file: ")
        (folder / name).write_text(block.text, encoding="utf-8")
        importlib.invalidate_caches()
        if "asyncio.run(" in block.text:
            return  # a program: the page says when it runs
        written = importlib.import_module(name.removesuffix(".py"))
        vars(module).update({key: value for key, value in vars(written).items() if not key.startswith("__")})
    elif block.mark != "no-run":
        exec(code, vars(module))


def run_commands(page: Path, block: Block, capsys: pytest.CaptureFixture[str]) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        command, _, shown = part.partition("\n")
        words = shlex.split(command)
        where = f"{name_of(page)}:{block.line}: {command}"
        if words[0] == "farandole":
            code = 1 if block.mark == "run to 1" else 0
            assert cli.main(words[1:]) == code, f"{where}\n{capsys.readouterr().err}"
        elif words[0] == "python":
            runpy.run_path(words[1], run_name="__main__")
        else:
            raise AssertionError(f"{where}: nobody here knows how to run {words[0]}")
        said = capsys.readouterr().out
        pattern = r"\s+".join(".*".join(map(re.escape, word.split("…"))) for word in shown.split())
        assert re.fullmatch(pattern, said.strip(), re.DOTALL), f"{where} printed\n{said}"


# --- commands


def commands() -> Iterator[tuple[str, str]]:
    """Every `farandole …` in the pages, in blocks and in the text."""
    for page in PAGES:
        found = [code for code in CODE.findall(prose(page)) if code.startswith("farandole ")]
        for block in blocks(page):
            if block.language in ("sh", "console"):
                lines = (line.removeprefix("$ ").partition("#")[0].strip() for line in block.text.splitlines())
                found += [line for line in lines if line.startswith("farandole ")]
        for command in dict.fromkeys(found):
            yield name_of(page), command


@pytest.mark.parametrize(("page", "command"), list(commands()))
def test_every_command_and_flag_exists(page: str, command: str) -> None:
    word, *tokens = shlex.split(command.removeprefix("farandole ").replace("…", "X"))
    if word.startswith("--"):
        assert word in ("--help", "--version", "--traceback")
        return
    assert word in cli._COMMANDS, f"{page}: there is no command {word!r}"
    file = word.replace("-", "_")
    module = importlib.import_module(f"farandole.cli.{file}")
    app = cyclopts.App(default_parameter=cyclopts.Parameter(negative=()))
    if hasattr(module, "COMMANDS"):
        for name, function in module.COMMANDS.items():
            app.command(function, name=name)
        known = not tokens or tokens[0] in module.COMMANDS or hasattr(module, file)
        assert known, f"{page}: {command}: there is no such command"
    if hasattr(module, file):
        app.default(getattr(module, file))
    words = 1 if tokens and tokens[0] in getattr(module, "COMMANDS", ()) else 0
    if len(tokens) > words:  # less is the command's name, in the text
        app.parse_args(tokens, exit_on_error=False, print_error=False)


def test_a_wrong_flag_in_a_page_would_be_noticed() -> None:
    with pytest.raises(cyclopts.CycloptsError):
        test_every_command_and_flag_exists("a page", "farandole status --no-such-flag")


# --- links and places


def anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{name_of(page)}: {link}"
        assert target.is_relative_to(ROOT), f"{name_of(page)}: {link} leaves the project"
        assert not anchor or anchor in anchors(target), f"{name_of(page)}: {link}: no such heading"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        page = todo.pop()
        if page in reached:
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(prose(page)) if not re.match(r"[a-z]+:", link))
        todo += [(page.parent / link).resolve() for link in links if link.endswith(".md")]
    assert sorted(name_of(page) for page in PAGES if page not in reached) == []


def places(page: Path) -> list[str]:
    """The paths in code spans: what has a slash and an ending, or ends in a slash."""
    return [code for code in CODE.findall(prose(page)) if re.fullmatch(r"[\w./-]+/([\w.-]+\.(py|sql|md|toml|svg))?", code)]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_path_in_the_text_exists(page: Path) -> None:
    roots = (ROOT, ROOT / "src" / "farandole")
    assert [place for place in places(page) if not any((root / place).exists() for root in roots)] == []


def test_architecture_names_many_files() -> None:
    assert len(set(places(ROOT / "docs" / "architecture.md"))) > 30


def functions_in(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


@pytest.mark.parametrize("page", GUIDES, ids=name_of)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    missing = []
    for code in CODE.findall(prose(page)):
        file, found, name = code.partition("::")
        if found and name not in functions_in(ROOT / file):
            missing.append(code)
    assert missing == []


def test_every_promise_names_a_test() -> None:
    rows = re.findall(r"^\| \*\*.*$", prose(ROOT / "docs" / "guarantees.md"), flags=re.MULTILINE)
    assert len(rows) >= 6
    assert [row for row in rows if "::test_" not in row] == []


# --- tables that repeat the code


def section(page: str, heading: str) -> str:
    return (ROOT / "docs" / page).read_text(encoding="utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_column(page: str, heading: str) -> set[str]:
    """The code spans in the first cells of the table under a heading."""
    rows = [line.split("|")[1] for line in section(page, heading).splitlines() if line.startswith("| `")]
    return {code for row in rows for code in CODE.findall(row)}


def test_the_page_of_the_configuration_has_every_key_and_no_other() -> None:
    assert first_column("configuration.md", "Keys") == set(config._KEYS)


def test_every_option_of_a_url_is_taken_by_what_the_page_says(tmp_path: Path) -> None:
    rows = [line.split("|")[1:3] for line in section("configuration.md", "URLs").splitlines() if "=" in line and "//" not in line]
    assert len(rows) > 4
    for option, where in rows:
        url = f"sqlite:///{tmp_path}/x.db?{option.strip(' `')}"
        if "broker" in where or "both" in where:
            open_broker(url, World())
        if "database" in where or "both" in where:
            open_store(url, World())


def test_the_page_of_reactions_has_every_policy_and_retry_option_and_no_other() -> None:
    from farandole import Policy, Retry

    assert first_column("reactions.md", "Policies") == set(inspect.signature(Policy).parameters)
    assert first_column("reactions.md", "Retries") == set(inspect.signature(Retry).parameters)


def test_the_tables_of_rules_are_made_from_the_rules() -> None:
    from scripts.rule_table import page

    text = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
    assert text.count("| `") > 30
    assert text == page(text), "run: python -m scripts.rule_table"


def test_the_readme_says_how_many_rules_there_are() -> None:
    tens, ones = divmod(len(rules()), 10)
    words = ["", "-one", "-two", "-three", "-four", "-five", "-six", "-seven", "-eight", "-nine"]
    number = {2: "Twenty", 3: "Thirty", 4: "Forty", 5: "Fifty", 6: "Sixty"}[tens] + words[ones]
    assert f"[{number} rules](docs/checks.md)" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_page_of_checks_has_every_severity() -> None:
    from farandole.checks.settings import SEVERITIES

    assert first_column("checks.md", "Configuration") == set(SEVERITIES)


async def test_the_page_of_the_brokers_says_what_the_brokers_say(tmp_path: Path) -> None:
    from scripts.capabilities import HEAD, PAGE, asked, embedded, rewritten, rows_of

    page = PAGE.read_text(encoding="utf-8")
    found = await asked(embedded(tmp_path))
    assert len(found) == 3
    assert {name: rows_of(page)[name] for name in found} == found, "run: python -m scripts.capabilities"
    assert rewritten(page, found) == page
    assert {row.count(" | ") for row in rows_of(page).values()} == {HEAD.partition("\n")[0].count(" | ")}


@pytest.mark.servers
@pytest.mark.real_time
async def test_the_page_of_the_brokers_says_what_those_with_servers_say() -> None:
    from scripts.capabilities import PAGE, asked, rows_of, servers

    for name in ("postgres", "kafka", "nats", "rabbitmq", "redis"):
        server(name)
    found = await asked(servers())
    page = rows_of(PAGE.read_text(encoding="utf-8"))
    assert len(found) == 5
    assert {name: page[name] for name in found} == found, "run: python -m scripts.capabilities"


def test_rows_of_brokers_that_were_not_asked_stay() -> None:
    from scripts.capabilities import BEGIN, END, rewritten, rows_of

    page = rewritten(f"before {BEGIN}\n{END} after", {"`a://…`": "| `a://…` | yes |", "`b://…`": "| `b://…` | no |"})
    again = rewritten(page, {"`b://…`": "| `b://…` | maybe |"})
    assert list(rows_of(again).values()) == ["| `a://…` | yes |", "| `b://…` | maybe |"]
    assert again.startswith("before ")
    assert again.endswith(" after")


def test_the_page_on_rehearsals_names_every_fault() -> None:
    from farandole.rehearse.faults import names

    told = set(CODE.findall((ROOT / "docs" / "rehearsal.md").read_text()))
    assert set(names()) <= told
