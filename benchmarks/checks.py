"""All rules over a large choreography: 1,000 services, 10,000 events, 30,000 reactions, 500 workflows; and over a tenth of it.

The choreography is made from a seed: sagas with choices, parallel branches, joins, calls to the outside, compensations and deadlines, beside
which other services listen. One saga in twenty has a defect. What is compared is the time per reaction at full size and at a tenth: a ratio
near 1 says that the work grows in line with the graph.
"""

from __future__ import annotations

import random
import resource
import time
from collections import Counter

from benchmarks.report import report

from farandole.checks import Finding
from farandole.checks.registry import rules
from farandole.graph import Branch, Graph, Message, Place, Reaction, Service, Trigger, Workflow

SERVICES, SAGAS, LENGTH, LISTENERS = 1_000, 500, 5, 30_000
SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "string"} for name in ("id", "customer", "email", "note")} | {"cents": {"type": "integer"}},
    "required": ["id"],
}
PLACE = Place("made.py", 1)


class Maker:
    """Makes a choreography of `scale` times the full size; `defects` is the part of its sagas that has one."""

    def __init__(self, scale: float, seed: int = 1, defects: float = 0.05) -> None:
        self.defects = defects
        self.chance = random.Random(seed)
        self.services = [f"big.s{number}" for number in range(int(SERVICES * scale))]
        self.reactions: list[Reaction] = []
        self.workflows: list[Workflow] = []
        for number in range(int(SAGAS * scale)):
            self.saga(number)
        types = sorted({tp for reaction in self.reactions for tp in reaction.effects_of_all_ways})
        for number in range(int(LISTENERS * scale) - len(self.reactions)):
            self.react(f"listen{number}", (self.chance.choice(types),), ())

    def react(
        self, name: str, on: tuple[str, ...], answers: tuple[tuple[str, ...], ...], kind: str = "event", **more
    ) -> Reaction:
        service = self.chance.choice(self.services)
        emits = tuple(dict.fromkeys(tp for answer in answers for tp in answer))
        trigger = more.pop("trigger", None) or Trigger(kind, on)
        made = Reaction(f"{service}.{name}", service, name, PLACE, trigger, emits, answers, **more)
        self.reactions.append(made)
        return made

    def saga(self, number: int) -> None:
        """Steps that may fail, then two branches and a join; each step is undone by whatever fails later."""

        def event(word: str) -> str:
            return f"big.Saga{number}{word}.v1"

        start, good, bad = event("Begun"), event("Ended"), event("Failed")
        self.react(f"begin{number}", (f"big.Begin{number}.v1",), ((start,),), "command")
        defect = self.chance.randrange(8) if self.chance.random() < self.defects else None
        last, failures, actions = start, [], []
        for step in range(LENGTH):
            done, failed, outside = event(f"Done{step}"), event(f"Refused{step}"), self.chance.random() < 0.5
            exhausted = Branch((failed,), PLACE) if outside and (defect != 0 or step) else None
            action = self.react(f"act{number}_{step}", (last,), ((done,), (failed,)), outside=outside, exhausted=exhausted)
            if outside or self.chance.random() < 0.5:
                actions.append((step, action, done))
            failures.append(failed)
            last = done
        left, right, gone = event("Left"), event("Right"), event("Gone")
        self.react(f"left{number}", (last,), ((left,),))
        self.react(f"right{number}", (last,), ((right,), (gone,)))
        failures.append(gone)
        self.react(f"join{number}", (left, right), ((good,),), "all")
        heard = failures[:-1] if defect in (1, 2) else failures
        self.react(f"fail{number}", tuple(heard), ((bad,),))
        for step, action, done in actions[1:] if defect == 3 else actions:
            later = tuple(failures[step + 1 :]) if defect != 4 else tuple(failures[:1])
            undone = event(f"Undone{step}")
            self.react(f"undo{number}_{step}", later, ((undone,),), compensates=action.id, undoes=done)
        if self.chance.random() < 0.3:
            trigger = Trigger("deadline", (start, good, bad), within=60.0, after=(start,), unless=(good, bad))
            self.react(f"remind{number}", (), ((event("Reminded"),),), trigger=trigger, late=Branch((), PLACE))
        for side in range(self.chance.randrange(6)):
            self.react(
                f"side{number}_{side}",
                (self.chance.choice([start, last, left]),),
                ((event(f"Side{side}"),), (event(f"Aside{side}"),)),
            )
        self.react(f"next{number}", (good,), ((f"big.Saga{number}Told.v1",),))
        self.workflows.append(Workflow(f"saga{number}", PLACE, (start,), (good,), (bad,), 300.0))

    def graph(self) -> Graph:
        messages = {}
        for reaction in self.reactions:
            for tp in reaction.effects_of_all_ways:
                messages.setdefault(
                    tp, Message(tp, reaction.service, PLACE, topic=reaction.service, key="id", schema=SCHEMA, public=True)
                )
        services = tuple(Service(id, PLACE) for id in self.services)
        return Graph("big", services, tuple(messages.values()), tuple(self.reactions), tuple(self.workflows))


def check(graph: Graph) -> tuple[float, dict[str, float], list[Finding]]:
    """Seconds of the processor in all and per rule, and what was found; what the rules share is counted where it is needed first."""
    each, found = {}, []
    for rule in rules().values():
        begun = time.process_time()
        found += rule.check(graph)
        each[rule.id] = time.process_time() - begun
    return sum(each.values()), each, found


def main() -> None:
    small, large = Maker(0.1).graph(), Maker(1.0).graph()
    few, _, _ = min((check(Maker(0.1).graph()) for _ in range(3)), key=lambda run: run[0])
    many, each, found = check(large)
    slowest = sorted(each, key=each.__getitem__, reverse=True)[:3]
    report(
        "checks: all rules",
        services=len(large.services),
        events=len(large.types),
        reactions=len(large.reactions),
        workflows=len(large.workflows),
        cpu_s_all=round(many, 2),
        cpu_s_of_slowest={name: round(each[name], 2) for name in slowest},
        cpu_us_per_reaction=round(many / len(large.reactions) * 1e6, 1),
        cpu_us_per_reaction_at_a_tenth=round(few / len(small.reactions) * 1e6, 1),
        ratio=round(many / len(large.reactions) / (few / len(small.reactions)), 2),
        peak_mb=round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        findings=dict(Counter(finding.rule for finding in found)),
        target="< 10 s, < 500 MB, ratio near 1",
    )


if __name__ == "__main__":
    main()
