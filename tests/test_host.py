"""What `farandole.open` takes from the configuration, and what it refuses."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

import farandole
from farandole import Choreography, Command, ConfigurationError, Event, Policy, Retry, Service
from farandole.host import Options
from farandole.testing.virtual import VirtualWorld


class Told(Event, of="elsewhere.news", key="id"):
    id: str


def choreography(policy: Policy | None = None) -> Choreography:
    front, back = Service("front"), Service("back-office")

    @front.on(Told)
    async def listen(event: Told) -> None: ...

    @back.on(Told, policy=policy)
    async def write_down(event: Told) -> None: ...

    return Choreography("office", front, back)


async def test_without_urls_it_opens_what_the_configuration_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: VirtualWorld
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farandole.toml").write_text(
        'broker = "sqlite:///log.db"\ndatabase = {back-office = "sqlite:///elsewhere/archive.db"}\n'
    )
    async with farandole.open(choreography(), world=world):
        pass
    assert (tmp_path / "log.db").exists()
    assert (tmp_path / "elsewhere" / "archive.db").exists()
    assert (tmp_path / ".farandole" / "front.db").exists()
    assert not (tmp_path / ".farandole" / "back-office.db").exists()


@pytest.mark.parametrize("given", [None, "sqlite:///one.db"])
async def test_two_services_on_one_database_are_refused(
    given: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: VirtualWorld
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farandole.toml").write_text('database = "sqlite:///one.db"\n')
    with pytest.raises(ConfigurationError, match="would share the database"):
        async with farandole.open(choreography(), broker="memory://", database=given, world=world):
            pass


async def test_times_come_from_the_configuration_unless_they_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, world: VirtualWorld
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "farandole.toml").write_text('window = "20d"\nshutdown = "7s"\nlease = "3s"\n')
    places: dict[str, Any] = {"broker": "memory://", "database": "sqlite://", "world": world}
    async with farandole.open(choreography(), **places) as app:
        assert app.options == Options(window=20 * 86400.0, drain=7.0, lease=3.0)
    async with farandole.open(choreography(), **places, options=Options(drain=1.0)) as app:
        assert app.options == Options(drain=1.0)


async def test_a_window_shorter_than_the_retries_refuses_the_start(world: VirtualWorld) -> None:
    slow = choreography(Policy(retry=Retry(attempts=3, delay=100.0, factor=1.0, jitter=0.0)))
    with pytest.raises(ConfigurationError, match="window: expected at least 200 s"):
        async with farandole.open(slow, broker="memory://", database="sqlite://", world=world, options=Options(window=199.0)):
            pass


async def test_a_database_url_is_missing_for_a_service(world: VirtualWorld) -> None:
    with pytest.raises(ConfigurationError, match="no URL for the service 'back-office'"):
        async with farandole.open(choreography(), broker="memory://", database={"front": "sqlite://"}, world=world):
            pass


async def test_an_unknown_service_is_refused_with_the_nearest_name(world: VirtualWorld) -> None:
    with pytest.raises(ConfigurationError, match="Did you mean front"):
        async with farandole.open(choreography(), services=["fronk"], broker="memory://", database="sqlite://", world=world):
            pass


class Post:
    """Something outside."""


class Write(Command):
    id: str


class Written(Event, key="id"):
    id: str


async def test_what_a_test_provides_takes_the_place_of_what_the_service_provides(world: VirtualWorld) -> None:
    def real_post() -> Post:
        raise AssertionError("the real one is never opened")

    office, used, fake = Service("front"), list[Post](), Post()
    office.provide(Post, real_post)

    @office.command
    async def write(command: Write, post: Post) -> Written:
        used.append(post)
        return Written(id=command.id)

    places: dict[str, Any] = {"broker": "memory://", "database": "sqlite://", "world": world}
    for given in (fake, lambda: fake):
        async with farandole.open(Choreography("office", office), **places, provide={Post: given}) as app:
            await app.send(Write(id="1"))
    assert used == [fake, fake]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"services": "orders"}, r"services= takes a list of names, got something of type str"),
        ({"broker": 5}, "broker= takes a URL or an adapter, got something of type int"),
        (
            {"database": ("postgresql://me:secret@db",)},
            "database= takes a URL with {service} in it, or a URL per service, got .* tuple",
        ),
        ({"record": True}, "record= takes a URL or an adapter"),
        ({"retention": "7d"}, "retention= takes a time per type of event"),
        ({"observe": "metrics"}, "observe= takes a list of names or objects"),
        ({"alerts": "log"}, "alerts= takes a list of names, URLs or objects"),
        ({"world": time}, "world= takes a World, got something of type module"),
        ({"options": {}}, r"options= takes Options\(…\)"),
        ({"signals": print}, "signals= takes an object with the methods of Signals"),
        ({"provide": [str]}, "provide= takes an object per type"),
    ],
)
async def test_what_is_of_another_kind_is_refused_without_being_shown(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^open: {words}") as caught:
        async with farandole.open(choreography(), **({"broker": "memory://", "database": "sqlite://"} | given)):
            pass
    assert "secret" not in str(caught.value)


async def test_a_service_alone_is_no_choreography() -> None:
    with pytest.raises(ConfigurationError, match=r"open: expected a Choreography, got: .*orders.*Make one: Choreography\("):
        async with farandole.open(Service("orders")):  # type: ignore[arg-type]
            pass
