"""Adds a service to a project: a file, a test, events that are not there yet, and its place in the choreography."""

from __future__ import annotations

import ast
import keyword
import os
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from farandole.cli.scaffold import check_name
from farandole.cli.stub import Stub, event_source, service_source, snake, test_source
from farandole.cli.target import load_app
from farandole.cli.wiring import names_at_top, with_argument, with_import
from farandole.config import load, nearest
from farandole.errors import ConfigurationError
from farandole.model.choreography import Choreography
from farandole.model.event import Event

__all__ = ["Added", "add"]

_TAKEN = frozenset({"Event", "Service"})
"""Names that the new files use themselves."""


@dataclass(slots=True)
class Added:
    """What was done, and what is left to do.

    Attributes
    ----------
    written, changed:
        Files.
    by_hand:
        Lines that say what could not be done, and exactly what to write.
    notes:
        What else to know.
    """

    written: list[Path] = field(default_factory=list)
    changed: list[Path] = field(default_factory=list)
    by_hand: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Project:
    """What is there.

    Attributes
    ----------
    app, choreography:
        As `module:variable`, and loaded.
    root:
        The folder that modules are imported from.
    events:
        The event classes of the project, by name.
    """

    app: str
    choreography: Choreography
    root: Path
    events: dict[str, list[type]]

    @property
    def module(self) -> str:
        """The choreography's module."""
        return self.app.partition(":")[0]

    @property
    def variable(self) -> str:
        """The choreography's name in it."""
        return self.app.partition(":")[2]


def add(name: str, on: list[str], emits: list[str], reaction: str | None, app: str | None) -> Added:
    """Add a service with one reaction.

    Everything is checked before anything is written; if the choreography cannot be imported afterwards, all is put back.

    Raises
    ------
    ConfigurationError
        A name cannot be used, an event is unknown or another service's, a file is there already, or the project cannot be loaded.
    """
    check_name("a service", name, "payments")
    project = _project(app)
    stub, home = _stub(project, name, on, emits, reaction)
    new, edits = _files(project, stub, home)
    for path in new:
        if path.exists():
            raise ConfigurationError(
                f"{_shown(path)} is there already, and nothing is overwritten. Choose another name, or remove it"
            )
    added = Added(list(map(_shown, new)), list(map(_shown, edits)))
    if _file_of(project.module) not in edits or not _wired(project, stub, edits):
        added.by_hand = _by_hand(project, stub)
    with _all_or_nothing(new, edits):
        _write(new, edits)
        if not added.by_hand and (error := _failure(project, name)):
            raise ConfigurationError(
                f"with {name} the choreography cannot be imported, so all was put back: {error}. Add it by hand"
            )
    added.notes = list(_notes(stub))
    return added


# --- what is there


def _project(app: str | None) -> Project:
    name = load(app=app).app
    if name is None:
        raise ConfigurationError(
            "which choreography? Run this in a project (farandole new NAME makes one), or give --app module:variable"
        )
    choreography = load_app(name)
    root = Path.cwd()
    if not _file_of(name.partition(":")[0]).is_relative_to(root.resolve()):
        raise ConfigurationError(f"{name} is not in this folder, so nothing is changed there. Run this in the project's folder")
    events: dict[str, list[type]] = {}
    for cls in _subclasses(Event):
        file = getattr(sys.modules.get(cls.__module__), "__file__", None)
        if file is not None and Path(file).resolve().is_relative_to(root.resolve()) and cls not in events.get(cls.__name__, []):
            events.setdefault(cls.__name__, []).append(cls)
    return Project(name, choreography, root, events)


def _subclasses(cls: type) -> Iterator[type]:
    subclasses: list[type] = cls.__subclasses__()
    for inner in subclasses:
        yield inner
        yield from _subclasses(inner)


def _event(project: Project, name: str) -> type:
    found = project.events.get(name, [])
    if len(found) > 1:
        places = ", ".join(cls.__module__ for cls in found)
        raise ConfigurationError(f"several events are called {name}: in {places}. Add this service by hand")
    if not found:
        raise ConfigurationError(f"there is no event {name} in {project.app}. {nearest(name, project.events or ['none'])}")
    return found[0]


def _stub(project: Project, name: str, on: list[str], emits: list[str], reaction: str | None) -> tuple[Stub, str]:
    """What is to be written, and the module that new events go to."""
    if name in project.choreography.services:
        raise ConfigurationError(f"{project.app} has a service {name} already. Choose another name")
    if not on:
        raise ConfigurationError(f"what does {name} react to? Give it at least one event: --on OrderPlaced")
    if twice := [word for word, count in Counter([*on, *emits]).items() if count > 1]:
        raise ConfigurationError(f"{twice[0]} is given twice: a service that reacts to what it emits goes round in a circle")
    received = tuple(_event(project, word) for word in on)
    known = {word: _event(project, word) if word in project.events else None for word in emits}
    for word, cls in known.items():
        if cls is None and (not (word.isidentifier() and word[:1].isupper()) or word in _TAKEN or keyword.iskeyword(word)):
            raise ConfigurationError(
                f"an event cannot be called {word!r}: expected a class name in the past tense, such as PaymentCompleted"
            )
        if cls is not None and (owners := project.choreography.owners.get(cls)):
            raise ConfigurationError(
                f"{word} is emitted by {owners[0]} already, and an event has one owner. Choose another event"
            )
    function = reaction or "_or_".join(["on_" + snake(on[0]), *map(snake, on[1:2])])
    check_name("a reaction", function, "charge", 80)
    if function == name:
        raise ConfigurationError(f"the reaction cannot be called {name}, as the service is. Say what it does: --reaction charge")
    home = received[0].__module__
    if home == project.module:
        raise ConfigurationError(
            f"{on[0]} is declared in {project.module}, beside the choreography, which would import {name} before {on[0]} is there. "
            f"Move the events into a module of their own first"
        )
    places = {word: (cls.__module__ if cls else home) for word, cls in [*zip(on, received, strict=True), *known.items()]}
    package = _package(project)
    if package is None and name in sys.stdlib_module_names:
        raise ConfigurationError(f"a service beside {project.module} cannot be called {name!r}: its file would hide Python's own")
    relative = package is not None and _is_relative(project)
    said = {word: (_relative(place, package) if relative and package else place, place) for word, place in places.items()}
    return Stub(name, function, received, known, said, _width(project.root)), home


def _package(project: Project) -> str | None:
    """The package that services are in: where most of them are; None where they are modules without one."""
    modules = [reaction.function.__module__ for reaction in project.choreography.reactions]
    counts = Counter(module.rpartition(".")[0] for module in modules if module != project.module)
    package = counts.most_common(1)[0][0] if counts else project.module
    return package or None


def _is_relative(project: Project) -> bool:
    """Whether the choreography's module imports its services by relative names."""
    body = ast.parse(_source(project.module)).body
    return any(isinstance(node, ast.ImportFrom) and node.level for node in body)


def _relative(module: str, package: str) -> str:
    """A module as a module of this package says it: `..events`."""
    here, there = package.split("."), module.split(".")
    if here[0] != there[0]:
        return module
    common = 0
    while common < min(len(here), len(there)) and here[common] == there[common]:
        common += 1
    return "." * (len(here) - common + 1) + ".".join(there[common:])


def _width(root: Path) -> int:
    """How long lines may be, as ruff is told; 88 is its default."""
    for name, section in (("pyproject.toml", ("tool", "ruff")), ("ruff.toml", ())):
        try:
            table: Any = tomllib.loads((root / name).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
            continue
        for word in section:
            table = table.get(word, {})
        if isinstance(width := table.get("line-length"), int):
            return width
    return 88


# --- what is to be


def _files(project: Project, stub: Stub, home: str) -> tuple[dict[Path, str], dict[Path, str]]:
    """The texts of new files, and of those that change."""
    package = _package(project)
    folder = project.root.joinpath(*package.split(".")) if package else project.root
    module = f"{package}.{stub.service}" if package else stub.service
    new = {
        folder / f"{stub.service}.py": service_source(stub),
        project.root / "tests" / f"test_{stub.service}.py": test_source(stub, module),
    }
    edits: dict[Path, str] = {}
    unknown = [name for name, cls in stub.emits.items() if cls is None]
    if unknown:
        source = _source(home)
        for name in unknown:
            if name in names_at_top(source):
                raise ConfigurationError(f"{home} has a name {name} that is no event. Choose another name for the event")
            source = source.rstrip("\n") + "\n\n\n" + event_source(name, stub)
        edits[_file_of(home)] = source if "Event" in names_at_top(source) else with_import(source, "farandole", "Event")
    source = _source(project.module)
    if stub.service not in names_at_top(source):
        edits[_file_of(project.module)] = source
    return new, edits


def _wired(project: Project, stub: Stub, edits: dict[Path, str]) -> bool:
    """Put the service into the choreography's source; False, with nothing changed, where that would be a guess."""
    path = _file_of(project.module)
    source = with_argument(edits[path], project.variable, stub.service, stub.width)
    if source is None:
        del edits[path]
        return False
    edits[path] = with_import(source, _import_of(project, stub), stub.service)
    return True


def _import_of(project: Project, stub: Stub) -> str:
    """The new module as the choreography's module says it."""
    package = _package(project)
    module = f"{package}.{stub.service}" if package else stub.service
    own = project.module if _file_of(project.module).name == "__init__.py" else project.module.rpartition(".")[0]
    return _relative(module, own) if own and _is_relative(project) else module


def _by_hand(project: Project, stub: Stub) -> list[str]:
    file = _shown(_file_of(project.module))
    return [
        f"{file} was left alone: its choreography is not written in a way that can be changed safely. Write there:",
        f"    from {_import_of(project, stub)} import {stub.service}",
        f"    {project.variable} = Choreography(…, {stub.service})",
    ]


def _notes(stub: Stub) -> Iterator[str]:
    if new := [name for name, cls in stub.emits.items() if cls is None]:
        yield f"{', '.join(new)}: say in {stub.places[new[0]][1]} which fields they have, and let somebody react to them"
    yield "next: pytest, farandole check"


# --- files


def _file_of(module: str) -> Path:
    file = getattr(sys.modules[module], "__file__", None)
    if file is None:
        raise ConfigurationError(f"{module} is no file, so nothing can be added to it. Add the service by hand")
    return Path(file).resolve()


def _source(module: str) -> str:
    return _file_of(module).read_text(encoding="utf-8")


def _shown(path: Path) -> Path:
    here = Path.cwd().resolve()
    return path.resolve().relative_to(here) if path.resolve().is_relative_to(here) else path


@contextmanager
def _all_or_nothing(new: Iterable[Path], edits: Iterable[Path]) -> Iterator[None]:
    """If something goes wrong inside, files are as they were."""
    before = {path: path.read_bytes() for path in edits}
    folders = [path.parent for path in new if not path.parent.exists()]
    try:
        yield
    except BaseException:
        for path, content in before.items():
            path.write_bytes(content)
        for path in new:
            path.unlink(missing_ok=True)
        for folder in folders:
            if folder.exists():
                folder.rmdir()
        raise


def _write(new: dict[Path, str], edits: dict[Path, str]) -> None:
    try:
        for path, text in new.items():
            path.parent.mkdir(exist_ok=True)
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        for path, text in edits.items():
            draft = path.with_name(f".{path.name}.{os.getpid()}")
            draft.write_text(text, encoding="utf-8")
            draft.chmod(path.stat().st_mode)
            draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{error.filename} cannot be written: {error.strerror}. Run this where you may write") from None


def _failure(project: Project, service: str) -> str:
    """Why the choreography, imported anew, does not have this service; "" if it does."""
    program = (
        "import sys; from farandole.cli.target import load_app\n"
        "try: found = load_app(sys.argv[1]).services\n"
        "except Exception as error: sys.exit(str(error))\n"
        "sys.exit(sys.argv[2] not in found and 'it is not in the choreography')"
    )
    where = os.pathsep.join(filter(None, [*sys.path, os.environ.get("PYTHONPATH")]))
    done = subprocess.run(  # noqa: S603 - this interpreter, on the user's own project
        [sys.executable, "-B", "-c", program, project.app, service],
        capture_output=True,
        text=True,
        check=False,
        cwd=project.root,
        env={**os.environ, "PYTHONPATH": where},
        stdin=subprocess.DEVNULL,
    )
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]
