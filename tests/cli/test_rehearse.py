"""`farandole rehearse`: exit codes, the story, repeating, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from farandole.cli import main
from farandole.rehearse.course import fingerprint, version

RIGHT, WRONG = "tests.rehearse.cafe:rehearsal", "tests.rehearse.cafe:broken"


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(["rehearse", *arguments])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_what_is_right_ends_with_0_and_tells_what_was_met(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, RIGHT, "--seeds", "6", "--jobs", "1")
    assert code == 0
    assert "6 runs, 54 workflows" in out
    assert "arrows travelled: 2 of 2" in out


def test_what_is_wrong_ends_with_1_its_story_and_the_ways_to_repeat_it(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    svg, mermaid = tmp_path / "story.svg", tmp_path / "story.mmd"
    code, out, _ = run(capsys, WRONG, "--jobs", "1", "--svg", str(svg), "--mermaid", str(mermaid))
    assert code == 1
    assert "Violated: nobody_is_charged_twice" in out
    assert f"farandole rehearse {WRONG} --repeat " in out
    assert "def test_nobody_is_charged_twice(rehearsal):" in out
    assert svg.read_text().startswith("<svg")
    assert mermaid.read_text().startswith("sequenceDiagram")
    seed = out.split("--repeat ")[1].split()[0]
    assert run(capsys, WRONG, "--repeat", seed)[0] == 1
    course = tmp_path / "course.txt"
    course.write_text(out.split('"""farandole ')[1].split('"""')[0].join(("farandole ", "")))
    code, again, _ = run(capsys, WRONG, "--repeat", str(course))
    assert code == 1
    assert "Mind:" not in again
    assert run(capsys, RIGHT, "--repeat", str(course))[0] == 0, "the same course, without the mistake"


def test_a_seed_of_another_version_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    _, out, _ = run(capsys, RIGHT, "--repeat", "3@0.0.1/1-12345678")
    assert f"Mind: it was drawn by Farandole 0.0.1/1, and this is {version()}" in out


def test_json_has_what_programs_want(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, WRONG, "--json", "--jobs", "1")
    told = json.loads(out)
    assert code == 1
    assert told["failed"] is True
    assert told["findings"][0]["rule"] == "nobody_is_charged_twice"
    assert told["seed"].partition("@")[2].endswith(fingerprint_of_cafe())
    assert told["edges"]["missed"] == []
    assert told["course"].startswith("farandole ")


def fingerprint_of_cafe() -> str:
    from tests.rehearse.cafe import cafe

    return fingerprint(cafe().choreography)


def test_several_processes_find_it_too(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, WRONG, "--jobs", "2", "--seeds", "60")
    assert code == 1
    assert "Violated: nobody_is_charged_twice" in out


def test_systematic_guided_and_timed_searches_say_what_they_did(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, RIGHT, "--systematic", "2")
    assert code == 0
    assert "orders of 2 deliveries played" in out
    code, out, _ = run(capsys, RIGHT, "--for", "0.2s", "--guided", "--jobs", "1")
    assert code == 0
    assert "10 runs" in out


def test_no_faults_is_a_choice(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, RIGHT, "--faults", "none", "--seeds", "3", "--jobs", "1")
    assert code == 0
    assert "faults: none" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((RIGHT, "--faults", "crush"), "there is no fault 'crush'. Did you mean crash?"),
        ((RIGHT, "--seeds", "0"), "--seeds: expected a positive whole number"),
        ((RIGHT, "--jobs", "-1"), "--jobs: expected a positive whole number"),
        ((RIGHT, "--for", "soon"), "soon"),
        ((RIGHT, "--repeat", "x"), "expected a whole number, such as the seed 17"),
        (("tests.rehearse.cafe:cafe",), "expected a Rehearsal or Choreography"),
        (("tests.rehearse.nowhere:rehearsal",), "there is no module"),
        ((), "which rehearsal?"),
    ],
)
def test_wrong_calls_end_with_2_and_one_line(
    arguments: tuple[str, ...], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not arguments:
        monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert words in err
    assert len(err.splitlines()) == 1


HANDLER = """
import time, threading, socket
from farandole import Choreography, Command, Event, Service
class Go(Command):
    id: str
class Went(Event, key="id"):
    id: str
service = Service("here")
@service.command
async def go(command: Go) -> Went:
    {line}
    return Went(id=command.id)
app = Choreography("walk", service)
"""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("time.time()", "uses time.time(), which differs from run to run. Use context.now()"),
        ("threading.Thread(target=print).start()", "reaches for a thread"),
        ("socket.socket()", "reaches for the network"),
    ],
)
def test_a_handler_that_reaches_outside_is_named_with_its_line(
    line: str, words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"walk_{abs(hash(line))}"
    (tmp_path / f"{name}.py").write_text(HANDLER.format(line=line))
    monkeypatch.syspath_prepend(str(tmp_path))
    code, out, _ = run(capsys, f"{name}:app", "--seeds", "2", "--jobs", "1")
    assert code == 1
    assert "Nothing was rehearsed" in out
    assert f"{name}.py:11 {words}" in out
