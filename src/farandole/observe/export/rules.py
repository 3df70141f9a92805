"""Alert rules for Prometheus: what somebody should look at, by day or at night, with the command to look with."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from farandole.model.choreography import Choreography
from farandole.observe.export.query import GROUP_LABEL, REACTION_LABEL, SERVICE_LABEL, Query

__all__ = ["Thresholds", "rules_for"]


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """What is too much.

    Attributes
    ----------
    dead:
        So many dead letters of a service are fine.
    lag:
        So many events before a lane are fine.
    outbox_age:
        An event may wait so long in an outbox, in seconds.
    duplicates, retries:
        Such a share of what a lane fetches may be duplicates; of what a reaction runs, retries.
    """

    dead: int = 0
    lag: int = 1_000
    outbox_age: float = 60.0
    duplicates: float = 0.05
    retries: float = 0.5


def rules_for(choreography: Choreography, limits: Thresholds) -> dict[str, Any]:
    """The rules of a choreography, as Prometheus reads them from YAML."""
    return {"groups": [{"name": f"farandole {choreography.name}", "rules": list(_rules(choreography, limits))}]}


def _rules(choreography: Choreography, limits: Thresholds) -> Iterator[dict[str, Any]]:
    ask = Query(choreography)
    by_service, by_group = f"by ({SERVICE_LABEL})", f"by ({GROUP_LABEL})"
    by_reaction = f"by ({SERVICE_LABEL}, {REACTION_LABEL})"
    service, group, reaction = (f"{{{{ $labels.{label} }}}}" for label in (SERVICE_LABEL, GROUP_LABEL, REACTION_LABEL))
    yield _rule(
        "FarandoleDeadLetters",
        f"max {by_service} ({ask.of('farandole.dead.letters')}) > {limits.dead}",
        "1m", "critical", f"{service} has given up on {{{{ $value }}}} events",
        f"See what and why: farandole dead list --service {service}",
    )  # fmt: skip
    yield _rule(
        "FarandoleLag",
        f"max {by_group} ({ask.of('farandole.consumer.lag')}) > {limits.lag}",
        "5m", "warning", f"{group} is {{{{ $value }}}} events behind",
        "Does its service run, and keep up? farandole status",
    )  # fmt: skip
    consumed = f"sum {by_group} (rate({ask.of('messaging.client.consumed.messages')}[5m]))"
    yield _rule(
        "FarandoleDuplicates",
        f"sum {by_group} (rate({ask.of('farandole.duplicates')}[5m])) > {limits.duplicates:g} * {consumed}",
        "5m", "warning", f"Many events of {group} come more than once",
        "They are dropped, and do no harm. Somebody publishes them again, or consumers lose their partitions before they acknowledge",
    )  # fmt: skip
    yield _rule(
        "FarandoleSchemaViolations",
        f"sum {by_reaction} (increase({ask.of('farandole.schema.violations')}[10m])) > 0",
        "0m", "critical", f"{reaction} cannot read what it gets",
        f"A producer writes another type or other fields than declared: farandole dead list --service {service}",
    )  # fmt: skip
    runs = f"sum {by_reaction} (rate({ask.of('farandole.reactions')}[5m]))"
    yield _rule(
        "FarandoleRetries",
        f"sum {by_reaction} (rate({ask.of('farandole.retries')}[5m])) > {limits.retries:g} * {runs}",
        "5m", "warning", f"Most of what {reaction} runs are retries",
        "What it needs fails: see the reasons in its log, and farandole status",
    )  # fmt: skip
    yield _rule(
        "FarandoleOutboxAge",
        f"max {by_service} ({ask.of('farandole.outbox.age')}) > {limits.outbox_age:g}",
        "1m", "critical", f"An event of {service} waits for {{{{ $value }}}} s to be published",
        "Does the broker answer, and does the service run? farandole status",
    )  # fmt: skip
    if any(provided.breaker is not None for one in choreography.services.values() for provided in one.provided):
        yield _rule(
            "FarandoleBreakerOpen",
            f"max by ({SERVICE_LABEL}, farandole_dependency) ({ask.of('farandole.breaker.open')}) > 0",
            "1m", "warning", f"{service} leaves {{{{ $labels.farandole_dependency }}}} alone, as it keeps failing",
            "Events wait until it answers again",
        )  # fmt: skip
    if any(flow.within is not None for flow in choreography.workflows):
        yield _rule(
            "FarandoleStalled",
            f"max by (farandole_workflow) ({ask.of('farandole.workflows', farandole_state='stalled')}) > 0",
            "0m", "critical", "{{ $value }} instances of {{ $labels.farandole_workflow }} are stalled",
            "See which, and what they wait for: farandole workflows --stalled",
        )  # fmt: skip
    yield _rule(
        "FarandoleBlind",
        f"max by (farandole_source) ({ask.of('farandole.scrape.errors')}) > 0",
        "5m", "warning", "{{ $labels.farandole_source }} does not answer when it is asked for its figures",
        "Nothing is known of it meanwhile: is its broker or database away?",
    )  # fmt: skip


def _rule(name: str, expression: str, lasting: str, severity: str, summary: str, advice: str) -> dict[str, Any]:
    return {
        "alert": name,
        "expr": expression,
        "for": lasting,
        "labels": {"severity": severity},
        "annotations": {"summary": summary, "description": advice},
    }
