"""Changes the code in one small place at a time and runs the tests that should notice: those which no test notices are listed.

    python scripts/mutants.py src/farandole/runtime/relay.py ...        python scripts/mutants.py --list FILE
    python scripts/mutants.py --only 12,47 FILE                         python scripts/mutants.py --jobs 4 FILE

The changes: another comparison, `and` for `or`, another operator, another constant, `None` returned, a statement left out, a branch
swapped. Nothing is written to disk: each mutant is compiled in a fork of this process, where the import system finds it in the place
of the module. The tests are those beside the file's twin (`runtime/relay.py`: `tests/runtime/`), its own first.
"""

from __future__ import annotations

import argparse
import ast
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import CodeType, ModuleType

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src", ROOT / "tests"
MEMORY = 4 * 2**30  # bytes; mutants that grow or loop for ever count as noticed
KEPT = {"__all__", "__slots__", "__doc__"}

COMPARE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
}  # fmt: skip
OPERATE: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add, ast.Pow: ast.Mult,
}  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """One change: its number in the file, where it is, and what it replaces by what."""

    number: int
    line: int
    before: str
    after: str
    tree: ast.Module

    def __str__(self) -> str:
        return f"{self.number:4}  line {self.line}: {self.before}  ->  {self.after}"


def variants(node: ast.AST) -> Iterator[ast.AST]:
    """What may stand in the place of a node."""
    match node:
        case ast.Compare(left, [op], [right]):
            yield ast.Compare(left, [COMPARE[type(op)]()], [right])
        case ast.BoolOp(op, values):
            yield ast.BoolOp(ast.And() if isinstance(op, ast.Or) else ast.Or(), values)
        case ast.UnaryOp(ast.Not(), operand):
            yield operand
        case ast.BinOp(left, op, right) if type(op) in OPERATE:
            yield ast.BinOp(left, OPERATE[type(op)](), right)
        case ast.AugAssign(target, op, value) if type(op) in OPERATE:
            yield ast.AugAssign(target, OPERATE[type(op)](), value)
            yield ast.Pass()
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1)
        case ast.Constant(str() as value):
            yield ast.Constant(value + "?")
        case ast.JoinedStr():
            yield ast.Constant("?")
        case ast.Return(ast.Constant(None)):
            return
        case ast.Return(ast.AST()):
            yield ast.Return(ast.Constant(None))
        case ast.If(test, body, orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.IfExp(test, body, orelse):
            yield ast.IfExp(test, orelse, body)
        case (
            ast.Assign([ast.Attribute() | ast.Subscript()])
            | ast.Expr()
            | ast.Raise()
            | ast.Continue()
            | ast.Break()
            | ast.Return(None)
        ):
            yield ast.Pass()  # without the assignment of a name, any run fails: that would only look good


def places(node: ast.AST) -> Iterator[tuple[ast.AST, str, int | None]]:
    """Every place of code below a node, as (parent, field, index): no annotations, docstrings, or lists of names."""
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "decorator_list", "type_params"}:
            continue
        for index, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if not isinstance(child, ast.AST) or (isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant)):
                continue
            if isinstance(child, ast.Assign) and isinstance(child.targets[0], ast.Name) and child.targets[0].id in KEPT:
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                continue
            yield node, name, index
            if not isinstance(child, ast.JoinedStr):
                yield from places(child)


def mutants(path: Path) -> list[Mutant]:
    """All mutants of a file."""
    tree = ast.parse(path.read_text(), str(path))
    made: list[Mutant] = []
    for number, (parent, name, index) in enumerate(places(tree)):
        original = getattr(parent, name) if index is None else getattr(parent, name)[index]
        for variant in variants(original):
            if isinstance(variant, ast.Pass) and getattr(parent, "name", "") == "__init__":
                continue  # as above
            twin = copy.deepcopy(tree)
            twin_parent, _, _ = next(place for at, place in enumerate(places(twin)) if at == number)
            ast.copy_location(variant, original)
            if index is None:
                setattr(twin_parent, name, variant)
            else:
                getattr(twin_parent, name)[index] = variant
            ast.fix_missing_locations(twin)
            before, after = (ast.unparse(part).splitlines()[0] for part in (original, variant))
            made.append(Mutant(len(made) + 1, original.lineno, before, after, twin))
    return made


class Loader(importlib.machinery.SourceFileLoader):
    """Loads a mutant in the place of a module."""

    def __init__(self, module: str, path: Path, tree: ast.Module) -> None:
        super().__init__(module, str(path))
        self._tree = tree

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._tree, self.path, "exec")


class Finder(importlib.abc.MetaPathFinder):
    """Finds one module."""

    def __init__(self, loader: Loader) -> None:
        self._loader = loader

    def find_spec(self, fullname: str, path: object, target: ModuleType | None = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._loader.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self._loader.path, loader=self._loader)


def fork(path: Path, mutant: Mutant | None, tests: Sequence[str], seconds: float) -> int:
    """Run the tests in another process, on a mutant or on the code as it is; give the process's id."""
    if child := os.fork():
        return child
    import pytest

    nowhere = os.open(os.devnull, os.O_RDWR)
    if mutant is not None:
        os.dup2(nowhere, 1)
        os.dup2(nowhere, 2)
        signal.setitimer(signal.ITIMER_REAL, seconds)
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        module = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        sys.meta_path.insert(0, Finder(Loader(module, path, mutant.tree)))
    try:
        code = int(pytest.main(["-x", "-q", "--no-header", "--tb=no", "-p", "no:cacheprovider", *tests]))
    except BaseException:
        code = 70
    os._exit(code)


def tests_of(path: Path) -> list[str]:
    """The files of tests for a file of code, its own first."""
    folder = TESTS / path.relative_to(SOURCE / "farandole").parent
    return [
        str(test) for test in sorted(folder.glob("test_*.py"), key=lambda test: (test.stem != f"test_{path.stem}", test.name))
    ]


def survivors(path: Path, those: Sequence[Mutant], jobs: int) -> list[Mutant]:
    """The mutants that no test notices."""
    tests = tests_of(path)
    running: dict[int, Mutant] = {}
    alive: list[Mutant] = []
    _, status, used = os.wait4(fork(path, None, tests, 0), 0)
    if status:
        raise SystemExit(f"the tests fail on the code as it is: {' '.join(tests)}")
    seconds = 10 + 4 * (used.ru_utime + used.ru_stime)
    waiting = list(reversed(those))
    while waiting or running:
        while waiting and len(running) < jobs:
            mutant = waiting.pop()
            running[fork(path, mutant, tests, seconds)] = mutant
        child, status = os.wait()
        mutant = running.pop(child)
        if status == 0:
            alive.append(mutant)
            print(f"survived {mutant}", flush=True)
    return alive


def main() -> int:
    """Go through the files; 1 where a mutant survived."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", default="", help="numbers of mutants, with commas")
    parser.add_argument("--list", action="store_true", help="show them, run nothing")
    given = parser.parse_args()
    import pytest  # once, before the forks
    import sqlalchemy.ext.asyncio
    import sqlalchemy.orm

    _ = pytest, sqlalchemy
    chosen = {int(number) for number in given.only.split(",") if number}
    total: list[str] = []
    missed = 0
    for file in given.files:
        those = [mutant for mutant in mutants(file.resolve()) if not chosen or mutant.number in chosen]
        if given.list:
            print(*those, sep="\n")
            continue
        alive = survivors(file.resolve(), those, given.jobs)
        missed += len(alive)
        total.append(f"{file}: {len(those) - len(alive)} of {len(those)} noticed, {1 - len(alive) / max(1, len(those)):.1%}")
    print(*total, sep="\n")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
