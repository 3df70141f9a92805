"""The planted folder: each choreography has one defect, which its rule finds at its line and no other rule; its repaired twin is silent.

Each file has `choreography(planted=…)`, and a mark at the line where the finding must be: `# planted: unconsumed`.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from farandole.checks.base import Finding
from farandole.checks.registry import rules
from farandole.checks.report import examine
from farandole.graph import Graph
from farandole.graph.of_code import graph_of
from farandole.manifest.emit import as_yaml
from farandole.manifest.folder import read_folder
from farandole.manifest.write import document_of

FOLDER = Path(__file__).parent / "planted"
FILES = sorted(FOLDER.glob("*.py"))
MARK = re.compile(r"# planted: ([a-z-]+)$")


def mark(path: Path) -> tuple[str, int]:
    """The rule that a file's mark names, and its line."""
    lines = path.read_text(encoding="utf-8").splitlines()
    [found] = [(hit[1], number) for number, line in enumerate(lines, 1) if (hit := MARK.search(line))]
    return found


def graph(path: Path, *, planted: bool) -> Graph:
    """What a file declares; several choreographies are several repositories of one system."""
    made = import_module(f"tests.checks.planted.{path.stem}").choreography(planted=planted)
    graphs = [graph_of(one) for one in (made if isinstance(made, tuple) else (made,))]
    return Graph(
        graphs[0].name,
        tuple(node for one in graphs for node in one.services),
        tuple(node for one in graphs for node in one.messages),
        tuple(node for one in graphs for node in one.reactions),
        tuple(node for one in graphs for node in one.workflows),
        tuple(node for one in graphs for node in one.cycles),
    )


def found(path: Path, *, planted: bool) -> list[Finding]:
    """The findings of all proof rules, and of the rule that the mark names."""
    rule, _ = mark(path)
    wanted = [id for id, known in rules().items() if known.tier == "proof" or id == rule]
    return [judged.finding for judged in examine(graph(path, planted=planted), only=wanted).judged]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_planted_defect_is_found_by_its_rule_alone_at_its_line(path: Path) -> None:
    rule, line = mark(path)
    findings = found(path, planted=True)
    assert [finding.rule for finding in findings] == [rule], "\n".join(f"{f.rule}: {f.what}" for f in findings)
    assert (findings[0].place.file, findings[0].place.line) == (str(path), line)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_repaired_twin_is_silent(path: Path) -> None:
    assert [f"{finding.rule}: {finding.what}" for finding in found(path, planted=False)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_its_manifests_tell_the_same_as_its_python(path: Path, tmp_path: Path) -> None:
    wanted = [id for id, known in rules().items() if known.tier == "proof" or id == mark(path)[0]]
    for planted in (True, False):
        declared, folder = graph(path, planted=planted), tmp_path / str(planted)
        folder.mkdir()
        for number, service in enumerate(declared.services):
            (folder / f"{number}.yaml").write_text(as_yaml(document_of(declared, service)), encoding="utf-8")
        read, before = read_folder(folder)
        both = [examine(read, before=before, only=wanted), examine(declared, only=wanted)]
        theirs, ours = (
            [(judged.finding.rule, judged.finding.place, judged.finding.what) for judged in report.judged] for report in both
        )
        assert theirs == ours
        assert len(ours) == planted


def test_there_are_thirty_defects_and_every_rule_has_one() -> None:
    marks = [mark(path)[0] for path in FILES]
    assert len(marks) >= 30
    assert sorted(set(rules()) - set(marks)) == []
    assert sorted(set(marks) - set(rules())) == []
