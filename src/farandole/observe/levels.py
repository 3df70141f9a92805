"""Service levels: what should have followed an event of an instance, and has not. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from farandole.graph import Workflow, short
from farandole.observe.expected import Instance
from farandole.words import roughly

__all__ = ["Level", "open_levels"]


@dataclass(frozen=True, slots=True)
class Level:
    """A service level of one instance that is not met yet.

    Attributes
    ----------
    name:
        As it is declared.
    cause:
        The id of the event that is to be followed.
    types:
        The wire types of which one is expected.
    since, due:
        When that was, and until when it is to be followed, in seconds since 1970.
    """

    name: str
    cause: str
    types: tuple[str, ...]
    since: float
    due: float

    def tell(self, now: float) -> str:
        """For people."""
        words = " or ".join(map(short, self.types))
        late = f"overdue for {roughly(now - self.due)}" if self.due <= now else f"due in {roughly(self.due - now)}"
        return f"{words}, by the service level {self.name!r}: {late}"


def open_levels(flow: Workflow, instance: Instance) -> tuple[Level, ...]:
    """The levels of a workflow that an instance has not met, the first due first.

    An event is followed by one of the expected types that it caused, or that is not earlier than it.
    """
    found = []
    for one in flow.expects:
        answers = [entry for tp in one.types for entry in instance.by_type.get(tp, ())]
        times = [entry.time for entry in answers]
        for event in instance.by_type.get(one.after, ()):
            if event.time is None or any(time is None or time >= event.time for time in times):
                continue  # what has no time cannot be late. Times are in the order of causes here
            found.append(Level(one.name, event.id, one.types, event.time, event.time + one.within))
    return tuple(sorted(found, key=lambda level: level.due))
