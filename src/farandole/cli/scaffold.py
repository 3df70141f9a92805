"""Writes a new project from the files in `blueprint/`."""

from __future__ import annotations

import keyword
import re
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from farandole.errors import ConfigurationError

__all__ = ["begin", "check_name"]

_FILES = {
    "pyproject.toml": "pyproject.toml",
    "README.md": "README.md",
    "gitignore": ".gitignore",
    "choreography.py": "$project/__init__.py",
    "main.py": "$project/__main__.py",
    "events.py": "$project/events.py",
    "services.py": "$project/services/__init__.py",
    "orders.py": "$project/services/orders.py",
    "stock.py": "$project/services/stock.py",
    "test_orders.py": "tests/test_orders.py",
    "test_choreography.py": "tests/test_choreography.py",
}
"""Each file of the blueprint, and where it goes."""

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_RESERVED = frozenset({"farandole", "service", "tests", "examples"})


def begin(project: str, folder: Path | None = None) -> Path:
    """Write the project into a new folder: all of it, or nothing.

    Raises
    ------
    ConfigurationError
        It cannot be called so, or something of that name is there already.
    """
    check_name("a project", project, "teashop")
    if project in _RESERVED or project in sys.stdlib_module_names:
        raise ConfigurationError(
            f"a project cannot be called {project!r}: that name is taken by Python or by Farandole. Choose another"
        )
    target = (folder or Path.cwd()) / project
    if target.exists() or target.is_symlink():
        raise ConfigurationError(f"{target} is there already, and nothing is overwritten. Choose another name, or remove it")
    blueprint = files("farandole.cli") / "blueprint"
    try:
        draft = Path(tempfile.mkdtemp(prefix=f".{project}-", dir=target.parent))
        try:
            for source, place in _FILES.items():
                path = draft / place.replace("$project", project)
                path.parent.mkdir(parents=True, exist_ok=True)
                text = (blueprint / f"{source}.txt").read_text(encoding="utf-8")
                path.write_text(text.replace("$project", project), encoding="utf-8")
            draft.chmod(0o755)
            draft.rename(target)
        except BaseException:
            shutil.rmtree(draft, ignore_errors=True)
            raise
    except OSError as error:
        raise ConfigurationError(f"{target} cannot be written: {error.strerror or error}. Run this where you may write") from None
    return target


def check_name(what: str, name: str, example: str, longest: int = 30) -> None:
    """A name that can be a Python module and a part of what travels."""
    if not _NAME.fullmatch(name) or len(name) > longest:
        like = re.sub(r"\W+", "_", name.lower()).strip("_0123456789")[:longest]
        hint = like if _NAME.fullmatch(like) and not keyword.iskeyword(like) else example
        raise ConfigurationError(
            f"{what} cannot be called {name!r}: expected up to {longest} lower-case letters, digits and _, such as {hint}"
        )
    if keyword.iskeyword(name) or keyword.issoftkeyword(name):
        raise ConfigurationError(f"{what} cannot be called {name!r}: it is a word of Python. Choose another, such as {example}")
