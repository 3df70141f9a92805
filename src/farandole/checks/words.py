"""How findings call things: short where that is unambiguous, and lists as people write them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from farandole.graph import Graph, short
from farandole.words import listed

__all__ = ["Names", "names_of", "sentence"]


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


def names_of(graph: Graph) -> Names:
    """The short names of a graph, made once for all rules."""
    return graph.kept("names", lambda: Names(graph))


def sentence(text: str) -> str:
    """With a full stop, as those need that stand beside others; names keep their first letter."""
    return text if text.endswith((".", "?", "!")) else f"{text}."
