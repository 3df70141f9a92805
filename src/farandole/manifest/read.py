"""An AsyncAPI document as nodes of a graph: version 3, ours or anybody's, and what version 2 says of messages."""

from __future__ import annotations

import re
from typing import Any

from farandole.graph.nodes import AllowedCycle, Reaction, Workflow
from farandole.manifest.document import Part, attempt, message_of, service_of
from farandole.manifest.extensions import CHOREOGRAPHY, MESSAGE, PART, REACTION, node_of
from farandole.manifest.refs import Spot
from farandole.manifest.tree import Node, Trouble

__all__ = ["is_asyncapi", "read_document"]

_KNOWN = re.compile(r"([23])\.[0-9]+(\.[0-9]+)?(-.*)?")


def is_asyncapi(document: Spot) -> bool:
    """Whether a document says that it is AsyncAPI."""
    return document.get("asyncapi") is not None


def read_document(document: Spot) -> Part:
    """What one AsyncAPI document says of one service. Trouble with a part of it is a finding; the rest is read.

    A document of others says what is sent and what is received: then the service is not `complete`, the messages that it sends are its own,
    and those that it receives are known by its readers. Where nothing is said to be sent or received, as in version 3 without operations, the
    messages are its own.

    In version 2 an operation says what *others* do with a channel: whoever subscribes gets what the service sends.

    Raises
    ------
    Trouble
        It cannot be read at all: its version, or its info.
    """
    version = document.text("asyncapi")
    match = _KNOWN.fullmatch(version)
    if match is None:
        spot = document.get("asyncapi") or document
        raise spot.trouble("manifest-version", f"AsyncAPI {version} is not understood", "Write version 3.1.0; 2 and 3 are read")
    part = Part(service_of(document))
    reading = _Reading(document, part)
    with attempt(part):
        reading.choreography()
    if match[1] == "3":
        reading.version_3()
    else:
        reading.version_2()
    return part


class _Reading:
    def __init__(self, document: Spot, part: Part) -> None:
        self.document = document
        self.part = part
        self._seen: set[tuple[Any, ...]] = set()  # messages that were read, by place and role

    def choreography(self) -> None:
        notes = self.document.get(CHOREOGRAPHY)
        if notes is None:
            return
        self.part.name = notes.text("name") or None
        for _, spot in (notes.get("workflows") or self._nothing()).parts():
            with attempt(self.part):
                self.part.workflows.append(node_of(Workflow, spot, {}))
        for _, spot in (notes.get("cycles") or self._nothing()).parts():
            with attempt(self.part):
                self.part.cycles.append(node_of(AllowedCycle, spot, {}))

    # --- version 3

    def version_3(self) -> None:
        """Messages in the order in which they stand under components, then those that stand elsewhere."""
        roles: dict[tuple[Any, ...], set[str]] = {}
        entries: list[tuple[str, Spot, str | None]] = []
        for name, channel in self._section("channels"):
            with attempt(self.part):
                entries += self._entries(name, channel)
        operations = list(self._section("operations"))
        for key, spot in operations:
            with attempt(self.part):
                self._operation(key, spot, roles)
        order = {(spot.path, spot.tokens): index for index, (_, spot) in enumerate(self._messages())}
        entries.sort(key=lambda entry: order.get((entry[1].path, entry[1].tokens), len(order)))
        for name, spot, topic in entries:
            here = roles.get((spot.path, spot.tokens)) or ({"owner"} if not operations else set())
            if not here and spot.get(MESSAGE) is not None:
                here = {"owner"}
            for role in sorted(here):
                with attempt(self.part):
                    self._add(spot, role, topic, name)

    def _entries(self, name: str, channel: Spot) -> list[tuple[str, Spot, str | None]]:
        channel = channel.files.follow(channel)
        address = channel.get("address")
        topic = name if address is None else (channel.text("address") or None)
        return [(key, spot.files.follow(spot), topic) for key, spot in (channel.at("messages") or self._nothing()).parts()]

    def _messages(self) -> list[tuple[str, Spot]]:
        components = self.document.at("components")
        messages = components.at("messages") if components else None
        return list(messages.parts()) if messages else []

    def _operation(self, key: str, spot: Spot, roles: dict[tuple[Any, ...], set[str]]) -> None:
        spot = spot.files.follow(spot)
        action = spot.text("action")
        if action not in ("send", "receive"):
            place = spot.get("action") or spot
            raise place.trouble("manifest-structure", f"expected the action send or receive, got {action!r}", "Write one of them")
        channel = spot.at("channel")
        if channel is None:
            raise spot.trouble(
                "manifest-structure", f"the operation {key} has no channel", "Write channel: {$ref: '#/channels/…'}"
            )
        listed = spot.at("messages")
        if listed is None:
            listed = channel.at("messages") or self._nothing()
        found = [inner.files.follow(inner) for _, inner in listed.parts()]
        role = "owner" if action == "send" else "reader"
        for message in found:
            roles.setdefault((message.path, message.tokens), set()).add(role)
        notes = spot.get(REACTION)
        if notes is not None:
            self._reaction(key, spot, notes, found)
        elif action == "receive" and spot.get(PART) is None and self.part.service.complete:
            raise spot.trouble(
                "manifest-structure",
                f"the operation {key} receives, and nobody says what it causes",
                f"Write {REACTION}: {{emits: […]}} into it, or complete: false into the service",
            )

    def _reaction(self, key: str, spot: Spot, notes: Spot, messages: list[Spot]) -> None:
        received = [message.text("name") or message.tokens[-1] for message in messages]
        service = self.part.service.id
        known: dict[str, Any] = {
            "id": f"{service}.{key}",
            "service": service,
            "name": key,
            "doc": spot.text("description") or spot.text("summary"),
            "trigger": {"kind": "event", "receives": received},
        }
        self.part.reactions.append(node_of(Reaction, notes, known))

    # --- version 2

    def version_2(self) -> None:
        for address, channel in self._section("channels"):
            with attempt(self.part):
                self._channel_2(address, channel)

    def _channel_2(self, address: str, channel: Spot) -> None:
        channel = channel.files.follow(channel)
        for word, role in (("subscribe", "owner"), ("publish", "reader")):
            operation = channel.at(word)
            message = operation.at("message") if operation else None
            if operation is None or message is None:
                continue
            several = message.at("oneOf")
            spots = [spot.files.follow(spot) for _, spot in several.parts()] if several else [message]
            for spot in spots:
                # A name is where it stands under components, if it does.
                named = spot.tokens[-1] if len(spot.tokens) > 1 and spot.tokens[-2] == "messages" else ""
                with attempt(self.part):
                    name = spot.text("messageId") or named or operation.text("operationId", address)
                    self._add(spot, role, address, name)

    # --- both

    def _section(self, word: str) -> list[tuple[str, Spot]]:
        try:
            section = self.document.at(word)
            if section is None:
                return []
            if not isinstance(section.node.value, dict):
                raise section.trouble("manifest-structure", f"expected an object as {word}", "See the specification of AsyncAPI")
            return list(section.parts())
        except Trouble as trouble:
            self.part.findings.append(trouble.finding())
            return []

    def _add(self, spot: Spot, role: str, topic: str | None, name: str) -> None:
        if not isinstance(spot.node.value, dict):
            raise spot.trouble("manifest-structure", "expected a message", "Write an object with name and payload")
        message, source, copied = message_of(spot, self.part.service, role, topic, name)
        place = (spot.path, spot.tokens, message.role, message.topic)
        if place in self._seen:
            return
        self._seen.add(place)
        if copied:
            self.part.copies.append((source or "", message))
        else:
            self.part.messages.append(message)

    def _nothing(self) -> Spot:
        return Spot(self.document.files, self.document.path, self.document.shown, Node({}, self.document.node.line), ())
