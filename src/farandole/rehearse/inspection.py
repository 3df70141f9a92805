"""Inspects a choreography before it is rehearsed: whether anything in it would differ from run to run, and where."""

from __future__ import annotations

from farandole.rehearse.course import Course
from farandole.rehearse.cuts import OutsideWorld
from farandole.rehearse.modules import changes, snapshot
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.run import play
from farandole.rehearse.trace import difference

__all__ = ["inspect"]

_LINES = 2_000_000
_DECLARATIONS = ("_signature", "_names")


def inspect(rehearsal: Rehearsal, seed: int = 0) -> list[str]:
    """What reaches out of the rehearsal, or is left over from one run to the next, in words with place and remedy.

    One seed is played three times: once under close watch, where clock, chance, threads, sockets and endless loops are found by their
    places; and twice plainly, where state that a module keeps is found by comparing what the modules held, and anything else that
    differs by the first difference between the traces.
    """
    course = Course(seed)
    try:
        watched = play(rehearsal, course, closely=True, lines=_LINES)
        endless = [finding.words for finding in watched.findings if finding.rule == "endless"]
        if watched.outside or endless:
            return [*watched.outside, *endless]
        before = snapshot()
        first = play(rehearsal, course)
        left = changes(before, snapshot())
        second = play(rehearsal, course)
    except OutsideWorld as error:
        return [str(error)]
    if found := [str(change) for change in left if not change.name.endswith(_DECLARATIONS)]:
        return found
    apart = difference(first.trace.entries, second.trace.entries)
    return [f"the same seed made two different runs, and nothing that is watched says why. {apart}"] if apart else []
