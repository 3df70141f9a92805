"""Rehearsals: milliseconds per run and workflows per second on one core, calm and with faults.

python -m benchmarks.rehearsal
"""

from __future__ import annotations

import sqlite3
import time
from collections import Counter

from farandole import Choreography, Command, Event, Service, Workflow
from farandole.rehearse import CALM, Course, Rehearsal, Stage, play

WORKFLOWS = 20


class Begin(Command):
    id: str


class First(Event, key="id"):
    id: str


class Second(Event, key="id"):
    id: str


class Third(Event, key="id"):
    id: str


class Fourth(Event, key="id"):
    id: str


class Fifth(Event, key="id"):
    id: str


def five() -> Rehearsal:
    """Five services in a row, each with a row to write through sqlite3."""
    events: list[type[Event]] = [First, Second, Third, Fourth, Fifth]
    services = [Service(f"s{number}", tables="CREATE TABLE IF NOT EXISTS done (id TEXT)") for number in range(5)]

    @services[0].command
    async def begin(command: Begin, db: sqlite3.Connection) -> First:
        db.execute("INSERT INTO done VALUES (?)", (command.id,))
        return First(id=command.id)

    def step(service: Service, cause: type[Event], effect: type[Event]) -> None:
        async def go_on(event: Event, db: sqlite3.Connection) -> Event:
            db.execute("INSERT INTO done VALUES (?)", (event.id,))  # type: ignore[attr-defined]
            return effect(id=event.id)  # type: ignore[attr-defined,call-arg]

        go_on.__annotations__ = {"event": cause, "db": sqlite3.Connection, "return": effect}
        service.on(cause)(go_on)

    for number in range(1, 5):
        step(services[number], events[number - 1], events[number])
    workflow = Workflow("row", starts=First, succeeds=Fifth)
    rehearsal = Rehearsal(Choreography("five", *services, workflows=[workflow]))

    @rehearsal.scenario
    async def client(stage: Stage) -> None:
        for number in range(WORKFLOWS):
            await stage.send(Begin(id=str(number)))

    return rehearsal


def measure(name: str, rehearsal: Rehearsal, runs: int) -> None:
    """Print a line for calm runs and one for bad days."""
    for weather, faults in (("calm", CALM), ("faults", None)):
        play(rehearsal, Course(0, faults=faults))
        begin, workflows, struck = time.process_time(), 0, Counter[str]()
        for seed in range(1, runs + 1):
            run = play(rehearsal, Course(seed, faults=faults))
            assert run.findings == [], run.findings
            workflows += run.workflows
            struck += run.happened
        took = time.process_time() - begin
        print(
            f"{name:34} {weather:7} {took / runs * 1000:6.0f} ms per run {workflows / took:6.0f} workflows/s "
            f"{struck.total() / runs:6.1f} faults per run"
        )


def main() -> None:
    """Both."""
    from examples.shop.rehearsal import rehearsal

    measure("5 services x 20 workflows, sqlite3", five(), 20)
    measure("the shop: 7 services, SQLAlchemy", rehearsal, 15)


if __name__ == "__main__":
    main()
