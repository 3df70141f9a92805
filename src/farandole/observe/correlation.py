"""To which event a line of anybody's log belongs: the ids of what is handled, for as long as its handler runs."""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import TYPE_CHECKING

from farandole.drawing.letters import plain

if TYPE_CHECKING:
    from farandole.runtime.context import Context

__all__ = ["CURRENT", "CorrelationFilter"]

CURRENT: ContextVar[Context | None] = ContextVar("farandole", default=None)
"""The run of the handler that runs here; in its tasks and threads as well."""


class CorrelationFilter(logging.Filter):
    """Adds `correlation_id`, `event_id` and `reaction` to each log record; they are "" outside of handlers.

    Put it on a handler: `handler.addFilter(farandole.CorrelationFilter())`. What a record was given by `extra=` stays. Ids of foreign events
    are made harmless: what does not print is escaped. It knows of runs where anybody listens, as with `observe=["logs"]`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its ids."""
        context = CURRENT.get()
        ids = ("", "", "") if context is None else (context.correlation_id, context.event_id, context.reaction)
        for name, value in zip(("correlation_id", "event_id", "reaction"), ids, strict=True):
            if not hasattr(record, name):
                setattr(record, name, value if value.isprintable() else plain(value))
        return True
