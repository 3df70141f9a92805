"""What other tools are told of a choreography's metrics: a dashboard for Grafana, alert rules for Prometheus."""

from farandole.observe.export.grafana import dashboard_of
from farandole.observe.export.rules import Thresholds, rules_for

__all__ = ["Thresholds", "dashboard_of", "rules_for"]
