"""How findings call things: short where that is unambiguous, and lists as people write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from farandole.graph import Graph, short

__all__ = ["Names", "lasting", "listed", "names_of", "sentence"]


class Names:
    """The short names of one graph.

    Parameters
    ----------
    graph:
        Where the names must be told apart.
    """

    def __init__(self, graph: Graph) -> None:
        self._reactions = graph.reaction
        self._messages = Counter(short(tp) for tp in graph.types)
        self._services = Counter(short(service) for service in dict.fromkeys(node.id for node in graph.services))

    def message(self, type: str) -> str:
        """`OrderPlaced`; with domain and version where another message is called so too."""
        return type if self._messages[short(type)] > 1 else short(type)

    def messages(self, types: Iterable[str], last: str = "and") -> str:
        """`OrderPlaced, PaymentFailed and PaymentCompleted`."""
        return listed([self.message(tp) for tp in types], last)

    def service(self, id: str) -> str:
        """`payments`."""
        return id if self._services[short(id)] > 1 else short(id)

    def reaction(self, id: str) -> str:
        """`payments.charge`."""
        service, _, name = id.rpartition(".")
        return f"{self.service(service)}.{name}" if service else id

    def step(self, id: str) -> str:
        """A message or a reaction, whichever has this id."""
        return self.reaction(id) if id in self._reactions else self.message(id)


def listed(words: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *first, end = list(words) or ["nothing"]
    return f"{', '.join(first)} {last} {end}" if first else end


def lasting(seconds: float) -> str:
    """A span of time as people say it: `90 s`, `2 h`, `7 days`, `1.5 h`."""
    for size, unit in ((86_400.0, "days"), (3600.0, "h"), (60.0, "min")):
        if seconds >= 2 * size or (seconds >= size and seconds % size == 0):
            count = f"{seconds / size:.1f}".removesuffix(".0")
            return f"{count} {'day' if count == '1' and unit == 'days' else unit}"
    return f"{seconds:g} s"


def names_of(graph: Graph) -> Names:
    """The short names of a graph, made once for all rules."""
    return graph.kept("names", lambda: Names(graph))


def sentence(text: str) -> str:
    """With a full stop, as those need that stand beside others; names keep their first letter."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
