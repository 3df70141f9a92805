"""The dashboard and the alert rules: Prometheus' own tool reads them, they ask for nothing that is not there, and each rule fires when it should."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.observe.promtool import promtool
from tests.observe.test_metrics import counted, text_of
from tests.observe.test_observer import Packed, Paid, Place, Placed, Shipped, shop

from farandole import Breaker, Choreography, Measure, Service, Workflow, World
from farandole.cli import main
from farandole.observe.export import Thresholds, dashboard_of, rules_for
from farandole.stores.record import Standing

NAME = re.compile(r"\b(?:farandole|messaging)_\w+")


class Bank:
    pass


def everything() -> Choreography:
    """With a breaker, a workflow with a limit, and each kind of measure."""
    audit = Service("audit-trail")
    audit.provide(Bank, Bank(), breaker=Breaker())

    @audit.on(Packed)
    async def note(packed: Packed, bank: Bank) -> None: ...

    return Choreography(
        "shop",
        *shop(fails=1).services.values(),
        audit,
        workflows=[Workflow("checkout", starts=Placed, succeeds=Shipped, within=timedelta(minutes=5))],
        measures=[
            Measure.open("unpaid", since=Placed, until=Paid),
            Measure.time("placed_to_paid", Placed, Paid),
            Measure.share("paid", of=Placed, reach=Paid),
            Measure.sum("worth", Placed, "cents", doc="What is under way"),
        ],
    )


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m")


def rules(choreography: Choreography, limits: Thresholds | None = None) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = rules_for(choreography, limits or Thresholds())["groups"][0]["rules"]
    return found


async def test_every_metric_and_label_that_a_panel_or_a_rule_names_is_one_that_the_exporter_has(world: World) -> None:
    choreography = everything()
    async with counted(choreography, world, record="memory://") as (app, metrics):
        receipt = await app.send(Place(order_id="1"))
        await app.idle()
        await app.record.stand([Standing(correlation_id=receipt.correlation_id, workflow="checkout", state="stalled")], 1)
        metrics.trouble("batch", OSError())
        text = await text_of(metrics)
    samples = [line for line in text.splitlines() if not line.startswith("#")]
    there = {line.split("{")[0] for line in samples} | {label for line in samples for label in re.findall(r"(\w+)=\"", line)}
    asked = [*expressions(dashboard_of(choreography)), *(rule["expr"] for rule in rules(choreography))]
    assert len(asked) > 30
    named = {name for expression in asked for name in NAME.findall(re.sub(r'"[^"]*"', "", expression))}
    assert named <= there


def test_prometheus_reads_the_rules_and_what_the_panels_ask(tmp_path: Path) -> None:
    written = tmp_path / "rules.yaml"
    written.write_text(yaml.safe_dump(rules_for(everything(), Thresholds())))
    assert "9 rules found" in promtool("check", "rules", written)
    asked = [{"record": f"panel_{number}", "expr": expr} for number, expr in enumerate(expressions(dashboard_of(everything())))]
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": asked}]}))
    assert f"{len(asked)} rules found" in promtool("check", "rules", panels)


FIRES: dict[str, tuple[dict[str, str], dict[str, str], str]] = {
    "FarandoleDeadLetters": (
        {'farandole_dead_letters{farandole_service="payments"}': "1x20"},
        {"farandole_service": "payments"},
        "payments has given up on 1 events",
    ),
    "FarandoleLag": (
        {'farandole_consumer_lag{messaging_consumer_group_name="shop.stock",farandole_service="stock"}': "1001x20"},
        {"messaging_consumer_group_name": "shop.stock"},
        "shop.stock is 1001 events behind",
    ),
    "FarandoleDuplicates": (
        {
            'farandole_duplicates_total{messaging_consumer_group_name="shop.stock"}': "0+6x20",
            'messaging_client_consumed_messages_total{messaging_consumer_group_name="shop.stock",farandole_event_type="a"}': "0+50x20",
            'messaging_client_consumed_messages_total{messaging_consumer_group_name="shop.stock",farandole_event_type="b"}': "0+50x20",
        },
        {"messaging_consumer_group_name": "shop.stock"},
        "Many events of shop.stock come more than once",
    ),
    "FarandoleSchemaViolations": (
        {'farandole_schema_violations_total{farandole_service="stock",farandole_reaction="stock.(envelope)"}': "0x18 1 1"},
        {"farandole_service": "stock", "farandole_reaction": "stock.(envelope)"},
        "stock.(envelope) cannot read what it gets",
    ),
    "FarandoleRetries": (
        {
            'farandole_retries_total{farandole_service="stock",farandole_reaction="stock.pack"}': "0+6x20",
            'farandole_reactions_total{farandole_service="stock",farandole_reaction="stock.pack",farandole_state="parked"}': "0+9x20",
            'farandole_reactions_total{farandole_service="stock",farandole_reaction="stock.pack",farandole_state="done"}': "0+1x20",
        },
        {"farandole_service": "stock", "farandole_reaction": "stock.pack"},
        "Most of what stock.pack runs are retries",
    ),
    "FarandoleOutboxAge": (
        {'farandole_outbox_age_seconds{farandole_service="audit-trail"}': "61x20"},
        {"farandole_service": "audit-trail"},
        "An event of audit-trail waits for 61 s to be published",
    ),
    "FarandoleBreakerOpen": (
        {'farandole_breaker_open{farandole_service="audit-trail",farandole_dependency="Bank"}': "1x20"},
        {"farandole_service": "audit-trail", "farandole_dependency": "Bank"},
        "audit-trail leaves Bank alone, as it keeps failing",
    ),
    "FarandoleStalled": (
        {'farandole_workflows{farandole_workflow="checkout",farandole_state="stalled"}': "2x20"},
        {"farandole_workflow": "checkout"},
        "2 instances of checkout are stalled",
    ),
    "FarandoleBlind": (
        {'farandole_scrape_errors{farandole_source="payments"}': "1x20"},
        {"farandole_source": "payments"},
        "payments does not answer when it is asked for its figures",
    ),
}
SILENT = {
    'farandole_dead_letters{farandole_service="payments"}': "0x20",
    'farandole_dead_letters{farandole_service="of another choreography"}': "9x20",
    'farandole_consumer_lag{messaging_consumer_group_name="shop.stock",farandole_service="stock"}': "1000x20",
    'farandole_consumer_lag{messaging_consumer_group_name="other.stock",farandole_service="stock"}': "5000x20",
    'farandole_duplicates_total{messaging_consumer_group_name="shop.stock"}': "0+4x20",
    'messaging_client_consumed_messages_total{messaging_consumer_group_name="shop.stock",farandole_event_type="a"}': "0+100x20",
    'farandole_schema_violations_total{farandole_service="stock",farandole_reaction="stock.(envelope)"}': "7x20",
    'farandole_retries_total{farandole_service="stock",farandole_reaction="stock.pack"}': "0+4x20",
    'farandole_reactions_total{farandole_service="stock",farandole_reaction="stock.pack",farandole_state="done"}': "0+10x20",
    'farandole_outbox_age_seconds{farandole_service="payments"}': "60x20",
    'farandole_breaker_open{farandole_service="audit-trail",farandole_dependency="Bank"}': "0x20",
    'farandole_workflows{farandole_workflow="checkout",farandole_state="stalled"}': "0x20",
    'farandole_workflows{farandole_workflow="checkout",farandole_state="running"}': "9x20",
    'farandole_scrape_errors{farandole_source="payments"}': "0x20",
}


def test_each_rule_fires_when_it_should_and_says_so_in_words(tmp_path: Path) -> None:
    made = rules(everything())
    by_name = {rule["alert"]: rule for rule in made}
    assert set(by_name) == set(FIRES)
    tests = [
        {
            "interval": "1m",
            "name": name,
            "input_series": [{"series": one, "values": values} for one, values in series.items()],
            "alert_rule_test": [
                {
                    "eval_time": "20m",
                    "alertname": name,
                    "exp_alerts": [
                        {
                            "exp_labels": {"severity": by_name[name]["labels"]["severity"], **labels},
                            "exp_annotations": {"summary": words, "description": _filled(by_name[name], labels)},
                        }
                    ],
                },
                *({"eval_time": "20m", "alertname": other, "exp_alerts": []} for other in by_name if other != name),
            ],
        }
        for name, (series, labels, words) in FIRES.items()
    ]
    quiet = {
        "interval": "1m",
        "name": "silent",
        "input_series": [{"series": one, "values": values} for one, values in SILENT.items()],
        "alert_rule_test": [{"eval_time": "20m", "alertname": name, "exp_alerts": []} for name in by_name],
    }
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "shop", "rules": made}]}))
    judged = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [*tests, quiet]}
    (tmp_path / "tests.yaml").write_text(yaml.safe_dump(judged))
    assert "SUCCESS" in promtool("test", "rules", tmp_path / "tests.yaml")


def _filled(rule: dict[str, Any], labels: dict[str, str]) -> str:
    """The description with the labels put in."""
    text: str = rule["annotations"]["description"]
    for label, value in labels.items():
        text = text.replace(f"{{{{ $labels.{label} }}}}", value)
    return text


def test_a_rule_for_what_cannot_happen_is_left_out_and_limits_are_ones_own() -> None:
    names = {rule["alert"] for rule in rules(shop())}
    assert names == set(FIRES) - {"FarandoleBreakerOpen", "FarandoleStalled"}
    own = {
        rule["alert"]: rule["expr"]
        for rule in rules(shop(), Thresholds(dead=7, lag=8, outbox_age=0.5, duplicates=0.25, retries=1))
    }
    assert own["FarandoleDeadLetters"].endswith("> 7")
    assert own["FarandoleLag"].endswith("> 8")
    assert own["FarandoleOutboxAge"].endswith("> 0.5")
    assert "> 0.25 *" in own["FarandoleDuplicates"]
    assert "> 1 *" in own["FarandoleRetries"]


def test_panels_have_their_places_and_do_not_lie_upon_each_other() -> None:
    for choreography in (everything(), shop()):
        board = dashboard_of(choreography)
        cells = [
            (x, y)
            for panel in board["panels"]
            for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
            for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
        ]
        assert len(cells) == len(set(cells))
        assert max(x for x, _ in cells) < 24
        ids = [panel["id"] for panel in board["panels"]]
        assert ids == list(range(1, len(ids) + 1))


def test_both_are_written_by_a_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "grafana", "examples.shop:shop"]) == 0
    assert json.loads(capsys.readouterr().out)["title"] == "Farandole: shop"
    written = tmp_path / "rules.yaml"
    assert main(["export", "prometheus-rules", "examples.shop:shop", "--lag", "5", "--output", str(written)]) == 0
    assert "SUCCESS" in promtool("check", "rules", written)
    assert ") > 5" in written.read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--lag", "-1"], "--lag: expected a number that is not below 0, got: -1"),
        (["--retries", "nan"], "--retries: expected a number"),
        (["--outbox-age", "soon"], "--outbox-age: expected a duration"),
        (["--output", "/nowhere/at/all"], "/nowhere/at/all cannot be written: No such file"),
    ],
)
def test_what_makes_no_rules_is_told(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "prometheus-rules", "examples.shop:shop", *arguments]) == 2
    assert words in capsys.readouterr().err
