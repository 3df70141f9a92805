"""`farandole deployed`: record that a version of a service is deployed."""

from __future__ import annotations

from pathlib import Path

from farandole.cli import FINE

__all__ = ["deployed"]


def deployed(
    service: str,
    /,
    *,
    version: str,
    env: str,
    manifest: str | None = None,
    registry: Path = Path("registry"),
    commit: bool = False,
) -> int:
    """Record in the registry that this version of a service is deployed now; farandole can-deploy compares with it.

    Parameters
    ----------
    service
        The service's name.
    version
        Its version: what the build is called, such as 1.4.0 or a commit.
    env
        Where it is deployed, such as production.
    manifest
        What it says: a file or folder of manifests, or module:variable. Default: what was recorded of that version, else the configured app.
    registry
        The folder with what is deployed where (registry).
    commit
        Commit the files in the registry's git repository, and nothing else that is staged there.
    """
    from farandole.cli.can_deploy import candidate
    from farandole.cli.registry import Registry, check_word

    known = Registry(registry, str(registry))
    part = candidate(known, service, version, manifest)
    [node] = part.services
    files = known.record(part, check_word("environment", env))
    print(f"{node.name} {version} is in {env}: {files[-1]}")
    if commit:
        from farandole.cli.revision import commit as commit_files

        made = commit_files(files, f"{node.name} {version} is in {env}")
        print(f"committed as {made}" if made else "nothing to commit: it was recorded already")
    return FINE
