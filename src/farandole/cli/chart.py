"""What a command draws, checks or compares: a choreography in Python, or a folder of manifests, as a graph."""

from __future__ import annotations

import re
import sys
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from farandole.checks.base import Finding
from farandole.config import load
from farandole.errors import ConfigurationError
from farandole.graph.graph import Graph
from farandole.graph.nodes import Place

__all__ = ["chart_of"]

T = TypeVar("T")
_VARIABLE = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def chart_of(what: str | None) -> tuple[Graph, list[Finding]]:
    """The graph that `what` means, and what was wrong while reading it.

    Parameters
    ----------
    what:
        A choreography as `module:variable`; or a folder of manifests, or one of them; None: the configuration's `app`.

    Raises
    ------
    ConfigurationError
        It means nothing that is there.
    """
    if what is not None and (Path(what).exists() or not _VARIABLE.fullmatch(what)):
        if not Path(what).exists():
            raise ConfigurationError(
                f"there is no file or folder {what}. Give a choreography as module:variable, or a path with manifests"
            )
        from farandole.manifest.folder import read_folder

        return read_folder(what)
    app = load(app=what).app
    if app is None:
        raise ConfigurationError(
            'which choreography? Give it as module:variable, such as examples.shop:shop, or a folder of manifests, or write app = "…" '
            "under [tool.farandole] in pyproject.toml"
        )
    from farandole.cli.target import load_app
    from farandole.graph.of_code import graph_of

    return _relative(graph_of(load_app(app))), []


def _relative(value: T) -> T:
    """With places that mean the same on other machines: relative to the current folder, or to where modules are looked for."""
    return _shortened(value, [str(Path.cwd()), *(str(Path(entry).resolve()) for entry in sys.path if entry)])  # type: ignore[no-any-return]


def _shortened(value: Any, folders: list[str]) -> Any:
    if isinstance(value, Place):
        return replace(value, file=_short(value.file, folders))
    if isinstance(value, tuple):
        return tuple(_shortened(item, folders) for item in value)
    if is_dataclass(value) and not isinstance(value, type):
        inner = {field.name: getattr(value, field.name) for field in fields(value)}
        return replace(value, **{name: _shortened(each, folders) for name, each in inner.items()})
    return value


def _short(file: str, folders: list[str]) -> str:
    first, *others = folders
    for folder in (first, *sorted(others, key=len, reverse=True)):  # the nearest of those that hold it
        if Path(file).is_relative_to(folder):
            return Path(file).relative_to(folder).as_posix()
    return Path(file).name
