"""What is asked of a Kafka cluster beside publishing and consuming: topics, limits, positions. Blocking: run in a thread."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from datetime import datetime
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # its stubs do not say that they export them
    AdminClient,
    ConfigResource,
    NewTopic,
    OffsetSpec,
)

from farandole.brokers.base import PublishResult
from farandole.brokers.kafka import Settings
from farandole.errors import BrokerError, ConfigurationError

__all__ = ["Admin", "Key", "Topic", "words"]

K = TypeVar("K")
Key = tuple[str, int]
"""A topic and one of its partitions."""

TIMEOUT = 10.0
USUAL_LIMIT = 1_048_588
"""Kafka's own `message.max.bytes`: what is assumed where we may not ask."""
_NAME = re.compile(r"[A-Za-z0-9._-]{1,249}")
_ATTEMPTS, _PAUSE = 50, 0.1  # how often, and in which seconds, a topic that was just made is looked for

UNREACHABLE = frozenset(
    {KafkaError._TRANSPORT, KafkaError._TIMED_OUT, KafkaError._ALL_BROKERS_DOWN, KafkaError._RESOLVE, KafkaError._AUTHENTICATION,
     KafkaError._SSL, KafkaError.REQUEST_TIMED_OUT, KafkaError.NETWORK_EXCEPTION}
)  # fmt: skip
PERMANENT = frozenset(
    {KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.TOPIC_EXCEPTION, KafkaError.INVALID_RECORD,
     KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}
)  # fmt: skip
"""What another try does not change: too large, no name for a topic, refused by the server's checks, not allowed."""
_SETTLING = frozenset(
    {KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
     KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.NOT_COORDINATOR,
     KafkaError.OFFSET_NOT_AVAILABLE, KafkaError.REPLICA_NOT_AVAILABLE, KafkaError.UNSTABLE_OFFSET_COMMIT, KafkaError._NOENT}
)  # fmt: skip
"""A topic that was just made, or a server that came or went: soon it will be otherwise."""


class Topic(NamedTuple):
    """A topic as it is: how many partitions, and how many bytes a message of it may have."""

    partitions: int
    limit: int


class Admin:
    """One client for questions.

    Parameters
    ----------
    settings:
        The broker's.

    Attributes
    ----------
    known:
        The topics that were found. Kept until `refresh` or `forget`, which may come from another thread at any time.
    limit:
        The bytes that a message may have, where a topic does not say otherwise.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._place = settings.place
        self._last = ""
        self._stale = False
        self._current = self._begin()
        self.known: dict[str, Topic] = {}
        self.limit = USUAL_LIMIT

    def open(self) -> None:
        """See whether somebody answers, and what the largest message is."""
        try:
            cluster = self._client.describe_cluster(request_timeout=TIMEOUT).result()
        except KafkaException as error:
            raise self._away(words(error)) from None
        nodes = [str(node.id) for node in cluster.nodes]
        if nodes:
            broker = ConfigResource(ConfigResource.Type.BROKER, nodes[0])
            self.limit = self._limits([broker], "message.max.bytes").get(nodes[0], USUAL_LIMIT)

    # topics

    def find(self, names: Collection[str], *, create: bool = True) -> dict[str, Topic | PublishResult]:
        """These topics, made where they are missing and the URL does not forbid it; or why not.

        Raises
        ------
        BrokerError
            Nobody answers.
        """
        found: dict[str, Topic | PublishResult | None] = {
            name: self._misnamed(name) for name in names if not _NAME.fullmatch(name)
        }
        found |= self._describe([name for name in names if name not in found])
        missing = [name for name, topic in found.items() if topic is None]
        if missing and create:
            refused = self._create(missing)
            for _ in range(_ATTEMPTS):
                fresh = [name for name in missing if found[name] is None and name not in refused]
                if not fresh:
                    break
                found |= self._describe(fresh)
                threading.Event().wait(_PAUSE if any(found[name] is None for name in fresh) else 0)
            found |= refused
        measured = self._measured({name: topic for name, topic in found.items() if isinstance(topic, Topic)})
        self.known |= measured
        return {
            name: measured[name] if isinstance(topic, Topic) else topic or self._absent(name) for name, topic in found.items()
        }

    def refresh(self) -> None:
        """Look at the known topics again: they may have got more partitions, or be gone."""
        for name, topic in self._describe(list(self.known)).items():
            was = self.known.get(name)
            if was is not None and isinstance(topic, Topic):  # else it was forgotten meanwhile, by another thread
                self.known[name] = topic._replace(limit=was.limit)
            else:
                self.known.pop(name, None)

    def forget(self, name: str) -> None:
        """A topic is not as it was: look again before the next use."""
        self.known.pop(name, None)

    def _misnamed(self, name: str) -> PublishResult:
        wanted = "letters, digits, dots, underscores and hyphens, at most 249"
        return PublishResult(f"{self._place}: {name!a} cannot be a topic of Kafka: it takes {wanted}", permanent=True)

    def _absent(self, name: str) -> PublishResult:
        remedy = "create it, or leave out create=no" if not self._settings.create else "it was made, and does not appear"
        return PublishResult(f"{self._place} has no topic {name}: {remedy}")

    def _describe(self, names: Collection[str]) -> dict[str, Topic | PublishResult | None]:
        """Topics; refusals; None where one is missing, or not ready."""
        found: dict[str, Topic | PublishResult | None] = {}
        if not names:
            return found
        for name, future in self._client.describe_topics(TopicCollection(list(names)), request_timeout=TIMEOUT).items():
            try:
                partitions = future.result().partitions
            except KafkaException as error:
                found[name] = self._refusal(name, error, KafkaError.UNKNOWN_TOPIC_OR_PART)
            else:
                ready = partitions and all(partition.leader is not None for partition in partitions)
                found[name] = Topic(len(partitions), self.limit) if ready else None
        return found

    def _create(self, names: Collection[str]) -> dict[str, PublishResult]:
        """Make topics; gives those that could not be made."""
        wanted = [NewTopic(name, self._settings.partitions, self._settings.replication) for name in names]
        refused = {}
        for name, future in self._client.create_topics(wanted, request_timeout=TIMEOUT).items():
            try:
                future.result()
            except KafkaException as error:
                refusal = self._refusal(name, error, KafkaError.TOPIC_ALREADY_EXISTS)
                if refusal is not None:
                    refused[name] = refusal
        return refused

    def _refusal(self, name: str, error: KafkaException, fine: int) -> PublishResult | None:
        code = error.args[0].code()
        if code == fine:
            return None
        if code in UNREACHABLE:
            raise self._away(words(error))
        return PublishResult(f"{self._place}, topic {name}: {words(error)}", permanent=code in PERMANENT)

    def _measured(self, topics: Mapping[str, Topic]) -> dict[str, Topic]:
        """The same with the limits that the topics have."""
        if not topics:
            return {}
        limits = self._limits([ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics], "max.message.bytes")
        return {name: topic._replace(limit=limits.get(name, self.limit)) for name, topic in topics.items()}

    def _limits(self, resources: list[ConfigResource], name: str) -> dict[str, int]:
        found = {}
        for resource, future in self._client.describe_configs(resources, request_timeout=TIMEOUT).items():
            try:
                found[resource.name] = int(future.result()[name].value)
            except (KafkaException, KeyError, TypeError, ValueError):  # we may not ask: then what is usual
                continue
        return found

    # positions

    def committed(self, group: str, keys: Collection[Key]) -> dict[Key, tuple[int, str]]:
        """Where a group stands, and what was written beside it; without partitions where it has no position."""
        if not keys:
            return {}
        asked = ConsumerGroupTopicPartitions(group, [TopicPartition(*key) for key in keys])
        answers = self._answers(lambda: self._client.list_consumer_group_offsets([asked], request_timeout=TIMEOUT))
        partitions = answers[group].topic_partitions
        for partition in partitions:
            if partition.error is not None:
                raise BrokerError(f"{self._place}, group {group}, topic {partition.topic}: {words(partition.error)}")
        return {(p.topic, p.partition): (p.offset, p.metadata or "") for p in partitions if p.offset >= 0}

    def offsets(self, keys: Iterable[Key], start: str | datetime) -> dict[Key, int]:
        """The first offset (`"beginning"`), the one after the last (`"end"`), or the first from a time on (the end: there is none)."""
        spec = OffsetSpec.earliest() if start == "beginning" else OffsetSpec.latest()  # type: ignore[no-untyped-call]
        if isinstance(start, datetime):
            spec = OffsetSpec.for_timestamp(round(start.timestamp() * 1000))
        asked = {TopicPartition(*key): spec for key in keys}
        answers = self._answers(lambda: self._client.list_offsets(asked, request_timeout=TIMEOUT)) if asked else {}
        found = {(place.topic, place.partition): int(answer.offset) for place, answer in answers.items()}
        late = [key for key, offset in found.items() if offset < 0]
        return {**found, **self.offsets(late, "end")} if late else found

    def starts(self, keys: Collection[Key], start: str | int | datetime) -> dict[Key, int]:
        """The offset of the first message of a subscription that says `start`."""
        if not isinstance(start, int):
            return self.offsets(keys, start)
        low, high = self.offsets(keys, "beginning"), self.offsets(keys, "end")
        return {key: max(low[key], min(start, high[key])) for key in keys}

    def _answers(self, ask: Callable[[], Mapping[K, Future[Any]]]) -> dict[K, Any]:
        """What the cluster answers; asked again while it settles."""
        attempt = 0
        while True:
            try:
                return {key: future.result() for key, future in ask().items()}
            except KafkaException as error:
                code, why = error.args[0].code(), words(error)
            if code in UNREACHABLE:
                raise self._away(why)
            attempt += 1
            if code not in _SETTLING or attempt == _ATTEMPTS:
                raise BrokerError(f"{self._place}: {why}")
            self._stale = self._stale or code == KafkaError._NOENT
            threading.Event().wait(_PAUSE)

    # the client

    @property
    def _client(self) -> AdminClient:
        """A client. One that saw all servers go away does not find back to them: then another."""
        self._current.poll(0)
        if self._stale:
            self._stale = False
            self._current = self._begin()
        return self._current

    def _begin(self) -> AdminClient:
        config: dict[str, Any] = {**self._settings.client, "error_cb": self._note}
        try:
            return AdminClient(config)
        except (KafkaException, ValueError, TypeError) as error:
            raise ConfigurationError(f"{self._place}: {words(error)}") from None

    def _note(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._stale = True
        else:
            self._last = words(error)

    def _away(self, why: str) -> BrokerError:
        """Nobody answers: why, in the words of the failed connection, where there are any."""
        self._current.poll(0)
        self._stale = True
        last, self._last = self._last, ""
        return BrokerError(
            f"no answer from {self._place}: {last or why}. Check host, port and credentials; it is tried again when it is used again"
        )


def words(error: BaseException | KafkaError) -> str:
    """What went wrong, in the client's words."""
    if isinstance(error, KafkaException):
        error = error.args[0]
    return error.str() if isinstance(error, KafkaError) else str(error)
