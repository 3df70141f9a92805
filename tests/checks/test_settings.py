"""What a project may say about rules, and what every wrong line is told."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from tests.checks.kit import event, graph, reaction, service

from farandole.checks.base import Finding
from farandole.checks.baseline import Baseline
from farandole.checks.registry import rules
from farandole.checks.report import Report, examine
from farandole.checks.settings import Choice, Settings, read_settings
from farandole.errors import ConfigurationError

SHOP = graph(
    service("orders"),
    service("mail"),
    event("Placed", "orders"),
    event("Paid", "orders"),
    reaction("orders.place", "X", emits=("Placed", "Paid")),
)
"""Two events that nobody consumes: warnings."""


def settings(toml: str) -> Settings:
    return read_settings(tomllib.loads(toml))


def verdicts(report: Report) -> dict[str, str]:
    return {judged.finding.subject: judged.verdict for judged in report.judged if judged.rule.id == "unconsumed"}


def check(toml: str = "", **more: Any) -> dict[str, str]:
    return verdicts(examine(SHOP, settings=settings(toml), **more))


def test_without_settings_a_rule_counts_as_it_says() -> None:
    assert check() == {"shop.Placed.v1": "warning", "shop.Paid.v1": "warning"}


def test_a_rule_may_count_more_or_not_at_all() -> None:
    assert check('unconsumed = { severity = "error", reason = "r" }') == {"shop.Placed.v1": "error", "shop.Paid.v1": "error"}
    assert check('unconsumed = { severity = "off", reason = "r" }') == {}


@pytest.mark.parametrize("name", ["Paid", "shop.Paid.v1", "Paid.v1"])
def test_a_subject_is_named_short_or_in_full(name: str) -> None:
    assert check(f'unconsumed."{name}" = {{ severity = "off", reason = "the auditors read it" }}') == {
        "shop.Placed.v1": "warning",
        "shop.Paid.v1": "off",
    }


def test_what_is_said_of_a_subject_comes_before_what_is_said_of_the_rule() -> None:
    toml = '[unconsumed]\nseverity = "off"\nreason = "r"\n[unconsumed.Paid]\nseverity = "error"\nreason = "money"'
    assert check(toml) == {"shop.Placed.v1": "off", "shop.Paid.v1": "error"}


def test_a_hint_runs_if_it_is_configured_and_then_counts() -> None:
    nodes = graph(service("orders"), event("Payment", "orders"), event("Row", "orders"))
    assert examine(nodes).judged == ()
    whole = examine(nodes, settings=settings('names = { severity = "error", reason = "r" }'))
    assert [judged.verdict for judged in whole.judged] == ["error", "error"]
    one = examine(nodes, settings=settings('names.Payment = { severity = "error", reason = "r" }'))
    assert [(judged.finding.subject, judged.verdict) for judged in one.judged] == [("shop.Payment.v1", "error")]


def test_an_exception_that_excepts_nothing_is_told() -> None:
    report = examine(SHOP, settings=settings('unconsumed.Nothing = { severity = "off", reason = "r" }'))
    assert report.idle == (("unconsumed", "Nothing"),)


def test_what_is_known_passes_and_what_is_new_does_not() -> None:
    known = Baseline({("unconsumed", "shop.Paid.v1"): 1, ("unemitted", "shop.Gone.v1"): 2})
    report = examine(SHOP, baseline=known)
    assert verdicts(report) == {"shop.Placed.v1": "warning", "shop.Paid.v1": "known"}
    assert report.gone == (("unemitted", "shop.Gone.v1", 2),)


def test_on_the_ratchet_what_is_new_is_an_error() -> None:
    known = Baseline({("unconsumed", "shop.Paid.v1"): 1})
    assert check('unconsumed = { severity = "ratchet", reason = "r" }', baseline=known) == {
        "shop.Placed.v1": "error",
        "shop.Paid.v1": "known",
    }


def test_what_is_set_to_count_counts_though_it_is_known() -> None:
    known = Baseline({("unconsumed", "shop.Paid.v1"): 1})
    assert check('unconsumed = { severity = "warning", reason = "r" }', baseline=known)["shop.Paid.v1"] == "warning"


def test_more_of_one_kind_than_are_known_all_count() -> None:
    twice = graph(service("a"), service("a"), service("a"))
    rule = rules()["two-services"]
    assert len(list(rule.check(twice))) == 2
    subject = ("two-services", "shop.a")
    assert [judged.verdict for judged in examine(twice, only=["two-services"], baseline=Baseline({subject: 2})).judged] == [
        "known"
    ] * 2
    assert [judged.verdict for judged in examine(twice, only=["two-services"], baseline=Baseline({subject: 1})).judged] == [
        "error"
    ] * 2
    assert examine(twice, only=["two-services"], baseline=Baseline({subject: 3})).gone == (("two-services", "shop.a", 1),)


def test_what_only_other_rules_would_find_is_not_told_as_gone() -> None:
    known = Baseline({("unemitted", "shop.Gone.v1"): 1})
    assert examine(SHOP, only=["unconsumed"], baseline=known).gone == ()


def test_findings_of_reading_count_as_errors() -> None:
    place = service("a").place
    before = [Finding("manifest-yaml", place, "It is no YAML.", "Write YAML.", "a.yaml")]
    report = examine(graph(), before=before)
    assert [(judged.finding.rule, judged.verdict) for judged in report.judged] == [("manifest-yaml", "error")]
    assert report.fails()


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('unconsumd = { severity = "off", reason = "r" }', "unconsumd: there is no rule 'unconsumd'. Did you mean unconsumed?"),
        ('zzz = { severity = "off", reason = "r" }', "zzz: there is no rule 'zzz'. See: farandole check --list-rules"),
        ('unconsumed = "off"', """unconsumed: expected { severity = "warning", reason = "…" }, got: 'off'"""),
        ("unconsumed = {}", """unconsumed: expected { severity = "warning", reason = "…" }, got: {}"""),
        (
            'unconsumed = { severity = "of", reason = "r" }',
            "expected severity to be one of error, warning, off, ratchet, got: 'of'",
        ),
        ('unconsumed = { severity = "off" }', 'say why, for whoever reads it in a year: { severity = "off", reason = "…" }'),
        ('unconsumed = { severity = "off", reason = " " }', "unconsumed: say why"),
        ('unconsumed = { reason = "r" }', "unconsumed: expected { severity"),
        ('unconsumed.Paid = { severity = "off" }', 'unconsumed."Paid": say why'),
        ('unconsumed.Paid = { severity = "off", reason = "r", until = "May" }', 'unconsumed."Paid": expected { severity'),
        ("unconsumed.Paid = 3", 'unconsumed."Paid": expected { severity'),
    ],
)
def test_a_wrong_line_is_told_what_was_expected(toml: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings(toml)
    assert str(caught.value).startswith("[tool.farandole.checks] ")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_reason_is_one_line() -> None:
    assert settings('unconsumed = { severity = "off", reason = """\nit is\n  read by hand""" }').rules["unconsumed"] == Choice(
        "off", "it is read by hand"
    )
