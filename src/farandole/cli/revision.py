"""Files as they are at a revision of a git repository, read without checking anything out."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from farandole.errors import ConfigurationError

__all__ = ["commit", "files_at"]

_ENDINGS = (".yaml", ".yml", ".json")
_FILE = ("100644", "100755")  # plain files: links could lead out of the repository


@contextmanager
def files_at(path: Path, revision: str) -> Iterator[Path]:
    """The YAML and JSON files of a folder (or one file) at a revision, as copies in a temporary folder.

    Parameters
    ----------
    path:
        The folder or file in the working tree. It may be gone there.
    revision:
        A commit, branch or tag: whatever git understands.

    Raises
    ------
    ConfigurationError
        There is no git, no repository, no such revision, or nothing of that name at it.
    """
    root = _root(path)
    inside = _inside(root, path)
    sha = _git(
        root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", wrong=f"no revision {revision!r}"
    )
    listed = _git(
        root, "ls-tree", "-r", "-z", "--full-tree", sha.strip(), "--", inside or ".", wrong="the revision cannot be read"
    )
    entries = [entry.partition("\t") for entry in listed.split("\0") if entry]
    wanted = [(head.split()[2], name) for head, _, name in entries if head.split()[0] in _FILE and name.endswith(_ENDINGS)]
    if not wanted:
        raise ConfigurationError(f"{path} at {revision}: there are no YAML or JSON files there. See: git ls-tree -r {revision}")
    with tempfile.TemporaryDirectory(prefix="farandole-") as folder:
        for blob, name in wanted:
            copy = Path(folder) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(_run(root, "cat-file", "blob", blob).stdout)
        yield Path(folder) / inside


def commit(paths: list[Path], message: str) -> str:
    """Commit these files, and nothing else that may be staged; gives the commit's short id, or "" where nothing changed."""
    root = _root(paths[0])
    names = [_inside(root, path) for path in paths]
    _git(root, "add", "--", *names, wrong="git cannot add the files")
    if not _run(root, "status", "--porcelain", "--", *names).stdout:
        return ""
    _git(root, "commit", "--quiet", "-m", message, "--", *names, wrong="git cannot commit")
    return _git(root, "rev-parse", "--short", "HEAD", wrong="git has no commit").strip()


def _inside(root: Path, path: Path) -> str:
    """The path within the repository, with slashes; "" for its root."""
    whole = path.resolve()
    if not whole.is_relative_to(root):
        raise ConfigurationError(f"{path} is not inside the repository {root}")
    inside = whole.relative_to(root).as_posix()
    return "" if inside == "." else inside


def _root(path: Path) -> Path:
    """The repository that a path belongs to."""
    folder = path.resolve()
    while not folder.is_dir():
        folder = folder.parent
    return Path(_git(folder, "rev-parse", "--show-toplevel", wrong=f"{path} is in no git repository").strip()).resolve()


def _git(folder: Path, *words: str, wrong: str) -> str:
    done = _run(folder, *words)
    if done.returncode:
        said = " ".join(done.stderr.decode(errors="replace").split())
        raise ConfigurationError(f"git, in {folder}: {wrong}" + (f" ({said})" if said else ""))
    return done.stdout.decode(errors="surrogateescape")


def _run(folder: Path, *words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(["git", "-C", str(folder), *words], capture_output=True, check=False, stdin=subprocess.DEVNULL)  # noqa: S603, S607
    except FileNotFoundError:
        raise ConfigurationError("git is not installed, or not on PATH: install it, or give two folders") from None
