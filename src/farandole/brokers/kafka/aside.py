"""Calls of the client that may never return, in a thread beside the consumer's.

Where a connection is cut while a commit is under way, and no server answers any more, the client tries that commit again
without end: it counts no attempt that never found a connection. `commit` and `close` return only then. Here they are waited for no
longer than `TIMEOUT`, and the thread is a daemon, so that neither a consumer that is closed nor a process that ends waits for it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from queue import SimpleQueue
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from farandole.brokers.kafka.admin import TIMEOUT

__all__ = ["Aside"]

T = TypeVar("T")


class Aside:
    """One call after the other: none overtakes one that is still under way.

    Parameters
    ----------
    client:
        Whose calls they are.
    """

    def __init__(self, client: Consumer) -> None:
        self._client = client
        self._asked: SimpleQueue[tuple[Callable[[], Any], Future[Any]] | None] = SimpleQueue()
        self._last: Future[Any] | None = None

    def commit(self, places: list[TopicPartition]) -> list[TopicPartition]:
        """Store these; gives them with what the server said of each.

        Raises
        ------
        KafkaException
            It failed, or no answer came in time (`_TIMED_OUT`); then it may still arrive.
        """
        if self._last is not None:
            self._wait(self._last)
        answer = self._ask(lambda: self._client.commit(offsets=places, asynchronous=False))
        self._wait(answer)
        return answer.result()

    def close(self) -> None:
        """Leave the group; where no server answers, that goes on when nobody waits for it any more."""
        waiting = self._last is not None and not self._last.done()
        closing = self._ask(self._client.close)
        self._asked.put(None)
        try:
            if not waiting:
                self._wait(closing)
        except KafkaException:
            pass  # the group learns it after `session.timeout.ms`

    def _ask(self, what: Callable[[], T]) -> Future[T]:
        if self._last is None:
            threading.Thread(target=self._work, name="farandole-kafka-aside", daemon=True).start()
        self._last = answer = Future[T]()
        self._asked.put((what, answer))
        return answer

    def _wait(self, call: Future[Any]) -> None:
        """Until it is over, however it ended."""
        if not wait([call], TIMEOUT).done:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"an acknowledgement got no answer for {TIMEOUT:g} s"))

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            what, answer = asked
            try:
                answer.set_result(what())
            except BaseException as error:
                answer.set_exception(error)
