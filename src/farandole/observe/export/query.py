"""Words of PromQL: metrics by the names that the catalog gives them, so that none is asked for that is not there."""

from __future__ import annotations

import re
from collections.abc import Iterable

from farandole.model.choreography import Choreography
from farandole.observe.metrics.catalog import CATALOG, GROUP, REACTION, SERVICE, Instrument, label_name

__all__ = ["GROUP_LABEL", "REACTION_LABEL", "SERVICE_LABEL", "Query"]

SERVICE_LABEL, GROUP_LABEL, REACTION_LABEL = label_name(SERVICE), label_name(GROUP), label_name(REACTION)


class Query:
    """Asks for the series of one choreography, among those of others in the same Prometheus.

    Parameters
    ----------
    choreography:
        Whose.
    """

    def __init__(self, choreography: Choreography) -> None:
        self._mine = {
            SERVICE: _any_of(choreography.services),
            GROUP: f"{choreography.name}[.].*",
            "farandole.workflow": _any_of(flow.name for flow in choreography.workflows),
        }
        self._name = choreography.name

    def of(self, name: str, ending: str = "", **labels: str) -> str:
        """The series of a metric; for a histogram, its `bucket`, `count` or `sum`."""
        instrument = CATALOG[name]
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        mine = self._mine.get(next(iter(instrument.labels), ""))  # the first label says whose it is
        if mine is not None:
            wanted.insert(0, f'{label_name(instrument.labels[0])}=~"{mine}"')
        return f"{_sample(instrument, ending)}{{{','.join(wanted)}}}" if wanted else _sample(instrument, ending)

    def measured(self, instrument: Instrument, ending: str = "") -> str:
        """The series of a measure. All processes say the same of it."""
        return f'{_sample(instrument, ending)}{{farandole_choreography="{self._name}"}}'


def _sample(instrument: Instrument, ending: str) -> str:
    """The name of its samples."""
    if instrument.kind == "histogram":
        return f"{instrument.family}_{ending}"
    return instrument.samples[0]


def _any_of(names: Iterable[str]) -> str:
    return "|".join(map(re.escape, names)).replace("\\-", "-").replace("\\", "\\\\")
