"""What a URL of Kafka may say, and what its positions carry. No server."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Collection
from importlib.machinery import ModuleSpec
from typing import Any

import pytest

from farandole.brokers import open_broker
from farandole.brokers.kafka import read
from farandole.brokers.kafka.admin import Admin, Topic
from farandole.errors import ConfigurationError
from farandole.world import World


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("kafka://", "names no server"),
        ("kafka://user:s3cret@", "names no server"),
        ("kafka://one:9092,", "names no server"),
        ("kafka://one:9092/topic", "names no server"),
        ("kafka://one?partitions=0", "partitions to be a number from 1 to 1024, got: '0'"),
        ("kafka://one?replication=many", "replication to be a number from 1, got: 'many'"),
        ("kafka://one?create=maybe", "create to be yes or no, got: 'maybe'"),
        ("kafka://one?mode=avro", "mode to be structured or binary, got: 'avro'"),
        ("kafka://u:s3cret@one?acks=1", "leave out the option 'acks'"),
        ("kafka://one?group.id=mine", "leave out the option 'group.id'"),
    ],
)
def test_a_wrong_url_is_named_without_its_password(url: str, words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_broker(url, World())
    assert words in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_options_that_are_not_ours_go_to_the_client_as_they_are() -> None:
    settings = read(
        "kafka://one:9092,two:9093?partitions=4&mode=binary&compression.type=zstd&session.timeout.ms=30000&message.timeout.ms=2500"
    )
    assert settings.client["bootstrap.servers"] == "one:9092,two:9093"
    assert settings.client["compression.type"] == "zstd"
    assert settings.client["session.timeout.ms"] == "30000"
    assert "partitions" not in settings.client
    assert "message.timeout.ms" not in settings.client
    assert (settings.partitions, settings.mode, settings.patience) == (4, "binary", 2.5)


def test_a_user_and_password_go_encrypted_unless_the_url_says_otherwise() -> None:
    client = read("kafka://me%40here:p%3A%2Fw@one:9092").client
    assert (client["sasl.username"], client["sasl.password"]) == ("me@here", "p:/w")
    assert (client["security.protocol"], client["sasl.mechanism"]) == ("SASL_SSL", "PLAIN")
    client = read("kafka://me:pw@one?security.protocol=SASL_PLAINTEXT&sasl.mechanism=SCRAM-SHA-512").client
    assert (client["security.protocol"], client["sasl.mechanism"]) == ("SASL_PLAINTEXT", "SCRAM-SHA-512")
    assert "pw" not in repr(read("kafka://me:pw@one"))


def test_a_client_that_is_not_installed_is_named_with_what_to_type(monkeypatch: pytest.MonkeyPatch) -> None:
    find: Callable[..., ModuleSpec | None] = importlib.util.find_spec
    monkeypatch.setattr("farandole.brokers.kafka.find_spec", lambda name: None if name == "confluent_kafka" else find(name))
    with pytest.raises(ConfigurationError, match=r'confluent-kafka is not installed. Type: pip install "farandole\[kafka\]"'):
        open_broker("kafka://one", World())


@pytest.mark.parametrize("text", ["", "open", "open 1 2", "open a b c", "shut 1 2 3", "open 1 2 3 4", "{}"])
def test_what_another_tool_wrote_beside_a_position_is_no_mark(text: str) -> None:
    mark = pytest.importorskip("farandole.brokers.kafka.mark")
    assert mark.Mark.read(text) is None
    ours = mark.Mark("clean", 3, -1, 12)
    assert mark.Mark.read(str(ours)) == ours


def test_a_topic_that_is_forgotten_while_it_is_looked_at_stays_forgotten() -> None:
    admin = Admin(read("kafka://127.0.0.1:9"))
    admin.known = {"kept": Topic(1, 1000), "lost": Topic(1, 1000), "gone": Topic(1, 1000)}

    def describe(names: Collection[str]) -> dict[str, Any]:
        admin.forget("lost")  # by another thread
        return {name: None if name == "gone" else Topic(3, 0) for name in names}

    admin._describe = describe  # type: ignore[method-assign]
    admin.refresh()
    assert admin.known == {"kept": Topic(3, 1000)}
