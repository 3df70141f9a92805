"""What NATS keeps of groups, in a key-value bucket: a document per group, and who has which partition, how far it is settled.

A member writes how far it is into one record of its own, one write per batch. Who takes a partition over reads the record of the one
who had it: so what a late member still writes is read by nobody.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any, NamedTuple

import msgspec

from farandole.brokers.members import Group
from farandole.brokers.nats_feed import escaped
from farandole.brokers.shared import Key, LogBroker, LogConsumer, Mark
from farandole.errors import BrokerError
from farandole.world import World

__all__ = ["GroupRecords"]

_log = logging.getLogger(__name__)


class _Hand(msgspec.Struct, frozen=True):
    """Who has a partition (nobody: empty), where it was when it came into his hands or left them, and when its stream was made."""

    token: str
    mark: Mark
    born: str = ""


class _Found(NamedTuple):
    """A hand as it counts now, and the revision of its record; `shorter`: its stream was made anew or lost its end, and it is put back."""

    hand: _Hand
    revision: int
    shorter: bool


class GroupRecords(LogBroker):
    """The part of `NatsBroker` that knows groups."""

    def __init__(self, name: str, world: World) -> None:
        super().__init__(name, world)
        self._records: Any = None
        self._own: dict[tuple[str, str], dict[Key, Mark]] = {}

    @abstractmethod
    async def ask(self, name: str, call: Any) -> Any:
        """Await an answer of the server."""

    @abstractmethod
    async def look(self, topic: str) -> tuple[str, int]:
        """When the stream of a topic was made, and its last position."""

    @abstractmethod
    async def end_of(self, key: Key) -> int:
        """The position of the last message of a partition."""

    async def _get(self, key: str, kind: Any) -> tuple[Any, int]:
        from nats.js.errors import KeyNotFoundError

        try:
            entry = await self.ask("get", self._records.get(key))
        except KeyNotFoundError:
            return None, 0
        return msgspec.json.decode(entry.value, type=kind), entry.revision

    async def create(self, key: str, value: bytes) -> None:
        """Write a record, if there is none."""
        from nats.js.errors import KeyWrongLastSequenceError

        with contextlib.suppress(KeyWrongLastSequenceError):
            await self.ask("create", self._records.create(key, value))

    async def join(self, group: str, starts: Mapping[Key, int]) -> None:
        born = {topic: (await self.look(topic))[0] for topic in {topic for topic, _ in starts}}
        await asyncio.gather(
            *(
                self.create(_hand(group, key), msgspec.json.encode(_Hand("", Mark(start), born[key[0]])))
                for key, start in starts.items()
            )
        )

    async def adopt(self, consumer: LogConsumer, keys: Collection[Key], position: int) -> None:
        """Write down that our member goes on from here."""
        group, token = consumer.group, consumer.token
        if group is not None:
            found = {key: known for key, known in (await self._hands(group, keys)).items() if known.hand.token == token}
            mark = Mark(position, left=False)
            await self._put_own(group, token, dict.fromkeys(found, mark))
            await asyncio.gather(
                *(
                    self._update(_hand(group, key), _Hand(token, mark, known.hand.born), known.revision)
                    for key, known in found.items()
                )
            )

    def warn(self, topic: str) -> None:
        """Tell who runs it that a stream is not the one that it was."""
        _log.warning(
            "%s: the stream of %r was deleted and made anew, or lost its end: it is read from where it goes on", self.name, topic
        )

    async def _put_own(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        own = self._own.setdefault((group, token), {})
        own.update(marks)
        body = msgspec.json.encode({_name(key): mark for key, mark in own.items()})
        await self.ask("put", self._records.put(_own(group, token), body))

    async def _hands(self, group: str, keys: Collection[Key]) -> dict[Key, _Found]:
        """Who has what, with the newest marks and the revisions of the records. Of a stream that was made anew, or lost its end, the marks
        stand where it goes on.
        """
        found = dict(zip(keys, await asyncio.gather(*(self._get(_hand(group, key), _Hand) for key in keys)), strict=True))
        tokens = {hand.token for hand, _ in found.values() if hand is not None and hand.token}
        own = dict(
            zip(tokens, await asyncio.gather(*(self._get(_own(group, token), dict[str, Mark]) for token in tokens)), strict=True)
        )
        streams = {topic: await self.look(topic) for topic in {topic for topic, _ in keys}}  # afterwards: nobody is ahead of it
        hands = {}
        for key, (hand, revision) in found.items():
            if hand is None:
                continue
            newer = (own[hand.token][0] or {}).get(_name(key)) if hand.token else None
            mark, (born, last) = newer or hand.mark, streams[key[0]]
            last = last if hand.born in ("", born) else 0
            shorter = mark.position > last
            hands[key] = _Found(_Hand(hand.token, Mark(last, left=mark.left) if shorter else mark, born), revision, shorter)
        return hands

    async def marks(self, group: str, keys: Collection[Key]) -> dict[Key, Mark]:
        return {key: known.hand.mark for key, known in (await self._hands(group, keys)).items()}

    async def take(self, group: str, token: str, keys: Collection[Key]) -> dict[Key, tuple[Mark, int]]:
        hands = await self._hands(group, keys)
        for topic in {topic for (topic, _), known in hands.items() if known.shorter}:
            self.warn(topic)
        found: dict[Key, tuple[Mark, int]] = {}

        async def take(key: Key) -> None:
            hand, revision, _ = hands[key]
            mark = msgspec.structs.replace(hand.mark, left=not hand.token)
            await self._update(_hand(group, key), _Hand(token, msgspec.structs.replace(mark, left=False), hand.born), revision)
            found[key] = (mark, await self.end_of(key))

        await asyncio.gather(*(take(key) for key in hands))
        self._own.setdefault((group, token), {}).update({key: mark for key, (mark, _) in found.items()})
        return found

    async def _update(self, name: str, hand: _Hand, revision: int) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        try:
            await self.ask("update", self._records.update(name, msgspec.json.encode(hand), revision))
        except KeyWrongLastSequenceError as error:
            raise BrokerError(f"{self.name}: another member took {name!r} at the same time; it is looked at again") from error

    async def put(self, group: str, token: str, marks: Mapping[Key, Mark]) -> None:
        own = self._own.setdefault((group, token), {})
        left = {key: mark for key, mark in marks.items() if mark.left}
        if left:
            hands = await self._hands(group, left)
            await asyncio.gather(
                *(
                    self._update(_hand(group, key), _Hand("", hand.mark if shorter else left[key], hand.born), revision)
                    for key, (hand, revision, shorter) in hands.items()
                    if hand.token == token
                )
            )
            for key in left:
                own.pop(key, None)
        if len(left) < len(marks):
            await self._put_own(group, token, {key: mark for key, mark in marks.items() if not mark.left})

    async def change(self, group: str, step: Callable[[Group], Group]) -> None:
        from nats.js.errors import KeyWrongLastSequenceError

        key = f"group.{escaped(group)}"
        while True:
            before, revision = await self._get(key, Group)
            after = msgspec.json.encode(step(before or Group()))
            try:
                if revision:
                    await self.ask("update", self._records.update(key, after, revision))
                else:
                    await self.ask("create", self._records.create(key, after))
            except KeyWrongLastSequenceError:
                await self.world.sleep(0.01 * self.world.random())
            else:
                return


def _hand(group: str, key: Key) -> str:
    return f"hand.{escaped(group)}.{escaped(key[0])}.{key[1]}"


def _own(group: str, token: str) -> str:
    return f"own.{escaped(group)}.{token}"


def _name(key: Key) -> str:
    return f"{key[0]}:{key[1]}"
