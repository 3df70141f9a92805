"""A RabbitMQ server of a test's own, to be killed, starved and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

from tests.ports import free_port

PROGRAMS = next((folder for folder in (Path("/usr/lib/rabbitmq/bin"), Path(shutil.which("rabbitmqctl") or "/").parent)
                 if (folder / "rabbitmq-server").exists()), None)  # fmt: skip
"""Where RabbitMQ's scripts are; None: nowhere. Debian's own in /usr/sbin change the user."""


class OwnServer:
    """One node in a folder of its own.

    Parameters
    ----------
    folder:
        Where it keeps everything.
    settings:
        Lines of rabbitmq.conf.
    """

    def __init__(self, folder: Path, *settings: str) -> None:
        assert PROGRAMS is not None
        self.folder = folder
        self.port, epmd, distribution = (free_port() for _ in range(3))
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}/"
        (folder / "rabbitmq.conf").write_text(
            "\n".join([f"listeners.tcp.1 = 127.0.0.1:{self.port}", "loopback_users = none", *settings])
        )
        (folder / "plugins").write_text("[].")
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "RABBITMQ_NODENAME": "farandole-test@localhost",
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq"),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(epmd),
            "ERL_EPMD_RELAXED_COMMAND_CHECK": "1",  # so that it can be ended
            "RABBITMQ_DIST_PORT": str(distribution),
        }
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self.folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                [str((PROGRAMS or Path()) / "rabbitmq-server")],
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.ctl("wait", str(self.folder / "pid"), "--timeout", "60")

    def kill(self) -> None:
        """As a power cut would."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None
            (self.folder / "pid").unlink(missing_ok=True)

    def stop(self) -> None:
        self.kill()
        subprocess.run(["epmd", "-port", self._environment["ERL_EPMD_PORT"], "-kill"], env=self._environment, check=False,
                       capture_output=True)  # fmt: skip

    def ctl(self, *arguments: str) -> str:
        """`rabbitmqctl`."""
        command = [str((PROGRAMS or Path()) / "rabbitmqctl"), "--quiet", *arguments]
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout
