"""Stand-ins for fakes: they look like the fake, fail as the faults say, tell of each call, and do nothing for the dead."""

from __future__ import annotations

import asyncio
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from enum import Enum
from operator import itemgetter
from typing import Any, Protocol, Self, final, runtime_checkable
from unittest.mock import AsyncMock, MagicMock

import pytest

from farandole.errors import ConfigurationError
from farandole.rehearse.fakes import Outside, unreliable
from farandole.testing.crash import Died
from farandole.testing.virtual import VirtualWorld
from farandole.world import World


class Declined(Exception):
    pass


class Colour(Enum):
    RED = 1


class Gateway:
    """Takes money."""

    fee = 3
    Refusal = Declined
    Colour = Colour

    def __init__(self) -> None:
        self.charged: list[tuple[str, int]] = []
        self.entered = 0
        self.on_charge = lambda pence: self.charged.append(("callback", pence))
        self.partly = functools.partial(self.charge, "partly")
        self.first = itemgetter(0)

    async def charge(self, order: str, pence: int = 5, *, key: str = "") -> str:
        """Take so much."""
        if pence < 0:
            raise Declined(order)
        self._write(order, pence)
        return f"receipt-{len(self.charged)}"

    async def charge_twice(self, order: str) -> str:
        await self.charge(order)
        return await self.charge(order)

    def count(self, order: str) -> int:
        self._write(order, 0)
        return len(self.charged)

    def later(self, order: str, pence: int = 5) -> Any:
        return self.charge(order, pence)

    def chained(self) -> Self:
        return self

    async def opened(self) -> Self:
        return self

    @property
    def total(self) -> int:
        return sum(pence for _, pence in self.charged)

    @property
    def counter(self) -> Any:
        return self.count

    @staticmethod
    def version() -> str:
        return "1"

    async def watch(self) -> AsyncIterator[int]:
        yield 1
        yield 2

    def entries(self) -> Iterator[tuple[str, int]]:
        yield from self.charged

    @asynccontextmanager
    async def session(self) -> AsyncIterator[str]:
        yield "session"

    @contextmanager
    def batch(self) -> Iterator[str]:
        yield "batch"

    def _write(self, order: str, pence: int) -> None:
        self.charged.append((order, pence))

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def __aexit__(self, *_: object) -> None:
        self.entered -= 1

    def __len__(self) -> int:
        return len(self.charged)

    def __getitem__(self, n: int) -> tuple[str, int]:
        return self.charged[n]

    def __setitem__(self, n: int, entry: tuple[str, int]) -> None:
        self.charged[n] = entry


class Always:
    """The same goes wrong with each call."""

    def __init__(self, how: Any = None, seconds: float = 7.0) -> None:
        self.asked: list[str] = []
        self._outside = None if how is None else Outside(how, seconds)

    def strike(self, world: World, call: str) -> Outside | None:
        self.asked.append(call)
        return self._outside


class Mortal(VirtualWorld):
    dead = False


def shaky(fake: Any, how: Any = None, *, world: World | None = None, name: str = "Gateway", **what: Any) -> tuple[Any, list[Any]]:
    heard: list[Any] = []
    faults = what.pop("faults", None) or Always(how)
    shown = unreliable(fake, world or VirtualWorld(), faults, name=name, heard=lambda *told: heard.append(told), **what)
    return shown, heard


# ---- what goes wrong ---------------------------------------------------------------------------------------------------------


async def test_a_call_with_which_nothing_goes_wrong_is_answered() -> None:
    gateway, heard = shaky(Gateway())
    assert await gateway.charge("o-1", pence=7) == "receipt-1"
    assert gateway.count("o-1") == 2
    assert heard == [("Gateway.charge", "answered"), ("Gateway.count", "answered")]


async def test_a_call_lost_before_acting_waits_fails_and_did_nothing() -> None:
    fake, world = Gateway(), VirtualWorld()
    gateway, heard = shaky(fake, "before", world=world)
    began = world.time()
    with pytest.raises(TimeoutError, match=r"^Gateway\.charge: no answer; it did nothing$"):
        await gateway.charge("o-1")
    assert world.time() - began == pytest.approx(7)
    assert fake.charged == []
    assert heard == [("Gateway.charge", "before")]


async def test_a_call_whose_answer_is_lost_did_act_then_waits_and_fails() -> None:
    fake, world = Gateway(), VirtualWorld()
    gateway, heard = shaky(fake, "after", world=world)
    began = world.time()
    call = asyncio.ensure_future(gateway.charge("o-1"))
    await world.sleep(1)
    assert fake.charged == [("o-1", 5)]
    with pytest.raises(TimeoutError, match=r"^Gateway\.charge: no answer; it was done$"):
        await call
    assert world.time() - began == pytest.approx(7)
    assert heard == [("Gateway.charge", "after")]


async def test_a_slow_call_acts_after_a_wait() -> None:
    fake, world = Gateway(), VirtualWorld()
    gateway, heard = shaky(fake, "slow", world=world)
    call = asyncio.ensure_future(gateway.charge("o-1"))
    await world.sleep(6)
    assert fake.charged == []
    assert await call == "receipt-1"
    assert heard == [("Gateway.charge", "slow")]


@pytest.mark.parametrize(("how", "done"), [("before", []), ("after", [("o-1", 0)])])
def test_a_plain_function_fails_without_waiting(how: str, done: list[Any]) -> None:
    fake = Gateway()
    gateway, heard = shaky(fake, how)
    with pytest.raises(TimeoutError, match=r"Gateway\.count: no answer"):
        gateway.count("o-1")
    assert fake.charged == done
    assert heard == [("Gateway.count", how)]


def test_a_plain_function_cannot_be_slow() -> None:
    gateway, heard = shaky(Gateway(), "slow")
    assert gateway.count("o-1") == 1
    assert heard == [("Gateway.count", "answered")]


@pytest.mark.parametrize(("how", "done"), [("before", []), ("after", [("o-1", 5)])])
async def test_a_plain_function_that_gives_an_awaitable_fails_after_what_it_stands_for(how: str, done: list[Any]) -> None:
    fake = Gateway()
    gateway, _ = shaky(fake, how)
    with pytest.raises(TimeoutError):
        await gateway.later("o-1")
    assert fake.charged == done


async def test_a_plain_function_that_gives_an_awaitable_can_be_slow() -> None:
    world = VirtualWorld()
    gateway, heard = shaky(Gateway(), "slow", world=world)
    began = world.time()
    assert await gateway.later("o-1") == "receipt-1"
    assert world.time() - began == pytest.approx(7)
    assert heard == [("Gateway.later", "slow")]


async def test_what_the_fake_raises_is_passed_on_and_told() -> None:
    gateway, heard = shaky(Gateway())
    with pytest.raises(Declined):
        await gateway.charge("o-1", -1)
    with pytest.raises(Declined):
        await gateway.later("o-1", -1)
    with pytest.raises(TypeError):
        gateway.count()
    assert [how for _, how in heard] == ["raised Declined", "raised Declined", "raised TypeError"]


async def test_a_refusal_can_be_lost_as_any_answer() -> None:
    gateway, heard = shaky(Gateway(), "after")
    with pytest.raises(TimeoutError, match=r"no answer; it had failed: Declined\('o-1'\)") as caught:
        await gateway.charge("o-1", -1)
    assert isinstance(caught.value.__cause__, Declined)
    with pytest.raises(TimeoutError):
        gateway.count()
    assert [how for _, how in heard] == ["after", "after"]


async def test_a_cancelled_call_is_no_lost_answer() -> None:
    class Waits:
        async def call(self) -> None:
            await asyncio.Event().wait()

    shown, heard = shaky(Waits(), "after")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1):
            await shown.call()
    assert heard == [("Gateway.call", "raised CancelledError")]


async def test_calls_fail_with_the_error_that_was_asked_for() -> None:
    gateway, _ = shaky(Gateway(), "before", error=Declined)
    with pytest.raises(Declined, match=r"Gateway\.charge: no answer"):
        await gateway.charge("o-1")


def test_an_error_that_cannot_be_made_from_a_text_is_refused_at_once() -> None:
    with pytest.raises(ConfigurationError, match=r"Gateway: calls cannot fail with UnicodeDecodeError.*error="):
        shaky(Gateway(), error=UnicodeDecodeError)


async def test_each_public_call_from_outside_is_asked_about_once_and_nothing_else_is() -> None:
    faults = Always()
    gateway, _ = shaky(Gateway(), faults=faults)
    await gateway.charge_twice("o-1")
    gateway.version()
    gateway.on_charge(1)
    await gateway.partly(9)
    assert faults.asked == ["Gateway.charge_twice", "Gateway.version", "Gateway.on_charge", "Gateway.partly"]
    faults.asked.clear()
    assert gateway.total == 20 and gateway.fee == 3 and gateway[0] == ("o-1", 5) and len(gateway) == 4
    gateway.counter("o-2")
    gateway._write("o-2", 1)
    assert faults.asked == []


async def test_generators_and_context_managers_are_passed_through() -> None:
    gateway, heard = shaky(Gateway(), "before")
    assert [n async for n in gateway.watch()] == [1, 2]
    assert list(gateway.entries()) == []
    async with gateway.session() as session:
        assert session == "session"
    with gateway.batch() as batch:
        assert batch == "batch"
    assert [call for call, _ in heard] == ["Gateway.watch", "Gateway.entries", "Gateway.session", "Gateway.batch"]


# ---- what it looks like ------------------------------------------------------------------------------------------------------


def test_it_is_of_the_fakes_class_and_its_methods_have_their_signatures() -> None:
    fake = Gateway()
    gateway, _ = shaky(fake)
    assert isinstance(gateway, Gateway) and gateway.__class__ is Gateway
    assert repr(gateway) == repr(fake) and gateway.__doc__ == "Takes money."
    assert inspect.iscoroutinefunction(gateway.charge) and not inspect.iscoroutinefunction(gateway.count)
    assert inspect.signature(gateway.charge) == inspect.signature(fake.charge)
    assert (gateway.charge.__name__, gateway.charge.__doc__) == ("charge", "Take so much.")
    assert gateway.Refusal is Declined and gateway.Colour is Colour
    assert vars(gateway) is vars(fake)


def test_attributes_are_the_fakes_own() -> None:
    fake = Gateway()
    gateway, _ = shaky(fake)
    gateway.fee = 4
    assert fake.fee == 4
    del gateway.fee
    assert fake.fee == 3
    assert gateway.charged is fake.charged and gateway.first is fake.first
    with pytest.raises(AttributeError, match="nothing"):
        _ = gateway.nothing
    assert not hasattr(gateway, "nothing")


async def test_whoever_gets_the_fake_from_itself_gets_the_stand_in() -> None:
    gateway, _ = shaky(Gateway())
    async with gateway as inside:
        assert inside is gateway and gateway.entered == 1
    assert gateway.entered == 0
    assert gateway.chained() is gateway and await gateway.opened() is gateway


async def test_a_function_is_a_call_of_its_name() -> None:
    async def rate(currency: str) -> int:
        return 2

    shown, heard = shaky(rate, name="rate")
    assert await shown("EUR") == 2 and inspect.iscoroutinefunction(shown)
    assert inspect.signature(shown) == inspect.signature(rate)
    failing, _ = shaky(lambda currency: 2, "before", name="rate")
    with pytest.raises(TimeoutError, match=r"^rate: no answer"):
        failing("EUR")
    assert heard == [("rate", "answered")]


async def test_an_object_that_is_called_is_a_call_of_its_name() -> None:
    class Rate:
        __slots__ = ("asked",)

        def __init__(self) -> None:
            self.asked = 0

        async def __call__(self, currency: str) -> int:
            self.asked += 1
            return 2

    class Plain(Rate):
        def __call__(self, currency: str) -> int:  # type: ignore[override]
            return 3

    shown, heard = shaky(Rate(), name="Rate")
    assert await shown("EUR") == 2 and shown.asked == 1
    assert inspect.iscoroutinefunction(type(shown).__call__)
    assert inspect.signature(shown) == inspect.signature(Rate())
    assert shaky(Plain())[0]("EUR") == 3
    assert heard == [("Rate", "answered")]


@pytest.mark.parametrize("fake", [Gateway().count, functools.partial(Gateway().count), len, "text".join])
def test_methods_partials_and_functions_of_c_are_calls(fake: Any) -> None:
    shown, heard = shaky(fake, name="it")
    assert isinstance(shown, type(fake))
    assert shown("ab") == fake("ab") or heard == [("it", "answered")]
    with pytest.raises(TimeoutError):
        shaky(fake, "before")[0]("ab")


async def test_a_method_of_a_fake_can_be_one_alone() -> None:
    charge = Gateway().charge
    shown, _ = shaky(charge, name="charge")
    assert inspect.iscoroutinefunction(shown) and inspect.signature(shown) == inspect.signature(charge)
    assert shown.__name__ == "charge" and shown.__self__ is charge.__self__
    assert await shown("o-1") == "receipt-1"


async def test_a_class_can_be_a_fake() -> None:
    shown, heard = shaky(Gateway)
    assert isinstance(shown(), Gateway) and isinstance(shown, type)
    assert shown.version() == "1" and shown.__mro__ == Gateway.__mro__
    assert heard == [("Gateway", "answered"), ("Gateway.version", "answered")]


def test_slots_final_classes_and_classes_of_c_make_no_difference() -> None:
    @final
    @dataclass(frozen=True, slots=True)
    class Stock:
        pieces: int

        def take(self) -> int:
            return self.pieces

    fake = Stock(3)
    shown, _ = shaky(fake)
    assert shown.take() == 3 and isinstance(shown, Stock)
    assert shown == fake and hash(shown) == hash(fake) and replace(shown, pieces=4) == Stock(4)
    with pytest.raises(TimeoutError):
        shaky(fake, "before")[0].take()
    numbers, heard = shaky([3, 1, 2], name="numbers")
    numbers.sort()
    assert numbers == [1, 2, 3] and [*numbers] == [1, 2, 3] and 2 in numbers and numbers * 2 == [1, 2, 3, 1, 2, 3]
    assert heard == [("numbers.sort", "answered")]
    with pytest.raises(TypeError, match="unhashable"):
        hash(numbers)


def test_protocols_and_abstract_classes_know_it() -> None:
    @runtime_checkable
    class Counts(Protocol):
        def count(self, order: str) -> int: ...

    class Base(ABC):
        @abstractmethod
        def act(self) -> int: ...

    class Child(Base):
        def act(self) -> int:
            return 1

    assert isinstance(shaky(Gateway())[0], Counts)
    assert isinstance(shaky(Child())[0], Base) and shaky(Child())[0].act() == 1


async def test_mocks_can_be_fakes() -> None:
    fake = AsyncMock(spec=Gateway)
    fake.charge.return_value = "receipt"
    shown, heard = shaky(fake)
    assert await shown.charge("o-1") == "receipt" and isinstance(shown, Gateway)
    fake.charge.assert_awaited_once_with("o-1")
    shown.charge.assert_awaited_once_with("o-1")
    with pytest.raises(TimeoutError):
        shaky(fake, "before")[0].charge("o-1")
    plain, _ = shaky(MagicMock())
    plain.act.return_value = 4
    assert plain.act() == 4 and len(plain) == 0
    assert heard[0] == ("Gateway.charge", "answered")


def test_two_processes_share_the_fake() -> None:
    fake = Gateway()
    here, there = shaky(fake)[0], shaky(fake)[0]
    here.count("o-1")
    assert there.count("o-2") == 2


# ---- the dead ----------------------------------------------------------------------------------------------------------------


async def test_nothing_of_a_dead_process_reaches_the_fake() -> None:
    fake, world = Gateway(), Mortal()
    faults = Always()
    gateway, heard = shaky(fake, world=world, faults=faults)
    write, charge = gateway._write, gateway.charge
    gateway.count("o-1")
    world.dead = True
    for act in (
        lambda: gateway.count("o-2"),
        gateway.watch,
        gateway.session,
        gateway.entries,
        lambda: write("o-2", 1),
        lambda: gateway.__setitem__(0, ("o-2", 1)),
        lambda: setattr(gateway, "fee", 9),
        lambda: delattr(gateway, "fee"),
    ):
        with pytest.raises(Died):
            act()
    for call in (charge("o-2"), gateway.charge("o-2"), gateway.partly()):
        with pytest.raises(Died):
            await call
    with pytest.raises(Died):
        async with gateway:
            pass
    assert (fake.charged, fake.fee, fake.entered) == ([("o-1", 0)], 3, 0)
    assert (heard, faults.asked) == ([("Gateway.count", "answered")], ["Gateway.count"])
    assert len(gateway) == 1 and "Gateway" in repr(gateway)


@pytest.mark.parametrize(("how", "done"), [("before", []), ("slow", []), ("after", [("o-1", 5)])])
async def test_who_dies_while_it_waits_hears_nothing_and_does_no_more(how: str, done: list[Any]) -> None:
    fake, world = Gateway(), Mortal()
    gateway, heard = shaky(fake, how, world=world)
    call = asyncio.ensure_future(gateway.charge("o-1"))
    await world.sleep(1)
    world.dead = True
    with pytest.raises(Died):
        await call
    assert (fake.charged, heard) == (done, [])


async def test_who_dies_while_the_fake_works_hears_nothing() -> None:
    world = Mortal()

    class Slow:
        async def act(self) -> None:
            await world.sleep(5)
            raise Declined

    shown, heard = shaky(Slow(), world=world)
    call = asyncio.ensure_future(shown.act())
    await world.sleep(1)
    world.dead = True
    with pytest.raises(Declined):
        await call
    assert heard == []
