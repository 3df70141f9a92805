"""A service of a graph as an AsyncAPI 3.1 document.

Other tools see channels, messages with their schemas, and what is sent and received. Everything else that the graph knows, what causes what
above all, stands under `x-farandole-…`. So a graph is the same when it was written and read again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from farandole.graph.graph import Graph
from farandole.graph.nodes import Message, Reaction, Service, short
from farandole.manifest.extensions import CHOREOGRAPHY, MESSAGE, PART, REACTION, SERVICE, data_of
from farandole.schema.sensitive import sensitive_paths
from farandole.schema.walk import pointer_of, rewritten

__all__ = ["VERSION", "document_of"]

VERSION = "3.1.0"
"""The version of AsyncAPI that is written."""

DOOR = "commands"
UNKNOWN = "unknown"
"""Channels without an address: that of commands, which are sent through a door and not a broker; that of messages whose topic nobody says."""


def document_of(graph: Graph, service: Service) -> dict[str, Any]:
    """The AsyncAPI document of one service, as plain data in a fixed order."""
    return _Writing(graph, service).document()


class _Writing:
    def __init__(self, graph: Graph, service: Service) -> None:
        self.graph = graph
        self.service = service
        self.reactions = graph.of_service.get(service.id, ())
        self.own = [message for message in graph.messages if message.service == service.id]
        self._keys: dict[str, str] = {}  # of a message type: the key of the message by which operations mean it
        self._messages: dict[str, dict[str, Any]] = {}
        self._channels: dict[str, dict[str, Any]] = {}
        self._channel_of: dict[str, str] = {}

    def document(self) -> dict[str, Any]:
        for message in self.own:
            self._add(message)
        for tp in self._named():
            if tp not in self._keys:
                self._add(self.graph.owned.get(tp) or Message(tp, "", self.service.place), copied=True)
        operations = dict(self._operations())
        info: dict[str, Any] = {"title": self.service.id, "version": self.service.version}
        if self.service.doc:
            info["description"] = self.service.doc
        info[SERVICE] = data_of(self.service, without=("version", "doc"))
        return {
            "asyncapi": VERSION,
            "info": info,
            "defaultContentType": "application/json",
            CHOREOGRAPHY: self._choreography(),
            "channels": self._channels,
            "operations": operations,
            "components": {"messages": self._messages},
        }

    def _choreography(self) -> dict[str, Any]:
        """The name, and the workflows and cycles that begin with what is said here; those that begin nowhere stand everywhere."""
        mine = {message.type for message in self.own if message.role == "owner"}

        def belongs(types: Iterable[str]) -> bool:
            return any(tp in mine for tp in types) or not any(tp in self.graph.owned for tp in types)

        found: dict[str, Any] = {"name": self.graph.name}
        if workflows := [data_of(flow) for flow in self.graph.workflows if belongs(flow.starts)]:
            found["workflows"] = workflows
        if cycles := [data_of(cycle) for cycle in self.graph.cycles if belongs(cycle.types)]:
            found["cycles"] = cycles
        return found

    def _named(self) -> dict[str, None]:
        """The types that the service's reactions take or emit, in order."""
        return dict.fromkeys(tp for node in self.reactions for tp in (*node.trigger.receives, *node.effects_of_all_ways))

    # --- messages and channels

    def _add(self, message: Message, *, copied: bool = False) -> None:
        key = _free(message.type, self._messages)
        self._keys.setdefault(message.type, key)
        channel = self._channel(message)
        self._channel_of.setdefault(message.type, channel)
        self._messages[key] = self._message(message, key, copied=copied)
        self._channels[channel]["messages"][key] = {"$ref": "#" + pointer_of("components", "messages", key)}

    def _channel(self, message: Message) -> str:
        name = DOOR if message.kind == "command" else UNKNOWN if message.topic is None else message.topic
        address = None if message.kind == "command" else message.topic
        # A topic may be called as one of the two without an address.
        while name in self._channels and self._channels[name]["address"] != address:
            name += "-topic" if address is not None else "-"
        self._channels.setdefault(name, {"address": address, "messages": {}})
        return name

    def _message(self, message: Message, key: str, *, copied: bool) -> dict[str, Any]:
        found: dict[str, Any] = {"name": message.type, "title": short(message.type)}
        if message.doc:
            found["description"] = message.doc
        found[MESSAGE] = self._notes(message, copied=copied)
        if message.schema is not None:
            found["payload"] = moved(message.schema, "#" + pointer_of("components", "messages", key, "payload"))
        if message.examples:
            found["examples"] = [{"payload": dict(example)} for example in message.examples]
        return found

    def _notes(self, message: Message, *, copied: bool) -> dict[str, Any]:
        left_out = ["type", "service", "schema", "doc", "examples", "sensitive"]
        if message.kind == "event":
            left_out.append("topic")  # the channel's address
        notes: dict[str, Any] = data_of(message, without=[*left_out, "role", "place"] if copied else left_out)
        if message.sensitive or message.sensitive != sensitive_paths(message.schema):
            notes["sensitive"] = list(message.sensitive)
        first = {"copied_from": message.service} if copied else {"role": message.role}
        return {**first, "version": list(message.version), **notes}

    # --- operations

    def _operations(self) -> Iterator[tuple[str, dict[str, Any]]]:
        known: set[str] = set()
        for reaction in self.reactions:
            channels = self._by_channel(reaction.trigger.receives)
            key = _free(reaction.name, known)
            known.add(key)
            first = next(iter(channels), None)
            yield key, self._operation("receive", first, channels.get(first or "", ()), reaction, key)
            for channel in list(channels)[1:]:
                part = _free(f"{key}.{channel}", known)
                known.add(part)
                yield part, {**self._operation("receive", channel, channels[channel]), PART: key}
        handled = {tp for node in self.reactions if node.trigger.kind == "command" for tp in node.trigger.receives}
        sent = dict.fromkeys(  # commands that it hands to itself go nowhere
            tp for reaction in self.reactions for tp in reaction.effects_of_all_ways if tp not in handled
        )
        sent |= dict.fromkeys(message.type for message in self.own if message.role == "owner" and message.kind == "event")
        for channel, types in self._by_channel(sent).items():
            key = _free(f"send.{channel}", known)
            known.add(key)
            yield key, self._operation("send", channel, types)

    def _operation(
        self, action: str, channel: str | None, types: Iterable[str], reaction: Reaction | None = None, key: str = ""
    ) -> dict[str, Any]:
        if channel is None:  # a reaction to nothing: AsyncAPI wants a channel all the same
            channel = UNKNOWN
            self._channels.setdefault(channel, {"address": None, "messages": {}})
        place = pointer_of("channels", channel)
        found: dict[str, Any] = {"action": action}
        if reaction is not None and reaction.doc:
            found["description"] = reaction.doc
        found["channel"] = {"$ref": "#" + place}
        found["messages"] = [{"$ref": f"#{place}{pointer_of('messages', self._keys[tp])}"} for tp in types]
        if reaction is not None:
            left_out = ["service", "doc"]
            left_out += ["name"] if reaction.name == key else []
            left_out += ["id"] if reaction.id == f"{self.service.id}.{key}" else []
            found[REACTION] = data_of(reaction, without=left_out)
        return found

    def _by_channel(self, types: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for tp in dict.fromkeys(types):
            found.setdefault(self._channel_of[tp], []).append(tp)
        return found


def moved(schema: Any, place: str) -> Any:
    """A schema whose references into itself lead to `place`, where it is put."""

    def change(part: dict[str, Any]) -> None:
        ref = part.get("$ref")
        if isinstance(ref, str) and (ref == "#" or ref.startswith("#/")):
            part["$ref"] = place + ref[1:]

    return rewritten(schema, change)


def _free(name: str, taken: Iterable[str]) -> str:
    """The name, or with a number behind it where it is taken."""
    found, number = name, 1
    while found in taken:
        number += 1
        found = f"{name}-{number}"
    return found
