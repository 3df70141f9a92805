"""`farandole can-deploy`: may a version go where others are deployed already, and in which order may several."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from farandole.cli import FINDINGS, FINE
from farandole.errors import ConfigurationError

if TYPE_CHECKING:
    from farandole.cli.registry import Registry
    from farandole.graph import Graph
    from farandole.manifest.deploy import Plan, Step

__all__ = ["can_deploy"]


def can_deploy(
    service: list[str],
    /,
    *,
    version: str | None = None,
    to: str = "production",
    manifest: str | None = None,
    registry: Path = Path("registry"),
    git: str | None = None,
    json: bool = False,
) -> int:
    """Tell whether a version may go where others are deployed already: who could not read whom, and why.

    Exits with 0 if it may, with 1 if it may not. Several services are told in the order in which they may go.

    Parameters
    ----------
    service
        The service, or several; SERVICE@VERSION where their versions differ.
    version
        The version of those that do not give theirs with @.
    to
        The environment (production).
    manifest
        What the service says: a file or folder of manifests, or module:variable. Default: what was recorded of that version, else the configured app.
    registry
        The folder with what is deployed where (registry).
    git
        Read the registry as it is at this revision or branch of its git repository.
    json
        Print JSON.
    """
    from farandole.cli.registry import check_word, registry_at
    from farandole.manifest.deploy import plan

    wanted = [_named(word, version) for word in service]
    if twice := [name for name, _ in wanted if [other for other, _ in wanted].count(name) > 1]:
        raise ConfigurationError(f"can-deploy: {twice[0]} is given twice. Give each service once")
    with registry_at(registry, git) as known:
        deployed = known.deployed(check_word("environment", to))
        parts = [candidate(known, name, its, manifest) for name, its in wanted]
    found = plan(deployed, parts)
    if json:
        from farandole.cli.output import print_json

        print_json({"environment": to, "compatible": not found.blocked, **_as_json(found)})
    else:
        _print(found, to)
    return FINDINGS if found.blocked else FINE


def _named(word: str, version: str | None) -> tuple[str, str]:
    name, _, its = word.partition("@")
    if not (its or version):
        raise ConfigurationError(f"can-deploy {word}: which version? Give --version, or {word}@VERSION")
    return name, its or version or ""


def candidate(registry: Registry, name: str, version: str, manifest: str | None) -> Graph:
    """What this version says: as given, as recorded, or as the configured app has it."""
    from farandole.cli.diff import read_graph
    from farandole.cli.registry import check_word, service_in
    from farandole.config import load, nearest
    from farandole.graph import short

    check_word("version", version)
    if manifest is None and (known := registry.version(name, version)) is not None:
        return known
    if manifest is None and load().app is None:
        known_ones = [short(id) for id in registry.services()]
        hint = f" ({nearest(name, known_ones)})" if known_ones and name not in (*registry.services(), *known_ones) else ""
        raise ConfigurationError(
            f"{registry.shown} does not know version {version} of {name}{hint}, and no app is configured. "
            f"Say what it declares: --manifest FILE"
        )
    return service_in(read_graph(manifest), name, version)


def _as_json(found: Plan) -> dict[str, Any]:
    from farandole.manifest.diff.report import as_json

    def step(one: Step) -> dict[str, Any]:
        return {"service": one.service, "version": one.version, **as_json(one.changes)}

    return {"order": [step(one) for one in found.steps], "blocked": [step(one) for one in found.blocked]}


def _print(found: Plan, to: str) -> None:
    """Those that may go in their order, then those that may not, and last what follows."""
    from farandole.cli.diff import print_lines
    from farandole.graph import short
    from farandole.manifest.diff.report import lines

    many = len(found.steps) + len(found.blocked) > 1
    for number, step in enumerate([*found.steps, *found.blocked], start=1):
        head = f"{number}. " if many and not step.breaking else ""
        may = "may not go" if step.breaking else "may go"
        print_lines([[(f"{head}{short(step.service)} {step.version} {may} to {to}", "bold")]])
        notable = [change for change in step.changes if change.weight != "fine"]
        print_lines(list(lines(notable))[:-1] if notable else (), indent="  ")
    if found.blocked and found.steps:
        print_lines([[(f"{len(found.steps)} may go in this order; {len(found.blocked)} may not even then", "bold")]])
