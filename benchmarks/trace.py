"""How fast a chain is made of events that are read already: trees, what became of each event, clocks, status; and how fast it is told.

Processor time of one core; the best of several rounds, as other work may share the machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from farandole.graph import Graph, Place, Reaction, Service, Trigger, Workflow
from farandole.observe.chain import Chains
from farandole.observe.chain.text import tree
from farandole.stores.record import Entry, Fate

EVENTS = 20
ROUNDS, TIMES = 20, 50
PLACE = Place("bench.py")
NAMES = [f"shop.Step{number}.v1" for number in range(EVENTS)]


def declared() -> Graph:
    """A service for each step, which says the next one."""
    steps = [
        Reaction(f"shop.s{at}.go", f"shop.s{at}", "go", PLACE, Trigger("event", (NAMES[at - 1],)), (NAMES[at],))
        for at in range(1, EVENTS)
    ]
    services = tuple(Service(f"shop.s{at}", PLACE) for at in range(EVENTS))
    return Graph("shop", services, reactions=tuple(steps), workflows=(Workflow("all", PLACE, (NAMES[0],), (NAMES[-1],)),))


def told() -> tuple[Sequence[Entry], Sequence[Fate]]:
    """One instance of it."""
    entries = [
        Entry(
            id=f"e{at}", type=name, source=f"/shop/s{at}", correlation_id="c", causationid=f"e{at - 1}" if at else "c",
            time=1e9 + at, field="order_id", key="4711", number=at + 1,
        )
        for at, name in enumerate(NAMES)
    ]  # fmt: skip
    fates = [
        Fate(id=f"e{at - 1}", correlation_id="c", reaction=f"s{at}.go", state="done", at=1e9 + at, seconds=0.1, emitted=1)
        for at in range(1, EVENTS)
    ]
    return entries, fates


def best(work: Callable[[], Any]) -> float:
    """Milliseconds of it."""
    found = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        for _ in range(TIMES):
            work()
        found.append((time.process_time() - begun) / TIMES)
    return min(found) * 1000


def main() -> None:
    """Print the figures."""
    chains = Chains(declared())
    entries, fates = told()
    (chain,) = chains.of(entries, fates, now=1e9)
    assert len(chain.events) == EVENTS
    print(f"a chain of {EVENTS} events, with status: {best(lambda: chains.of(entries, fates, now=1e9)):.2f} ms")
    print(f"told as a tree: {best(lambda: tree(chain)):.2f} ms")


if __name__ == "__main__":
    main()
