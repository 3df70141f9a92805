"""Lines of a log for people and for programs: what `farandole run --log text|json` writes.

A line of JSON has the names of the Elastic Common Schema, version 8: `@timestamp`, `log.level`, `log.logger`, `message`, `service.name`,
`event.action`, `event.outcome`, `event.duration` (nanoseconds), `error.type`, `error.message`, `error.stack_trace`, `trace.id`; what that has
no name for is `farandole.…`. Source: https://www.elastic.co/guide/en/ecs/8.11/ecs-field-reference.html
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from farandole.observe.correlation import CorrelationFilter

__all__ = ["JsonLines", "TextLines", "writing"]

ECS = {
    "service": "service.name",
    "action": "event.action",
    "reason": "error.message",
    "error_type": "error.type",
    "trace_id": "trace.id",
    "correlation_id": "farandole.correlation_id",
    "causation_id": "farandole.causation_id",
    "event_id": "farandole.event_id",
    "event_type": "farandole.event_type",
    "event_source": "farandole.event_source",
    "event_key": "farandole.key",
    "reaction": "farandole.reaction",
    "state": "farandole.state",
    "attempt": "farandole.attempt",
    "emitted": "farandole.emitted",
    "due": "farandole.due",
    "place": "farandole.place",
    "dependency": "farandole.dependency",
    "who": "farandole.who",
    "count": "farandole.count",
}
"""What our records know, by its name in a line of JSON. What else a record was given by `extra=` keeps its name."""
OUTCOMES = {"done": "success", "exhausted": "success", "parked": "failure", "dead": "failure", "refused": "failure"}
_OWN = frozenset(vars(logging.LogRecord("", 0, "", 0, "", None, None))) | {"message", "asctime", "taskName"}
_PLAIN = (str, int, float, bool)
_encode = msgspec.json.Encoder().encode


def _moment(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonLines(logging.Formatter):
    """A JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "@timestamp": _moment(record),
            "log.level": record.levelname.lower(),
            "message": record.getMessage(),
            "ecs.version": "8.11.0",
            "log.logger": record.name,
        }
        for name, value in vars(record).items():
            if name in _OWN or value is None or value == "":
                continue
            if name == "milliseconds":
                line["event.duration"] = int(value * 1e6)
            else:
                # An event that somebody logs as `extra` hides what is sensitive only as a text.
                line.setdefault(ECS.get(name, name), value if type(value) in _PLAIN else str(value))
        if (state := line.get("farandole.state")) is not None:
            line["event.outcome"] = OUTCOMES.get(state, "unknown")
        if record.exc_info and record.exc_info[0] is not None:
            line.setdefault("error.type", record.exc_info[0].__name__)
            line.setdefault("error.message", str(record.exc_info[1]))
            line["error.stack_trace"] = self.formatException(record.exc_info)
        try:
            return _encode(line).decode()
        except UnicodeEncodeError:  # a lone surrogate
            return _encode({name: _text(value) for name, value in line.items()}).decode()


def _text(value: Any) -> Any:
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


class TextLines(logging.Formatter):
    """Time, level, logger and message; then whose line it is, where a handler wrote it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end; a traceback follows in lines of its own."""
        text = f"{_moment(record)} {record.levelname:7} {record.name}: {record.getMessage()}"
        reaction, correlation = getattr(record, "reaction", ""), getattr(record, "correlation_id", "")
        if reaction and correlation and not record.name.startswith("farandole."):
            text += f"  [{reaction} {correlation}]"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return text


@contextmanager
def writing(kind: str, stream: TextIO | None = None) -> Iterator[None]:
    """Write what anybody logs, from INFO on, to a stream (standard output) as long as this lasts. For programs; a library asks its user.

    Parameters
    ----------
    kind:
        `json`, `text`, or `off`.
    """
    if kind == "off":
        yield
        return
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(JsonLines() if kind == "json" else TextLines())
    handler.addFilter(CorrelationFilter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
