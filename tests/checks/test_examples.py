"""The examples are as they should be."""

from __future__ import annotations

from farandole.checks.report import examine
from farandole.graph.of_code import graph_of


def test_the_shop_has_no_finding_that_is_proven() -> None:
    from examples.shop import shop

    report = examine(graph_of(shop))
    assert len(report.ran) >= 11
    assert [f"{judged.finding.rule} {judged.finding.what}" for judged in report.judged] == []
