"""A dashboard for Grafana: what is wrong on top, then what flows, then the business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from farandole.model.choreography import Choreography
from farandole.model.measure import Measure
from farandole.observe.export.query import GROUP_LABEL, REACTION_LABEL, SERVICE_LABEL, Query
from farandole.observe.metrics.catalog import instruments_of

__all__ = ["dashboard_of"]

WIDE = 24
_TYPE = "farandole_event_type"
_RATE = "[$__rate_interval]"


def dashboard_of(choreography: Choreography) -> dict[str, Any]:
    """The dashboard of a choreography, to be imported as JSON. It asks for the data source."""
    ask = Query(choreography)
    panels: list[dict[str, Any]] = []
    _row(panels, "Is anything wrong?", _troubles(ask, choreography), height=5)
    _row(panels, "What flows", _flow(ask), height=8)
    if choreography.workflows:
        _row(panels, "Workflows", [_lines("Workflows by state", "short", [
            (f"max by (farandole_workflow, farandole_state) ({ask.of('farandole.workflows')})", "{{farandole_workflow}} {{farandole_state}}")
        ])], height=8)  # fmt: skip
    if choreography.measures:
        instruments = instruments_of(choreography.measures)
        _row(panels, "The business", [_of_measure(ask, measure, instruments) for measure in choreography.measures], height=7)
    return {
        "uid": f"farandole-{choreography.name}"[:40],
        "title": f"Farandole: {choreography.name}",
        "tags": ["farandole"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {"list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"}]},
        "panels": panels,
    }


def _troubles(ask: Query, choreography: Choreography) -> list[dict[str, Any]]:
    panels = [
        _stat("Dead letters", "short", f"sum(max by ({SERVICE_LABEL}) ({ask.of('farandole.dead.letters')}))", 1),
        _stat("Oldest unpublished", "s", f"max({ask.of('farandole.outbox.age')})", 60),
        _stat("Furthest behind", "short", f"max({ask.of('farandole.consumer.lag')})", 1000),
        _stat("Parked keys", "short", f"sum(max by ({SERVICE_LABEL}) ({ask.of('farandole.parked.keys')}))", 100),
        _stat("Tasks for people", "short", f"sum(max by ({SERVICE_LABEL}) ({ask.of('farandole.open.tasks')}))", 1),
        _stat("Breakers open", "short", f"sum({ask.of('farandole.breaker.open')}) or vector(0)", 1),
        _stat("Unreadable, last hour", "short", f"sum(increase({ask.of('farandole.schema.violations')}[1h]))", 1),
    ]
    if choreography.workflows:
        stalled = ask.of("farandole.workflows", farandole_state="stalled")
        panels.insert(0, _stat("Stalled workflows", "short", f"sum(max by (farandole_workflow) ({stalled})) or vector(0)", 1))
    return panels


def _flow(ask: Query) -> list[dict[str, Any]]:
    handling = ask.of("messaging.process.duration", "bucket")
    publishing = ask.of("messaging.client.operation.duration", "bucket")
    return [
        _lines("Published, by type", "ops", [(f"sum by ({_TYPE}) (rate({ask.of('messaging.client.sent.messages')}{_RATE}))", f"{{{{{_TYPE}}}}}")]),
        _lines("Fetched, by lane", "ops", [
            (f"sum by ({GROUP_LABEL}) (rate({ask.of('messaging.client.consumed.messages')}{_RATE}))", f"{{{{{GROUP_LABEL}}}}}")
        ]),
        _lines("Handled, by reaction and state", "ops", [
            (f"sum by ({REACTION_LABEL}, farandole_state) (rate({ask.of('farandole.reactions')}{_RATE}))",
             f"{{{{{REACTION_LABEL}}}}} {{{{farandole_state}}}}")
        ]),
        _lines("Handling time, 95 %", "s", [
            (f"histogram_quantile(0.95, sum by (le, {REACTION_LABEL}) (rate({handling}{_RATE})))", f"{{{{{REACTION_LABEL}}}}}")
        ]),
        _lines("Publishing time, 95 %", "s", [
            (f"histogram_quantile(0.95, sum by (le, {SERVICE_LABEL}) (rate({publishing}{_RATE})))", f"{{{{{SERVICE_LABEL}}}}}")
        ]),
        _lines("Events behind, by lane", "short", [(f"max by ({GROUP_LABEL}) ({ask.of('farandole.consumer.lag')})", f"{{{{{GROUP_LABEL}}}}}")]),
        _lines("Unpublished", "short", [(f"max by ({SERVICE_LABEL}) ({ask.of('farandole.outbox.messages')})", f"{{{{{SERVICE_LABEL}}}}}")]),
        _lines("Retries and waiting events", "short", [
            (f"sum by ({REACTION_LABEL}) (rate({ask.of('farandole.retries')}{_RATE}))", f"{{{{{REACTION_LABEL}}}}} retries/s"),
            (f"max by ({SERVICE_LABEL}) ({ask.of('farandole.parked.events')})", f"{{{{{SERVICE_LABEL}}}}} waiting"),
        ]),
        _lines("Duplicates and trouble", "ops", [
            (f"sum by ({GROUP_LABEL}) (rate({ask.of('farandole.duplicates')}{_RATE}))", f"{{{{{GROUP_LABEL}}}}} duplicates"),
            (f"sum by (farandole_part) (rate({ask.of('farandole.trouble')}{_RATE}))", "{{farandole_part}} trouble"),
        ]),
    ]  # fmt: skip


def _of_measure(ask: Query, measure: Measure, instruments: Any) -> dict[str, Any]:
    name = f"farandole.measure.{measure.name}"
    title = measure.name.replace("_", " ").capitalize()
    if measure.kind == "time":
        spread = f"sum by (le) (rate({ask.measured(instruments[name], 'bucket')}[1h]))"
        shares = [(f"histogram_quantile({share}, {spread})", f"{share:.0%}") for share in (0.5, 0.95)]
        panel = _lines(title, "s", shares)
    elif measure.kind == "share":
        reached, of = (f"sum(increase({ask.measured(instruments[f'{name}.{part}'])}[1h]))" for part in ("reached", "of"))
        panel = _lines(
            title, "percentunit", [(f"{reached} / {of}", "last hour"), (f"max({ask.measured(instruments[name])})", "of all")]
        )
    else:
        panel = _lines(title, "short", [(f"max({ask.measured(instruments[name])})", title)])
    return panel | {"description": instruments[name].help}


def _row(panels: list[dict[str, Any]], title: str, some: Sequence[dict[str, Any]], *, height: int) -> None:
    """A heading, and panels below it: up to eight small ones beside each other, or three."""
    y = max((panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in panels), default=0)
    panels.append(
        {"type": "row", "title": title, "collapsed": False, "panels": [], "gridPos": {"h": 1, "w": WIDE, "x": 0, "y": y}}
    )
    across = max(1, min(len(some), 8 if some[0]["type"] == "stat" else 3))
    width = WIDE // across
    for number, panel in enumerate(some):
        place = {"h": height, "w": width, "x": number % across * width, "y": y + 1 + number // across * height}
        panels.append({**panel, "gridPos": place})
    for number, panel in enumerate(panels, 1):
        panel["id"] = number


def _panel(type: str, title: str, unit: str, queries: Sequence[tuple[str, str]]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${datasource}"}
    targets = [
        {"refId": chr(ord("A") + number), "datasource": source, "expr": expression, "legendFormat": legend}
        for number, (expression, legend) in enumerate(queries)
    ]
    return {
        "type": type,
        "title": title,
        "datasource": source,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
    }


def _lines(title: str, unit: str, queries: Sequence[tuple[str, str]]) -> dict[str, Any]:
    return _panel("timeseries", title, unit, queries)


def _stat(title: str, unit: str, expression: str, red: float) -> dict[str, Any]:
    panel = _panel("stat", title, unit, [(expression, "")])
    steps = [{"color": "green", "value": None}, {"color": "red", "value": red}]
    panel["fieldConfig"]["defaults"] |= {"thresholds": {"mode": "absolute", "steps": steps}, "noValue": "0"}
    return panel | {"options": {"colorMode": "background", "reduceOptions": {"calcs": ["lastNotNull"]}}}
