"""The command line in a process that kills itself with SIGKILL at a step of its work: DIE_AT says which, counted from 1."""

from __future__ import annotations

import os
import signal
import sys

from farandole import World, host
from farandole.cli import main


class Dying(World):
    """Counts the steps of fetching, committing, publishing and acknowledging."""

    def __init__(self) -> None:
        self._left = int(os.environ["DIE_AT"])

    def point(self, name: str) -> None:
        if name.startswith(("store.", "broker.", "relay.", "worker.")) and ".open" not in name:
            self._left -= 1
            if not self._left:
                sys.stdout.write(f"dies at {name}\n")
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    vars(host)["World"] = Dying
    sys.exit(main())
