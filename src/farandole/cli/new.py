"""Begin a project: a choreography of two services with tests, or one more service in a project that is there."""

from __future__ import annotations

from farandole.cli import FINDINGS, FINE

__all__ = ["COMMANDS", "new"]


def new(project: str, /) -> int:
    """Write a project into a new folder: two services, tests that pass, and a README with the commands.

    Parameters
    ----------
    project
        Its name, which becomes the folder, the Python package, and the domain of its events: such as teashop.
    """
    from farandole.cli.scaffold import begin

    begin(project)
    print(f"{project}/ is there: two services and their tests. Next: cd {project} && pytest && farandole check && farandole run")
    return FINE


def service(
    name: str, /, *, on: list[str], emits: list[str] | None = None, reaction: str | None = None, app: str | None = None
) -> int:
    """Add a service with one reaction and a test, and put it into the choreography. Nothing that is there is overwritten.

    Exits with 1 if a line is left to be written by hand, which is then shown.

    Parameters
    ----------
    name
        The service's name, which becomes a file and a variable: such as payments.
    on
        The events that it reacts to, with commas between them. They must exist.
    emits
        The events that it may emit, with commas between them. Those that do not exist are written, to be filled in.
    reaction
        The name of its function; it is part of the identity, so choose it well. Default: on_order_placed for OrderPlaced.
    app
        The choreography, as module:variable; it may come from the configuration.
    """
    from farandole.cli.addition import add

    added = add(name, _words(on), _words(emits or []), reaction, app)
    for path in added.written:
        print(f"wrote   {path}")
    for path in added.changed:
        print(f"changed {path}")
    for line in added.by_hand:
        print(line)
    for line in added.notes:
        print(line)
    return FINDINGS if added.by_hand else FINE


def _words(values: list[str]) -> list[str]:
    return [word.strip() for value in values for word in value.split(",") if word.strip()]


COMMANDS = {"service": service}
