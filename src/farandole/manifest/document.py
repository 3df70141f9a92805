"""What all versions of AsyncAPI have in common: messages, schemas, and what was found in a document so far."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from farandole.checks.base import Finding
from farandole.graph.nodes import AllowedCycle, Message, Reaction, Service, Workflow
from farandole.manifest.bundle import bundled
from farandole.manifest.extensions import MESSAGE, SERVICE, node_of
from farandole.manifest.refs import Spot
from farandole.manifest.tree import Trouble
from farandole.schema.sensitive import sensitive_paths

__all__ = ["Part", "attempt", "message_of", "service_of"]

_JSON_SCHEMA = re.compile(r"application/(vnd\.aai\.asyncapi|schema)\b.*")
_SLUG = re.compile(r"[^a-z0-9]+")


@dataclass
class Part:
    """What one document says.

    Attributes
    ----------
    name:
        Of the choreography; None: not said.
    copies:
        Messages of other services that the document repeats for its readers: (whose, what).
    """

    service: Service
    name: str | None = None
    messages: list[Message] = field(default_factory=list)
    copies: list[tuple[str, Message]] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    workflows: list[Workflow] = field(default_factory=list)
    cycles: list[AllowedCycle] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)


@contextmanager
def attempt(part: Part) -> Iterator[None]:
    """Do a step; trouble becomes a finding, and the rest is read all the same."""
    try:
        yield
    except Trouble as trouble:
        found = trouble.finding()
        if found not in part.findings:
            part.findings.append(found)


def service_of(document: Spot) -> Service:
    """The service that a document is about.

    Raises
    ------
    Trouble
        It has no info with a title.
    """
    info = document.at("info")
    title = info.text("title") if info else ""
    if info is None or not title:
        raise document.trouble(
            "manifest-structure", "the document has no info with a title", "Write info: {title: …, version: …}"
        )
    known: dict[str, Any] = {"place": str(document.place), "version": info.text("version", "0.0.0")}
    known["doc"] = info.text("description")
    if (notes := info.get(SERVICE)) is not None:
        return node_of(Service, notes, {"id": title, **known})
    return Service(
        _SLUG.sub("-", title.lower()).strip("-") or "service", document.place, known["version"], doc=known["doc"], complete=False
    )


def message_of(spot: Spot, service: Service, role: str, topic: str | None, name: str) -> tuple[Message, str | None, bool]:
    """What a document says of a message.

    Parameters
    ----------
    spot:
        The message, references followed.
    role:
        Unless the message says otherwise.
    topic:
        The address of its channel.
    name:
        What to call it where it has no name.

    Returns
    -------
    The message, the service that it is copied from or None, and whether it is a copy.
    """
    found: dict[str, Any] = {
        "type": spot.text("name") or name,
        "service": service.id,
        "role": role,
        "topic": topic,
        "doc": spot.text("description") or spot.text("summary"),
        "schema": _payload(spot),
        "examples": _examples(spot),
    }
    found["sensitive"] = list(sensitive_paths(found["schema"]))
    notes = spot.get(MESSAGE)
    if notes is None:
        return _plain(found, spot), None, False
    said = notes.value if isinstance(notes.value, dict) else {}
    if "copied_from" not in said:
        return node_of(Message, notes, found), None, False
    return node_of(Message, notes, {**found, "role": "reader"}), str(said["copied_from"]), True


def _plain(found: Mapping[str, Any], spot: Spot) -> Message:
    return Message(
        **{**found, "sensitive": tuple(found["sensitive"]), "examples": tuple(found["examples"]), "place": spot.place},
    )


def _payload(spot: Spot) -> Any:
    """The schema of the payload, where it is a JSON Schema; None where it is something else, or not said."""
    payload = spot.get("payload")
    if payload is None or payload.node.value is None:
        return None
    format = spot.text("schemaFormat")
    end = payload.files.follow(payload) if payload.ref is not None and len(payload.node.value) == 1 else payload
    if isinstance(end.node.value, dict) and "schemaFormat" in end.node.value and "schema" in end.node.value:
        format = end.text("schemaFormat")
        inner = end.get("schema")
        assert inner is not None
        payload = inner
    if format and not _JSON_SCHEMA.fullmatch(format):
        return None
    schema = bundled(payload)
    if isinstance(schema, bool):
        return {} if schema else {"not": {}}
    if not isinstance(schema, dict):
        raise payload.trouble("manifest-structure", "expected a schema as payload", "Write an object such as {type: object}")
    return schema


def _examples(spot: Spot) -> list[Any]:
    examples = spot.at("examples")
    if examples is None:
        return []
    payloads = [example.get("payload") for _, example in examples.parts()]
    return [payload.value for payload in payloads if payload is not None and isinstance(payload.node.value, dict)]
