"""AsyncAPI documents of others: what is sent and received; contradictions stay visible."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from examples.shop import shop
from farandole.graph import Graph
from farandole.graph.of_code import graph_of
from farandole.manifest import as_yaml, document_of, read_folder

V3 = """
asyncapi: 3.0.0
info: {title: Streetlights Kafka API, version: 1.0}
channels:
  measured:
    address: lights.measured
    messages: {lightMeasured: {$ref: '#/components/messages/lightMeasured'}}
  turned:
    address: lights.turned
    messages:
      turnOn: {name: shop.TurnedOn.v1, payload: {schemaFormat: application/vnd.aai.asyncapi+yaml;version=3.0.0, schema: {type: object}}}
      avro: {payload: {schemaFormat: application/vnd.apache.avro;version=1.9.0, schema: {type: record}}}
operations:
  hear: {action: receive, channel: {$ref: '#/channels/measured'}}
  tell: {action: send, channel: {$ref: '#/channels/turned'}, messages: [{$ref: '#/channels/turned/messages/turnOn'}]}
components:
  messages:
    lightMeasured:
      summary: How bright it is.
      payload: {$ref: '#/components/schemas/light'}
      examples: [{payload: {lumens: 3}}, {headers: {a: 1}}]
  schemas:
    light: {type: object, properties: {lumens: {type: integer}, at: {$ref: '#/components/schemas/at'}}}
    at: {type: string, format: date-time}
"""
V2 = """
asyncapi: 2.6.0
info: {title: Lights, version: '1'}
channels:
  lights/turned:
    subscribe: {message: {oneOf: [{$ref: '#/components/messages/on'}, {messageId: off, payload: {type: object}}]}}
  lights/measured:
    publish: {operationId: hear, message: {payload: {type: object}}}
components: {messages: {on: {payload: {type: object, title: On}}}}
"""


def read(folder: Path, **texts: str) -> Graph:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    graph, findings = read_folder(folder)
    assert findings == []
    return graph


def test_a_document_of_others_says_what_is_sent_and_received(tmp_path: Path) -> None:
    graph = read(tmp_path, a=V3)
    (service,) = graph.services
    assert (service.id, service.version, service.complete) == ("streetlights-kafka-api", "1.0", False)
    assert graph.reactions == ()
    measured, turned = graph.messages
    assert (measured.type, measured.role, measured.topic) == ("lightMeasured", "reader", "lights.measured")
    assert measured.doc == "How bright it is."
    assert measured.examples == ({"lumens": 3},)
    assert measured.schema == {
        "type": "object",
        "properties": {"lumens": {"type": "integer"}, "at": {"$ref": "#/$defs/at"}},
        "$defs": {"at": {"type": "string", "format": "date-time"}},
    }
    assert (turned.type, turned.role, turned.topic) == ("shop.TurnedOn.v1", "owner", "lights.turned")
    assert turned.schema == {"type": "object"}
    assert str(turned.place) == f"{tmp_path / 'a.yaml'}:11#/channels/turned/messages/turnOn"


def test_a_payload_that_is_no_json_schema_is_not_guessed_at(tmp_path: Path) -> None:
    text = V3.replace(", messages: [{$ref: '#/channels/turned/messages/turnOn'}]", "")
    schemas = {message.type: message.schema for message in read(tmp_path, a=text).messages}
    assert schemas["avro"] is None


def test_who_subscribes_in_version_2_gets_what_the_service_sends(tmp_path: Path) -> None:
    found = {(each.type, each.role, each.topic) for each in read(tmp_path, a=V2).messages}
    assert found == {
        ("on", "owner", "lights/turned"),
        ("off", "owner", "lights/turned"),
        ("hear", "reader", "lights/measured"),
    }


def test_a_catalogue_without_operations_owns_its_messages(tmp_path: Path) -> None:
    text = V3.partition("operations:")[0] + "components:" + V3.partition("components:")[2]
    assert {message.role for message in read(tmp_path, a=text).messages} == {"owner"}


def test_a_message_that_a_service_sends_and_receives_is_both(tmp_path: Path) -> None:
    text = V3.replace("operations:\n", "operations:\n  say: {action: send, channel: {$ref: '#/channels/measured'}}\n")
    roles = [message.role for message in read(tmp_path, a=text).messages if message.type == "lightMeasured"]
    assert roles == ["owner", "reader"]


def test_numbers_dates_and_words_are_read_as_in_json(tmp_path: Path) -> None:
    values = "{a: no, b: 2024-01-01, c: 1_000, d: 0o17, e: 0x1F, f: 1e3, g: ~, h: True, i: '1', j: .5, k: .inf}"
    text = f"asyncapi: 3.0.0\ninfo: {{title: x, version: '1'}}\nchannels: {{c: {{messages: {{m: {{payload: {{default: {values}}}}}}}}}}}\n"
    schema: Any = read(tmp_path, a=text).messages[0].schema
    expected = {
        "a": "no",
        "b": "2024-01-01",
        "c": "1_000",
        "d": 15,
        "e": 31,
        "f": 1000.0,
        "g": None,
        "h": True,
        "i": "1",
        "j": 0.5,
        "k": ".inf",
    }
    assert schema["default"] == expected


def test_anchors_and_merged_keys_are_read(tmp_path: Path) -> None:
    text = V3 + "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n"
    assert len(read(tmp_path, a=text).messages) == 2


def written(graph: Graph, folder: Path, *services: str) -> Path:
    for service in graph.services:
        if not services or service.name in services:
            (folder / f"{service.id}.yaml").write_text(as_yaml(document_of(graph, service)), encoding="utf-8")
    return folder


def test_of_one_service_alone_the_messages_that_it_needs_are_those_of_a_reader(tmp_path: Path) -> None:
    graph, _ = read_folder(written(graph_of(shop), tmp_path, "payments"))
    readers = {message.type: message.service for message in graph.messages if message.role == "reader"}
    assert set(readers.values()) == {"shop.payments"}
    assert set(readers) == {"shop.OrderCleared.v1", "shop.OrderSuspected.v1", "shop.LinesReturned.v1"}


def test_a_reader_that_was_built_with_another_schema_than_its_owners_stays_visible(tmp_path: Path) -> None:
    old = graph_of(shop)
    written(old, tmp_path)
    changed = tuple(
        replace(message, schema={**(message.schema or {}), "required": []})
        if message.type == "shop.LinesReturned.v1"
        else message
        for message in old.messages
    )
    written(replace(old, messages=changed), tmp_path, "returns")
    graph, _ = read_folder(tmp_path)
    readers = [message.service for message in graph.messages if message.role == "reader"]
    assert readers == ["shop.inventory", "shop.loyalty", "shop.payments"]


def test_two_documents_about_one_service_stay_two(tmp_path: Path) -> None:
    graph = graph_of(shop)
    written(graph, tmp_path, "payments")
    (tmp_path / "again.yaml").write_text(as_yaml(document_of(graph, graph.service["shop.payments"])), encoding="utf-8")
    read, findings = read_folder(tmp_path)
    assert findings == []
    assert [service.id for service in read.services] == ["shop.payments", "shop.payments"]
    assert len(read.workflows) == len({flow.name for flow in read.workflows})


def test_a_manifest_by_hand_says_the_least(tmp_path: Path) -> None:
    text = """
asyncapi: 3.1.0
info: {title: shop.billing, version: 1.0.0, x-farandole-service: {team: money}}
channels:
  shop.orders: {messages: {shop.OrderPlaced.v1: {x-farandole-message: {role: reader}}}}
  shop.billing: {messages: {shop.Billed.v1: {payload: {type: object}}}}
operations:
  bill:
    action: receive
    channel: {$ref: '#/channels/shop.orders'}
    x-farandole-reaction: {emits: [shop.Billed.v1], exhausted: {emits: [shop.Unbilled.v1]}}
  send: {action: send, channel: {$ref: '#/channels/shop.billing'}}
"""
    graph = read(tmp_path, a=text)
    (reaction,) = graph.reactions
    assert (reaction.id, reaction.trigger.kind, reaction.trigger.receives) == (
        "shop.billing.bill",
        "event",
        ("shop.OrderPlaced.v1",),
    )
    assert (reaction.emits, reaction.exhausted and reaction.exhausted.emits) == (("shop.Billed.v1",), ("shop.Unbilled.v1",))
    assert reaction.place.line == 11
    assert [(message.type, message.role) for message in graph.messages] == [
        ("shop.OrderPlaced.v1", "reader"),
        ("shop.Billed.v1", "owner"),
    ]
    assert graph.services[0].complete
    assert graph.services[0].team == "money"
