"""Mermaid's language: every line is one that its grammar knows, whatever the texts hold."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from tests.rehearse.story.cases import ALL, NASTY, crash_before_ack, double_refund, runs

from farandole.rehearse.beats import Beat
from farandole.rehearse.story import mermaid

TEXT = r"(?:[^#;\n<>%{}$\"\\]|#\d+;|<br/>)+"
LINES = [
    re.compile(r"    participant (p\d+) as " + TEXT),
    re.compile(r"    (p\d+)(?:->>|-->>|-->|-x)(p\d+): " + TEXT),
    re.compile(r"    Note over (p\d+)(?:,(p\d+))?: " + TEXT),
]


def check(text: str) -> None:
    """The lines of the grammar that we write, and every name declared before it is used."""
    first, *lines = text.splitlines()
    assert first == "sequenceDiagram"
    declared: set[str] = set()
    for line in lines:
        match = next((match for pattern in LINES if (match := pattern.fullmatch(line))), None)
        assert match is not None, line
        names = {name for name in match.groups() if name}
        if line.startswith("    participant"):
            declared |= names
        assert names <= declared, line
        assert line.partition(": ")[2].strip().lower() != "end", line


def shown(text: str) -> str:
    """What Mermaid shows of an escaped text."""
    return html.unescape(re.sub(r"#(\d+);", r"&#\1;", text))


def test_the_check_above_finds_what_the_grammar_does_not_know() -> None:
    for line in ("p0->>p1: a;b", "p0->>p1: a # b", "p0->>p9: late", "p0->> p1", "Note over p0: <b>", "p0->>p1: end"):
        with pytest.raises(AssertionError):
            check(f"sequenceDiagram\n    participant p0 as a\n    participant p1 as b\n    {line}\n")


@pytest.mark.parametrize("name", ALL)
def test_real_stories_are_well_formed(name: str) -> None:
    check(mermaid(ALL[name]()))


def test_crashes_are_notes_repeats_dashed_and_losses_crossed() -> None:
    text = mermaid(crash_before_ack())
    assert "    p1->>p2: OrderPlaced\n" in text
    assert "    Note over p2: ✗ crashed after commit, before ack\n" in text
    assert "    p1-->>p2: OrderPlaced again\n" in text
    assert "    Note over p0,p4: ✗ everything_paid_ships: order<br/>o-1 is paid and not shipped\n" in text
    assert "-xp1: done, but the answer was lost: timed out" in mermaid(double_refund())


@pytest.mark.parametrize("nasty", NASTY)
def test_users_texts_are_shown_and_never_read_as_language(nasty: str) -> None:
    text = mermaid([Beat(0.0, "delivered", nasty, nasty, "one", to="shop")])
    check(text)
    words = " ".join(nasty.split())
    if words.isprintable() and words and ":" not in words:
        assert words in shown(text)


def test_no_beats_make_an_empty_diagram() -> None:
    check(mermaid([]))


@given(runs)
def test_any_run_is_well_formed(run: list[Beat]) -> None:
    check(mermaid(run))
