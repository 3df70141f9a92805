"""All the manifests of a folder as one graph."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from farandole.checks.base import Finding
from farandole.errors import ConfigurationError
from farandole.graph.graph import Graph
from farandole.graph.nodes import Message, Place
from farandole.manifest.document import Part
from farandole.manifest.read import is_asyncapi, read_document
from farandole.manifest.refs import Files, content_of, real_path
from farandole.manifest.tree import Trouble

__all__ = ["read_folder"]

T = TypeVar("T")
_ENDINGS = (".yaml", ".yml", ".json")
_ASYNCAPI = re.compile(rb"""^\s*\{?\s*["']?asyncapi["']?\s*:|"asyncapi"\s*:""", re.MULTILINE)


def read_folder(path: str | os.PathLike[str]) -> tuple[Graph, list[Finding]]:
    """The graph of all AsyncAPI documents in a folder and those below it, or in one file.

    Other files are left alone. What contradicts itself stays visible: two documents may be about one service. A document that cannot be read, or a
    part of one, is a finding, and the rest is read.

    Raises
    ------
    ConfigurationError
        There is no such path, or nothing there is AsyncAPI.
    """
    given = Path(path)
    if not given.exists():
        raise ConfigurationError(f"there is no file or folder {given}")
    alone = not given.is_dir()
    root = given.parent if alone else given
    files, parts, findings = Files(root), [], list[Finding]()
    for shown in [given] if alone else _documents(given):
        try:
            if not alone and not _says_asyncapi(shown, files):
                continue
            document = files.load(shown, str(shown))
            if is_asyncapi(document):
                parts.append(read_document(document))
        except Trouble as trouble:
            findings.append(trouble.finding())
    if not parts and not findings:
        raise ConfigurationError(
            f"{given} is no AsyncAPI document: it has no key asyncapi"
            if alone
            else f"there is no AsyncAPI document (*.yaml, *.yml, *.json) in {given}. Write some: farandole manifest --output {given}"
        )
    findings += [finding for part in parts for finding in part.findings]
    return _merged(parts, given.stem if alone else given.resolve().name), findings


def _documents(folder: Path) -> Iterator[Path]:
    """The files that may be documents, in order; nothing hidden, and no folder behind a link."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".") and name != "node_modules")
        yield from (Path(place, name) for name in sorted(names) if name.endswith(_ENDINGS) and not name.startswith("."))


def _says_asyncapi(path: Path, files: Files) -> bool:
    """Whether a file seems to be meant; the others are not looked at."""
    real = real_path(path, str(path))
    if not real.is_relative_to(files.root):
        raise Trouble(
            "manifest-reference", Place(str(path)), "the link leads out of the folder", "Put a copy in its place, or remove it"
        )
    if real.exists() and not real.is_file():
        return False  # a pipe, say
    return _ASYNCAPI.search(content_of(real, str(path))) is not None


def _merged(parts: list[Part], name: str) -> Graph:
    names = sorted({part.name for part in parts if part.name})
    messages = [message for part in parts for message in part.messages]
    return Graph(
        name=" + ".join(names) or name,
        services=tuple(part.service for part in parts),
        messages=(*messages, *_readers(parts, messages)),
        reactions=tuple(reaction for part in parts for reaction in part.reactions),
        workflows=_once(workflow for part in parts for workflow in part.workflows),
        cycles=_once(cycle for part in parts for cycle in part.cycles),
    )


def _readers(parts: list[Part], messages: list[Message]) -> Iterator[Message]:
    """Copies that say something else than their owners, or whose owners are not here: what their readers were built with."""
    owned: dict[str, list[Message]] = {}
    for message in messages:
        if message.role == "owner":
            owned.setdefault(message.type, []).append(message)
    for part in parts:
        for source, copy in part.copies:
            if not source and copy.schema is None:
                continue  # nobody knew anything of it
            if not any(_says(message) == _says(copy) for message in owned.get(copy.type, ())):
                yield copy


def _says(message: Message) -> Message:
    """A message without who says it, and what is for people."""
    return replace(message, service="", role="owner", place=Place(""), doc="", examples=())


def _once(nodes: Iterable[T]) -> tuple[T, ...]:
    """Without repetitions; these cannot be hashed, and are few."""
    found: list[T] = []
    for node in nodes:
        if node not in found:
            found.append(node)
    return tuple(found)
