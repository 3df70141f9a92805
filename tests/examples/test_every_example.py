"""What holds of every example: on files and on servers, with everything published twice, after stops, in faulty futures; and its papers are true."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.examples import ground

from examples.customers_and_orders.scenario import example_of
from farandole.rehearse import Course, play


@dataclass(frozen=True)
class Kept:
    """How much of an example a test plays, so that all of them together take a minute.

    Attributes
    ----------
    step:
        Every so-many-th point is one at which it is stopped.
    share:
        The part of its scenario that is played on servers.
    seeds:
        How many futures are rehearsed here.
    """

    step: int
    share: float = 1.0
    seeds: int = 2


EXAMPLES = {
    "customers_and_orders": Kept(step=293),
    "hybrid": Kept(step=211, seeds=3),
    "onboarding": Kept(step=200, share=0.4),
    "shop_parallel": Kept(step=250, share=0.3),
    "shop_payment_first": Kept(step=180),
    "wallet": Kept(step=397),
}
every = pytest.mark.parametrize("name", EXAMPLES)


def named(name: str, part: str, attribute: str) -> Any:
    return getattr(importlib.import_module(f"examples.{name}.{part}"), attribute)


@every
@pytest.mark.parametrize("twice", [False, True], ids=["once", "twice"])
async def test_it_holds_on_files_also_when_all_is_published_twice(name: str, tmp_path: Path, twice: bool) -> None:
    few = name == "customers_and_orders"
    example = example_of(many=12, limit=4) if few else named(name, "scenario", "example")
    await ground.holds_on_files(example, tmp_path, twice=twice)


@every
@pytest.mark.servers
@pytest.mark.real_time
async def test_it_holds_on_servers(name: str, tmp_path: Path) -> None:
    await ground.holds_on_servers(named(name, "scenario", "example"), tmp_path, share=EXAMPLES[name].share)


@every
@pytest.mark.slow
def test_it_holds_after_a_stop_at_any_point(name: str) -> None:
    ground.holds_after_every_stop(named(name, "scenario", "example"), step=EXAMPLES[name].step)


@pytest.mark.parametrize(("name", "seed"), [(name, seed) for name, kept in EXAMPLES.items() for seed in range(kept.seeds)])
def test_a_rehearsal_finds_nothing(name: str, seed: int) -> None:
    assert play(named(name, "rehearsal", "rehearsal"), Course(seed)).findings == []


@every
@pytest.mark.real_time
def test_the_command_tells_the_story_as_it_is_written_down(name: str) -> None:
    ground.says_what_it_said(name)


@every
def test_the_picture_is_what_is_drawn_now(name: str, tmp_path: Path) -> None:
    ground.shows_its_picture(name, tmp_path)


@every
def test_the_checks_find_nothing(name: str) -> None:
    ground.finds_nothing_to_complain_of(name)
