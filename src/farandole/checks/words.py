"""How findings name things: short where that is unambiguous."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from farandole.graph import Graph, family_of, short

__all__ = ["Words", "listed", "words_of"]


class Words:
    """Names of one graph: `OrderPlaced` for a type, `payments.charge` for a reaction."""

    def __init__(self, graph: Graph) -> None:
        families = Counter(short(family) for family in {family_of(tp) for tp in graph.types})
        versions = Counter(family_of(tp) for tp in graph.types)
        self._names: dict[str, str] = {}
        for tp in graph.types:
            family, version = family_of(tp), tp.removeprefix(family_of(tp))
            name = short(tp) if families[short(tp)] == 1 else family
            self._names[tp] = name + (version if versions[family] > 1 else "")
        said = {reaction.id: f"{short(reaction.service)}.{reaction.name}" for reaction in graph.reactions}
        often = Counter(said.values())
        self._names.update({id: name if often[name] == 1 else id for id, name in said.items()})

    def __call__(self, name: str) -> str:
        """The short name of a type or reaction."""
        return self._names.get(name) or short(name)

    def all(self, names: Iterable[str], word: str = "and") -> str:
        """Several names: `A, B and C`."""
        return listed([self(name) for name in names], word)

    def trail(self, trail: Iterable[str]) -> str:
        """A way in one line: `OrderPlaced -> payments.charge -> PaymentFailed`."""
        return " -> ".join(self(name) for name in trail)


def words_of(graph: Graph) -> Words:
    """The names of a graph, made once for all who ask."""
    return graph.kept("words", lambda: Words(graph))


def listed(names: list[str], word: str = "and") -> str:
    """`A`, `A and B`, `A, B and C`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {word} {names[-1]}"
