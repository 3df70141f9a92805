"""The command line in processes that kill themselves with SIGKILL at a step of their work, one after the other.

DIE_AT names the steps, counted from 1 in each life. The last life, in the parent, goes on until it is stopped. Forked, since starting
an interpreter takes longer than a life.
"""

from __future__ import annotations

import os
import signal
import sys

import cyclopts  # noqa: F401 - so that no life has to import it again

import farandole.cli.run
import farandole.stores.sqlite.alchemy  # noqa: F401 - as above
from farandole import World, host
from farandole.cli import main


class Dying(World):
    """Counts the steps of fetching, committing, publishing and acknowledging."""

    left = 0

    def point(self, name: str) -> None:
        if name.startswith(("store.", "broker.", "relay.", "worker.")) and ".open" not in name:
            self.left -= 1
            if not self.left:
                sys.stdout.write(f"dies at {name}\n")
                sys.stdout.flush()
                os.kill(os.getpid(), signal.SIGKILL)


def live() -> int:
    """Lives until the last; gives the exit code of that one."""
    vars(host)["World"] = Dying
    for step in os.environ["DIE_AT"].split():
        child = os.fork()
        if not child:
            Dying.left = int(step)
            return main()
        os.waitpid(child, 0)
    return main()


if __name__ == "__main__":
    sys.exit(live())
