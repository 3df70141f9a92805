"""Rehearsal: the real handlers of a choreography, run through many possible futures, each of which can be run again.

    rehearsal = Rehearsal(shop)

    @rehearsal.scenario
    async def customers(stage): ...

`farandole rehearse module:rehearsal` runs it.
"""

from farandole.rehearse.cluster import USUAL
from farandole.rehearse.course import Course
from farandole.rehearse.faults import CALM, GROUPS, ROUGH, Fault, Faults
from farandole.rehearse.rehearsal import Rehearsal, Traits
from farandole.rehearse.run import Run, play
from farandole.rehearse.stage import Stage
from farandole.rehearse.view import View

__all__ = [
    "CALM",
    "GROUPS",
    "ROUGH",
    "USUAL",
    "Course",
    "Fault",
    "Faults",
    "Rehearsal",
    "Run",
    "Stage",
    "Traits",
    "View",
    "play",
]
