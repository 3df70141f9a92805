"""The report of a rehearsal: what was met, and the story of what failed, for a terminal, for programs, and as pictures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from farandole.rehearse import story
from farandole.rehearse.course import Course, fingerprint, version
from farandole.rehearse.explore import Coverage
from farandole.rehearse.faults import names
from farandole.rehearse.rehearsal import Rehearsal
from farandole.rehearse.run import Run, play
from farandole.rehearse.shrink import shrink

__all__ = ["Report", "repeated", "told"]

_SHOWN = 12


@dataclass
class Report:
    """See above.

    Attributes
    ----------
    app:
        As the user named it.
    coverage:
        What all runs met.
    run:
        The run to tell: the failing one, made short, or the one that was asked for.
    seed:
        What repeats it as it was found.
    remark, caution:
        One more line about the runs; why the run may not be the one that was meant.
    outside:
        What in the choreography would differ from run to run, so that nothing was rehearsed.
    """

    app: str
    rehearsal: Rehearsal
    coverage: Coverage
    run: Run | None = None
    seed: str = ""
    remark: str = ""
    caution: str | None = None
    outside: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        """Whether a run failed, or could not be repeated."""
        return bool(self.outside) or (self.run is not None and bool(self.run.findings))

    def text(self, *, width: int = 100, colour: bool = False) -> str:
        """For a terminal."""
        if self.outside:
            return "\n".join(
                ["Nothing was rehearsed, since runs could not be repeated:", *(f"  {line}" for line in self.outside)]
            )
        parts = [self._met()] if self.coverage.runs or self.remark else []
        if self.caution:
            parts.append(f"Mind: {self.caution}.")
        if self.run is not None:
            parts.append(story.tell(self.run.beats, width=width, colour=colour))
        if self.run is not None and self.run.findings:
            parts += [self._repeat(), self.regression()]
        return "\n\n".join(parts)

    def svg(self) -> str:
        """The story as a picture."""
        return story.svg(self.run.beats if self.run else [])

    def mermaid(self) -> str:
        """The story as a Mermaid sequence diagram."""
        return story.mermaid(self.run.beats if self.run else [])

    def regression(self) -> str:
        """A test to paste, which repeats the run."""
        assert self.run is not None
        told = story.sentences(story.relevant(self.run.beats))
        return story.regression(self.app, self.run.listed.text(self.rehearsal.choreography), told, self.run.findings[0].rule)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        coverage = self.coverage
        values: dict[str, Any] = {
            "runs": coverage.runs,
            "workflows": coverage.workflows,
            "steps": coverage.steps,
            "faults": {name: coverage.faults[name] for name in names() if coverage.faults[name]},
            "edges": {"declared": len(coverage.declared), "missed": [list(edge) for edge in coverage.missed]},
            "states": len(coverage.states),
            "dead": dict(coverage.dead),
            "failed": self.failed,
        }
        if self.outside:
            values["outside"] = self.outside
        if self.run is not None and self.run.findings:
            values["seed"] = self.seed
            values["findings"] = [{"rule": each.rule, "words": each.words, "ids": each.ids} for each in self.run.findings]
            values["story"] = story.sentences(story.relevant(self.run.beats))
            values["course"] = self.run.listed.text(self.rehearsal.choreography)
        return values

    def _met(self) -> str:
        coverage = self.coverage
        lines = [f"{coverage.runs:,} runs, {coverage.workflows:,} workflows"] if coverage.runs else []
        if self.remark:
            lines.append(self.remark)
        if coverage.runs:
            dead = [f"{name} {count:,}" for name, count in sorted(coverage.dead.items())]
            lines += [f"dead letters: {', '.join(dead)}"] if dead else []
            struck = [f"{name} {coverage.faults[name]:,}" for name in names() if coverage.faults[name]]
            lines.append(f"faults: {', '.join(struck) or 'none'}")
            travelled = len(coverage.declared) - len(coverage.missed)
            lines.append(
                f"arrows travelled: {travelled} of {len(coverage.declared)}; {len(coverage.states)} ways for a workflow to look"
            )
            for reaction, cause, effect in coverage.missed[:_SHOWN]:
                lines.append(f"  never: {reaction} took {cause}" + (f" and emitted {effect}" if effect else ""))
            if len(coverage.missed) > _SHOWN:
                lines.append(f"  and {len(coverage.missed) - _SHOWN} more")
        return "\n".join(lines)

    def _repeat(self) -> str:
        return f"Repeat it as it was found:\n  farandole rehearse {self.app} --repeat {self.seed}\nKeep it short, as a test:"


def told(
    app: str,
    rehearsal: Rehearsal,
    coverage: Coverage,
    course: Course | None,
    watch: Callable[[int], None] = lambda tried: None,
) -> Report:
    """The report of a search; a course that failed is made short first.

    Parameters
    ----------
    watch:
        Is told how many runs that took so far.
    """
    report = Report(app, rehearsal, coverage)
    if course is not None:
        failing = play(rehearsal, course)
        short = shrink(rehearsal, failing, watch=watch) if failing.findings and course.choices is None else failing
        report.run = play(rehearsal, short.course, telling=True)
        report.seed = f"{course.seed}@{version()}-{fingerprint(rehearsal.choreography)}"
        if not failing.findings:
            report.caution = "a worker saw this run fail, and here it does not: something in it differs from process to process"
    return report


def repeated(app: str, rehearsal: Rehearsal, coverage: Coverage, course: Course, caution: str | None) -> Report:
    """The report of one run, whatever came of it."""
    run = play(rehearsal, course, telling=True)
    coverage.add(run)
    seed = f"{course.seed}@{version()}-{fingerprint(rehearsal.choreography)}"
    return Report(app, rehearsal, coverage, run, seed, caution=caution)
