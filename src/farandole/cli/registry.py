"""The registry: which version of each service is deployed where, as manifests in a folder.

    registry/
      production/shop.payments.yaml          what is deployed there now; a folder for each environment
      staging/shop.payments.yaml
      versions/shop.payments/1.4.0.yaml      every version that was recorded; never changed

Each file is the AsyncAPI document of one service, complete in itself, with the version under `info`. An environment's folder is an ordinary folder of
manifests, which every other command reads.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from farandole.cli.diff import placed, refuse
from farandole.config import nearest
from farandole.errors import ConfigurationError
from farandole.graph import Graph, short
from farandole.manifest import as_yaml, document_of, read_folder
from farandole.manifest.deploy import part_of
from farandole.manifest.diff import diff

__all__ = ["Registry", "registry_at", "service_in"]

VERSIONS = "versions"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry in a folder.

    Attributes
    ----------
    folder:
        Where it is read.
    shown:
        What people know it by; differs where it is read from a git revision.
    """

    folder: Path
    shown: str

    def environments(self) -> list[str]:
        """The environments that something is deployed in."""
        if not self.folder.is_dir():
            return []
        return sorted(
            path.name for path in self.folder.iterdir() if path.is_dir() and path.name != VERSIONS and path.name[0] != "."
        )

    def deployed(self, environment: str) -> Graph:
        """Everything that is deployed in an environment."""
        known = self.environments()
        if environment not in known:
            hint = (
                f"Known are {', '.join(known)}"
                if known
                else "Record what runs there: farandole deployed SERVICE --version V --env ENV"
            )
            raise ConfigurationError(f"{self.shown}: there is no environment {environment!r}. {hint}")
        if not any(self.folder.joinpath(environment).iterdir()):
            return Graph(environment)
        return self._read(self.folder / environment)

    def services(self) -> list[str]:
        """The ids of all services that some version was recorded of."""
        folder = self.folder / VERSIONS
        return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []

    def version(self, service: str, version: str) -> Graph | None:
        """What a version of a service said when it was recorded, or None."""
        paths = [self.folder / VERSIONS / id / f"{version}.yaml" for id in self.services() if service in (id, short(id))]
        found = [path for path in paths if path.is_file()]
        if len(found) > 1:
            raise ConfigurationError(
                f"several services are called {service}: {', '.join(path.parent.name for path in found)}. Give the whole name"
            )
        return self._read(found[0]) if found else None

    def record(self, part: Graph, environment: str) -> list[Path]:
        """Write that this version is deployed; gives the files, which are complete at any time.

        Raises
        ------
        ConfigurationError
            This version is known already and says something else, or nothing can be written.
        """
        [service] = part.services
        text = as_yaml(document_of(part, service))
        kept = self.folder / VERSIONS / service.id / f"{service.version}.yaml"
        there = self.folder / environment / f"{service.id}.yaml"
        try:
            if not kept.exists():
                _write(kept, text)
            elif diff(self._read(kept), part):
                raise ConfigurationError(
                    f"{kept}: version {service.version} of {service.name} is known already, and says something else. "
                    f"A version is one thing for good: give this one another --version"
                )
            _write(there, text)
        except OSError as error:
            raise ConfigurationError(
                f"{error.filename} cannot be written: {error.strerror}. Give a folder where you may: --registry"
            ) from None
        return [kept, there]

    def _read(self, path: Path) -> Graph:
        graph, findings = read_folder(path)
        refuse(
            [
                replace(one, place=replace(one.place, file=one.place.file.replace(str(self.folder), self.shown, 1)))
                for one in findings
            ]
        )
        return placed(graph, str(self.folder), self.shown)


@contextmanager
def registry_at(folder: Path, revision: str | None = None) -> Iterator[Registry]:
    """The registry in a folder, or as it is at a revision of the folder's git repository, with nothing checked out."""
    if revision is None:
        yield Registry(folder, str(folder))
        return
    from farandole.cli.revision import files_at

    with files_at(folder, revision) as copy:
        yield Registry(copy, f"{revision}:{folder}")


def service_in(graph: Graph, name: str, version: str) -> Graph:
    """What a service says in a graph, under this version; the service by its id or its short name."""
    found = [id for id in graph.service if name in (id, short(id))]
    if not found:
        raise ConfigurationError(
            f"there is no service {name!r} in {graph.name}. {nearest(name, [short(id) for id in graph.service])}"
        )
    if len(found) > 1:
        raise ConfigurationError(f"several services are called {name}: {', '.join(found)}. Give the whole name")
    return part_of(graph, found[0], check_word("version", version))


def check_word(what: str, value: str) -> str:
    """A version or an environment, which becomes the name of a file or a folder."""
    if not _NAME.fullmatch(value) or (what == "environment" and value == VERSIONS):
        raise ConfigurationError(
            f"{what}: expected letters, digits, '.', '_', '+' and '-', such as {'1.4.0' if what == 'version' else 'production'}, got: {value!r}"
        )
    return value


def _write(path: Path, text: str) -> None:
    """All of it or nothing, also when the machine stops: a reader sees the file of before or the one of after."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
