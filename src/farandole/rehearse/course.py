"""The course of a run: all that decides it, as a value, and as a text that people can keep."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

from farandole.errors import ConfigurationError
from farandole.rehearse.dice import Strike
from farandole.rehearse.faults import Faults, names
from farandole.version import __version__

if TYPE_CHECKING:
    from farandole.model.choreography import Choreography

__all__ = ["FORMAT", "Course", "fingerprint", "parse_course"]

FORMAT = 1
"""Changes whenever the same seed would draw another run: of the loop, the dice, the runtime's awaits."""


@dataclass(frozen=True)
class Course:
    """All that decides a run.

    Attributes
    ----------
    seed:
        Draws faults, schedule, ids, scenario and layout.
    faults:
        Draw from these instead of the swarm of the seed.
    strikes:
        These faults strike and no others, instead of drawing.
    orderly:
        Ready tasks go on in the order in which they became ready, instead of drawing.
    share:
        How much of its work the scenario does, from 0 to 1.
    choices:
        Systematic exploration only: which of the possible next deliveries was taken, one after the other.
    """

    seed: int
    faults: Faults | None = None
    strikes: tuple[Strike, ...] | None = None
    orderly: bool = False
    share: float = 1.0
    choices: tuple[str, ...] | None = None

    def text(self, choreography: Choreography) -> str:
        """The course as lines, for a regression test; strikes must be listed."""
        lines = [f"farandole {version()} {fingerprint(choreography)}", f"seed {self.seed}"]
        lines += ["orderly"] if self.orderly else []
        lines += [f"share {self.share:g}"] if self.share != 1.0 else []
        lines += [str(strike) for strike in self.strikes or ()]
        lines += [f"choice {choice}" for choice in self.choices or ()]
        return "\n".join(lines)


def version() -> str:
    """The version of Farandole that drew a run, and of its drawing."""
    return f"{__version__}/{FORMAT}"


def fingerprint(choreography: Choreography) -> str:
    """Changes with the declarations: services, reactions, what they take and emit."""
    lines = [
        f"{edge.service}.{edge.reaction} {edge.cause.__name__} {getattr(edge.effect, '__name__', '')}"
        for edge in choreography.edges
    ]
    return blake2b("\n".join([choreography.name, *lines]).encode(), digest_size=4).hexdigest()


def parse_course(text: str, choreography: Choreography) -> tuple[Course, str | None]:
    """The course that a text tells, and a caution where it was written by another version or for other declarations.

    Parameters
    ----------
    text:
        As `Course.text` writes it; or a seed, `17`; or a seed with its origin, `17@0.1.0/1-5f3a9c02`.

    Raises
    ------
    ConfigurationError
        It is none of these; with the line.
    """
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    if len(lines) == 1 and not lines[0].startswith(("farandole ", "seed ")):
        seed, _, origin = lines[0].partition("@")
        made_by, _, declared = origin.rpartition("-")
        return Course(_number(seed, lines[0])), _caution(made_by, declared, choreography) if origin else None
    course, caution, strikes = Course(0), "it does not say which version wrote it", list[Strike]()
    choices: list[str] = []
    told: str | None = caution
    for line in lines:
        word, *rest = line.split()
        if word == "farandole" and len(rest) == 2:
            told = _caution(rest[0], rest[1], choreography)
        elif word == "seed" and len(rest) == 1:
            course = replace(course, seed=_number(rest[0], line))
        elif word == "orderly" and not rest:
            course = replace(course, orderly=True)
        elif word == "share" and len(rest) == 1:
            course = replace(course, share=_size(rest[0], line))
        elif word == "choice" and rest:
            choices.append(" ".join(rest))
        else:
            strikes.append(_strike(word, rest, line))
    return replace(course, strikes=tuple(strikes), choices=tuple(choices) or None), told


def _caution(made_by: str, declared: str, choreography: Choreography) -> str | None:
    if made_by != version():
        return f"it was drawn by Farandole {made_by}, and this is {version()}: the same words may be another run here"
    if declared != fingerprint(choreography):
        return "it was drawn for other declarations: services or reactions have changed, and faults may strike elsewhere"
    return None


def _strike(word: str, rest: Iterable[str], line: str) -> Strike:
    parts = list(rest)
    size = parts.pop() if len(parts) > 2 and _is_number(parts[-2]) else "0"
    if word not in names() or len(parts) < 2:
        raise ConfigurationError(f"{line!r} is no line of a course. A fault stands there as: crash payments 57 1.5")
    return Strike(word, " ".join(parts[:-1]), _number(parts[-1], line), _size(size, line))


def _is_number(text: str) -> bool:
    return text.isdecimal()


def _number(text: str, line: str) -> int:
    if not _is_number(text):
        raise ConfigurationError(f"{line!r}: expected a whole number, such as the seed 17, got: {text!r}")
    return int(text)


def _size(text: str, line: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise ConfigurationError(f"{line!r}: expected a number, got: {text!r}") from None
