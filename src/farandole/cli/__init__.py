"""The command line: finds the command, runs it, and turns every error of ours into one line and an exit code.

Exit codes: 0 fine, 1 findings (nothing found, a limit exceeded), 2 a usage or environment error.
Each command is one file, imported only when it is asked for, so that `--help` and `--version` answer at once.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

__all__ = ["ERROR", "FINDINGS", "FINE", "main"]

FINE, FINDINGS, ERROR = 0, 1, 2

_COMMANDS = {
    "run": "run services until they are told to stop",
    "trace": "show what an event caused, as a tree",
    "status": "show outboxes, lags, retries, dead letters and tasks",
    "figures": "show the figures of the business: open, times, shares, sums",
    "export": "write a dashboard for Grafana, or alert rules for Prometheus",
    "workflows": "show where workflows are, which of them stall, and why",
    "observe": "record events, watch workflows and alert, as a service of its own",
    "graph": "draw the choreography: Mermaid, DOT, SVG or JSON",
    "docs": "write a searchable catalog of services, events and workflows",
    "broker": "make ready what services need on their broker",
    "db": "look at the tables of databases, or bring them up to date",
    "dead": "list, show, edit, retry or discard dead letters",
    "tasks": "what people must see to: list, show, or say that it is done",
    "check": "prove from the declarations what cannot go wrong",
    "diff": "show what changed between two versions, and what breaks",
    "can-deploy": "may a version go where others are deployed already",
    "deployed": "record that a version is deployed",
    "new": "begin a project, or add a service to it",
    "manifest": "write services as AsyncAPI documents",
    "codegen": "write reader classes for the events of other teams",
    "rehearse": "run the real handlers through many faulty futures",
    "demo": "run the shop example on real or made-up orders",
}
_HELP = f"""\
Usage: farandole COMMAND [OPTIONS]

Choreographed, event-driven microservices from one declaration.

Commands:
{chr(10).join(f"  {name:<10} {text}" for name, text in _COMMANDS.items())}

Options:
  --help       show this, or the help of a command
  --version    show the version
  --traceback  show where an error comes from (also: FARANDOLE_DEBUG=1)
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and give its exit code.

    Parameters
    ----------
    argv:
        The arguments after the program's name; default: those of the process.
    """
    tokens = list(sys.argv[1:] if argv is None else argv)
    debug = os.environ.get("FARANDOLE_DEBUG", "") not in ("", "0")
    if "--traceback" in tokens:
        tokens.remove("--traceback")
        debug = True
    try:
        return _dispatch(tokens)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:  # `farandole trace … | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FINE
    except Exception as error:
        return _report(error, debug=debug)


def _dispatch(tokens: list[str]) -> int:
    if not tokens or tokens[0] in ("--help", "-h", "help"):
        print(_HELP, end="")
        return FINE if tokens else ERROR
    if tokens[0] == "--version":
        from farandole import __version__

        print(f"farandole {__version__}")
        return FINE
    if tokens[0] not in _COMMANDS:
        from farandole.config import nearest

        print(f"farandole: there is no command {tokens[0]!r}. {nearest(tokens[0], _COMMANDS)}", file=sys.stderr)
        return ERROR
    return _run_command(tokens[0], tokens[1:])


def _run_command(name: str, tokens: list[str]) -> int:
    """Give the arguments to cyclopts; a wrong one is one line and exit code 2, like every other error."""
    from importlib import import_module

    import cyclopts

    file = name.replace("-", "_")
    module = import_module(f"farandole.cli.{file}")
    plain = cyclopts.Parameter(negative=(), show_default=False)  # no --no-json, no "[default: False]"
    app = cyclopts.App(
        name=f"farandole {name}",
        version_flags=(),
        default_parameter=plain,
        suppress_keyboard_interrupt=False,
        help_format="plaintext",
    )
    if hasattr(module, "COMMANDS"):  # it has commands of its own
        for word, function in module.COMMANDS.items():
            app.command(function, name=word)
        app.help = module.__doc__
    if hasattr(module, file):  # `farandole new PROJECT` beside `farandole new service NAME`
        app.default(getattr(module, file))
    try:
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        message = " ".join(str(error).split())
        print(f"farandole {name}: {message} See: farandole {name} --help", file=sys.stderr)
        return ERROR
    if not tokens and not hasattr(module, file):
        return ERROR  # its help was shown; nothing was done
    return result if isinstance(result, int) else FINE


def _report(error: Exception, *, debug: bool) -> int:
    """One line for each error of ours; a traceback for what we did not foresee, which is a bug of ours or of a reaction."""
    from farandole.errors import FarandoleError

    if debug or not isinstance(error, FarandoleError):
        import traceback

        traceback.print_exception(error)
        return ERROR
    print(f"farandole: {' '.join(str(error).split())}", file=sys.stderr)
    return ERROR
