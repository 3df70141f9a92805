"""Write what other tools need to watch a choreography: a dashboard for Grafana, alert rules for Prometheus."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from farandole.cli import FINE
from farandole.cli.output import write
from farandole.cli.target import find
from farandole.config import parse_duration
from farandole.errors import ConfigurationError
from farandole.observe.export import Thresholds, dashboard_of, rules_for

__all__ = ["COMMANDS", "grafana", "prometheus_rules"]


def grafana(app: str | None = None, *, output: Path | None = None) -> int:
    """Write a dashboard for Grafana, as JSON to be imported. Each panel asks for metrics of `observe = ["metrics"]`.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    output
        The file to write; default: standard output.
    """
    write(json.dumps(dashboard_of(find(app).choreography), indent=2) + "\n", output)
    return FINE


def prometheus_rules(
    app: str | None = None,
    *,
    dead: int = 0,
    lag: int = 1_000,
    outbox_age: str = "60s",
    duplicates: float = 0.05,
    retries: float = 0.5,
    output: Path | None = None,
) -> int:
    """Write alert rules for Prometheus, as YAML.

    Parameters
    ----------
    app
        The choreography, as module:variable; it may come from the configuration.
    dead
        So many dead letters of a service are fine.
    lag
        So many events before a lane are fine.
    outbox_age
        An event may wait so long to be published, such as 60s.
    duplicates
        Such a share of what a lane fetches may be duplicates.
    retries
        Such a share of what a reaction runs may be retries.
    output
        The file to write; default: standard output.
    """
    for name, value in (("dead", dead), ("lag", lag), ("duplicates", duplicates), ("retries", retries)):
        if not 0 <= value < float("inf"):
            raise ConfigurationError(f"--{name}: expected a number that is not below 0, got: {value}")
    try:
        oldest = parse_duration(outbox_age)
    except ValueError as error:
        raise ConfigurationError(f"--outbox-age: {error}") from None
    limits = Thresholds(dead=dead, lag=lag, outbox_age=oldest, duplicates=duplicates, retries=retries)
    write(yaml.safe_dump(rules_for(find(app).choreography, limits), sort_keys=False, width=1000, allow_unicode=True), output)
    return FINE


COMMANDS = {"grafana": grafana, "prometheus-rules": prometheus_rules}
