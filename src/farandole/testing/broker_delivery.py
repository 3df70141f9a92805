"""The cases of what comes, and to whom; part of `conformance_broker.BrokerSuite`."""

from __future__ import annotations

import asyncio
from collections import Counter

from farandole.brokers.base import Capabilities
from farandole.model.envelope import Message
from farandole.testing.broker_crew import Crew
from farandole.testing.broker_scene import BrokerCases, by_key, exactly, ids

__all__ = ["DeliveryCases"]

ODD = (
    "",
    " ",
    "a b ",
    "100%",
    "%41",
    "quo'te\"s\\",
    "line\r\nbreak: x",
    "tab\t",
    "e\u0301",
    "\x00",
    "\ud800",
    "世" * 100,
    "k" * 10_000,
)
"""Keys, ids and types that a broker takes as they are, or refuses for good."""


class DeliveryCases(BrokerCases):
    """Publishing and consuming."""

    async def test_a_message_arrives_as_it_was_published(self) -> None:
        async with self.scene() as (scene, broker):
            bodies = [
                b"",
                b"\x00\xff\xfe\n\r\x00",
                "Grüße, 世界 🎉".encode(),
                b"{}",
                b"m" * min(1_000_000, broker.capabilities.max_bytes),
            ]
            await scene.begin(broker)
            sent = [Message(scene.topic, "schlüssel 🔑", f"nº-{n}", "shop.Ärger.v1", body) for n, body in enumerate(bodies)]
            await scene.publish(broker, sent)
            found = await scene.read(await broker.subscribe(scene.of()), len(sent))
            assert [Message(d.topic, d.key, d.id, d.type, d.body) for d in found] == sent
            assert not any(d.redelivered for d in found)

    async def test_odd_text_arrives_as_it_is_or_is_refused_for_good_and_alone(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = [Message(scene.topic, odd, f"{n} {odd}", f"T{odd}", b"%d" % n) for n, odd in enumerate(ODD)]
            sent.append(Message(f"{scene.topic}-\ud800", "k", "nowhere", "T", b"no topic"))
            plain = scene.messages(len(sent))
            batch = [message for pair in zip(sent, plain, strict=True) for message in pair]
            results = await broker.publish(batch)
            taken = [message for message, result in zip(batch, results, strict=True) if result.error is None]
            for message, result in zip(batch, results, strict=True):
                assert result.error is None or result.permanent, f"{message!a}: would another try help? {result.error}"
                assert result.error is None or message in sent, f"{message} is refused beside others: {result.error}"
            found = await scene.read(await broker.subscribe(scene.of()), len(taken))
            assert sorted((d.body, d.key, d.id, d.type) for d in found) == sorted((m.body, m.key, m.id, m.type) for m in taken)

    async def test_topics_do_not_mix(self) -> None:
        async with self.scene() as (scene, broker):
            other = f"{scene.topic}-other"
            one, two = scene.of(), scene.of(group=f"{scene.group}-both", topics=(scene.topic, other))
            await scene.begin(broker, one, two)
            ours, theirs = scene.messages(20), scene.messages(20, topic=other)
            await scene.publish(broker, [message for pair in zip(ours, theirs, strict=True) for message in pair])
            first, both = await broker.subscribe(one), await broker.subscribe(two)
            assert by_key(await scene.read(first, 20)) == by_key(ours)
            exactly([*ours, *theirs], await scene.read(both, 40), at="a group of both topics")
            await scene.nothing(first, both)

    async def test_each_group_gets_everything(self) -> None:
        async with self.scene() as (scene, broker):
            sent = scene.messages(50)
            one, two = [await broker.subscribe(scene.of(group=f"{scene.group}-{n}")) for n in (1, 2)]
            await scene.publish(broker, sent)
            assert by_key(await scene.read(one, 50)) == by_key(await scene.read(two, 50)) == by_key(sent)
            await scene.nothing(one, two)

    async def test_a_listener_sees_all_and_keeps_no_position(self) -> None:
        async with self.scene() as (scene, broker):
            early = [] if broker.capabilities.replay else [await broker.subscribe(scene.of(group=None)) for _ in range(2)]
            sent = scene.messages(30)
            await scene.publish(broker, sent)
            for listener in early or [await broker.subscribe(scene.of(group=None)) for _ in range(2)]:
                assert Counter(ids(await scene.read(listener, 30))) == Counter(ids(sent))
                await scene.nothing(listener)
                await listener.close()

    async def test_listeners_do_not_share_and_are_no_member_of_anything(self) -> None:
        async with self.scene() as (scene, broker):
            member = await broker.subscribe(scene.of())
            listeners = [await handle.subscribe(scene.of(group=None, start="end")) for handle in (broker, await scene.broker())]
            sent = scene.messages(30)
            await scene.publish(broker, sent)
            for consumer in (*listeners, member):
                exactly(sent, await scene.read(consumer, 30), at="a listener, or the member beside them")
            await scene.nothing(member, *listeners)

    async def test_a_backlog_comes_whole_and_in_order(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            sent = scene.messages(self.scaled(20_000, 1000), keys=100)
            for begin in range(0, len(sent), 1000):
                await scene.publish(broker, sent[begin : begin + 1000])
            consumer = await broker.subscribe(scene.of())
            assert by_key(await scene.read(consumer, len(sent), limit=500)) == by_key(sent)
            await scene.nothing(consumer)
            assert await broker.lag(scene.of()) == 0

    async def test_fifty_publishers_and_fifty_consumers(self) -> None:
        """Five groups of ten; publishers and consumers have `connections` of their own."""
        async with self.scene() as (scene, broker), Crew(scene) as crew:
            many, groups = self.scaled(50, 10), [f"{scene.group}-{n}" for n in range(5)]
            handles = [await scene.broker() for _ in range(min(2 * many, self.connections))]
            half = len(handles) // 2
            for n in range(many):
                await crew.join(f"{groups[n % 5]} member {n}", handles[n % half], scene.of(group=groups[n % 5]))
            sent = [scene.messages(40, keys=4, mark=f"{n} ") for n in range(many)]
            publishers = [handles[half + n % half] for n in range(many)]
            tasks = [asyncio.create_task(scene.publish_slowly(*work, size=8)) for work in zip(publishers, sent, strict=True)]
            await crew.until_seen(5 * sum(map(len, sent)))
            await asyncio.gather(*tasks)
            await crew.rest()
            await crew.leave()
            for group in groups:
                came = [delivery for name, delivery in crew.seen if name.startswith(f"{group} ")]
                everything = [message for some in sent for message in some]
                exactly(everything, came, at=group, ordered=broker.capabilities.assigns_partitions)
                await scene.settled(broker, scene.of(group=group))

    async def test_a_message_too_large_is_refused_for_good_and_alone(self) -> None:
        async with self.scene() as (scene, broker):
            await scene.begin(broker)
            small = scene.messages(2)
            large = Message(scene.topic, "k", "large", "shop.Tested.v1", b"x" * (broker.capabilities.max_bytes + 1))
            results = await broker.publish([small[0], large, small[1]])
            assert [result.error is None for result in results] == [True, False, True]
            assert results[1].permanent
            consumer = await broker.subscribe(scene.of())
            assert Counter(ids(await scene.read(consumer, 2))) == Counter(ids(small))
            await scene.nothing(consumer)

    async def test_publishing_nothing_is_fine(self) -> None:
        async with self.scene() as (_, broker):
            assert list(await broker.publish([])) == []

    async def test_positions_of_a_partition_grow(self) -> None:
        async with self.scene() as (scene, broker):
            consumer = await broker.subscribe(scene.of())
            await scene.publish(broker, scene.messages(200, keys=50))
            last: dict[int, int] = {}
            for d in await scene.read(consumer, 200):
                assert d.position > last.get(d.partition, -1)
                last[d.partition] = d.position

    async def test_what_is_claimed_is_said_and_no_case_was_taken_away(self) -> None:
        async with self.scene() as (_, broker):
            claims = broker.capabilities
            assert isinstance(claims, Capabilities)
            assert claims.max_bytes > 0
            assert claims.durability.strip(), "say what an acknowledged publish survives"
            cases = [name for cls in type(self).__mro__ for name in vars(cls) if name.startswith("test_")]
            gone = [name for name in cases if not callable(getattr(self, name))]
            assert not gone, f"taken away: {', '.join(gone)}. Claim less instead"
