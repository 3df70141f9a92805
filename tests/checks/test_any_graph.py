"""Whatever the graph: the rules come to an end, say the same twice, and what they find can be written down in every form."""

from __future__ import annotations

import json

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from tests.manifest.graphs import graphs

from farandole.checks.baseline import Baseline
from farandole.checks.machine import as_json, as_sarif, github_lines
from farandole.checks.report import examine
from farandole.checks.text import plain_text
from farandole.graph import Graph

# Shrinking graphs of this size takes longer than reading them.
WHOLE = settings(deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


@pytest.mark.slow
@given(graphs())
@settings(WHOLE, max_examples=40)
def test_any_graph_can_be_checked_and_told(graph: Graph) -> None:
    report = examine(graph, hints=True)
    for judged in report.judged:
        assert judged.finding.rule == judged.rule.id
        assert judged.finding.what.endswith((".", "?", "!"))
        assert judged.finding.fix.endswith((".", "?", "!"))
    assert len(set(report.judged)) == len(report.judged)
    text = plain_text(report)
    assert text == plain_text(examine(graph, hints=True))
    assert all(judged.finding.what in text for judged in report.counting)
    json.dumps([as_json(report), as_sarif(report, "1.0.0")])
    assert all("\n" not in line and "\r" not in line for line in github_lines(report))


@pytest.mark.slow
@given(graphs())
@settings(WHOLE, max_examples=15)
def test_what_is_known_never_fails_and_a_rule_alone_finds_what_it_finds_among_others(graph: Graph) -> None:
    report = examine(graph)
    known = examine(graph, baseline=Baseline.of(judged.finding for judged in report.judged))
    assert known.counting == ()
    assert known.gone == ()
    for id in {judged.rule.id for judged in report.judged}:
        alone = examine(graph, only=[id])
        assert alone.judged == tuple(judged for judged in report.judged if judged.rule.id == id)
