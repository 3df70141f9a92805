"""The choreography that the benchmark makes is what it says: sound but for its planted defects."""

from __future__ import annotations

from benchmarks.checks import Maker, check

from farandole.checks import Finding
from farandole.checks.registry import rules
from farandole.graph import Graph

DEFECTS = {"exhausted-missing", "missing-compensation", "compensation-cannot-follow", "join-may-hang"}


def proven(graph: Graph) -> list[Finding]:
    return [finding for finding in check(graph)[2] if rules()[finding.rule].tier == "proof"]


def test_sagas_without_defects_have_no_finding():
    graph = Maker(0.04, seed=7, defects=0.0).graph()
    assert len(graph.workflows) == 20
    assert proven(graph) == []


def test_sagas_with_defects_have_findings_and_no_others():
    graph = Maker(0.1, seed=7, defects=1.0).graph()
    found = proven(graph)
    assert {finding.rule for finding in found} == DEFECTS
    assert {finding.workflow for finding in found} < {workflow.name for workflow in graph.workflows}
