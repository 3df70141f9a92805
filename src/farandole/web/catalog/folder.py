"""Writes a site into a folder, and takes back only what it wrote there before."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from farandole.errors import ConfigurationError

__all__ = ["LIST", "write"]

LIST = ".farandole-catalog"
"""The file that tells a folder of ours from others, and names the files that we wrote, a line each."""


def write(folder: Path, pages: Iterable[tuple[str, str]]) -> int:
    """Write the files, and remove those of the last time that are no more; gives how many there are.

    Raises
    ------
    ConfigurationError
        The folder holds something and was not made here, or it cannot be written.
    """
    try:
        before = _written_before(folder)
        folder.mkdir(parents=True, exist_ok=True)
        _remember(folder, before)  # before anything else: from here on the folder is ours
        now: set[str] = set()
        try:
            for path, text in pages:
                now.add(path)
                (folder / path).parent.mkdir(parents=True, exist_ok=True)
                (folder / path).write_text(text, encoding="utf-8", newline="\n")
        finally:
            _remember(folder, before | now)  # a run that is cut short leaves nothing that the next one does not know
        for path in before - now:
            (folder / path).unlink(missing_ok=True)
        for parent in {(folder / path).parent for path in before - now} - {folder}:
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        _remember(folder, now)
    except OSError as error:
        raise ConfigurationError(f"--output: {error.filename or folder} cannot be written: {error.strerror}") from None
    return len(now)


def _written_before(folder: Path) -> set[str]:
    known = folder / LIST
    if known.is_file():
        lines = known.read_text(encoding="utf-8").splitlines()
        return {line for line in lines if line and _inside(line)}
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigurationError(
            f"--output: {folder} holds something that farandole docs did not write, and is left alone. "
            f"Name a folder that is new or empty, or one that farandole docs made"
        )
    return set()


def _inside(path: str) -> bool:
    """Whether a path stays in its folder, whoever wrote the list."""
    parts = PurePosixPath(path).parts
    return not path.startswith("/") and ".." not in parts


def _remember(folder: Path, paths: set[str]) -> None:
    (folder / LIST).write_text("".join(f"{path}\n" for path in sorted(paths)), encoding="utf-8", newline="\n")
