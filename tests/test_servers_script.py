"""The script that starts servers: what can be told without starting any."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "scripts" / "servers"


def servers(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments], capture_output=True, text=True, check=False, timeout=20, env={**os.environ, **environment}
    )


def test_it_is_sound_bash():
    assert subprocess.run(["bash", "-n", SCRIPT], check=False).returncode == 0


def test_an_unknown_server_or_verb_is_told_what_there_is():
    wrong = servers("up", "oracle")
    assert (wrong.returncode, "postgres redis rabbitmq nats kafka" in wrong.stderr) == (2, True)
    wrong = servers("fly")
    assert (wrong.returncode, "up down restart" in wrong.stderr) == (2, True)


def test_the_status_of_servers_that_never_ran_is_a_table(tmp_path):
    found = servers("status", FARANDOLE_SERVERS=str(tmp_path), FARANDOLE_PORTS="20000")
    assert found.returncode == 0
    assert len(re.findall(r"port \d+ +process - +not running", found.stdout)) == 5


def test_the_environment_names_every_server_and_ports_can_be_moved():
    lines = servers("env", FARANDOLE_PORTS="1").stdout.splitlines()
    assert len(lines) == 5
    assert "export FARANDOLE_POSTGRES=postgresql://postgres@127.0.0.1:25433/postgres" in lines


def test_docker_has_the_same_ports():
    ports = set(re.findall(r"127\.0\.0\.1:(\d+)", servers("env", FARANDOLE_PORTS="0").stdout))
    compose = (ROOT / "compose.yaml").read_text()
    assert ports == set(re.findall(r'ports: \["127\.0\.0\.1:(\d+):', compose))
    assert all(port in (ROOT / "docs" / "servers.md").read_text() for port in ports)
