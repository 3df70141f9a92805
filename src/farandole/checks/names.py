"""Hint: names that do not say what happened, or what is asked for."""

from __future__ import annotations

from collections.abc import Iterator

from farandole.checks.base import Finding, Rule
from farandole.checks.tenses import is_imperative, is_past, technical, words_of
from farandole.graph import Graph, Message, family_of

__all__ = ["RULE"]


def check(graph: Graph) -> Iterator[Finding]:
    """Events that are not in the past tense, commands that are not imperative, and names of database operations.

    Names of incomplete services are not ours to change, so they are left alone.
    """
    for message in graph.owned.values():
        service = graph.service.get(message.service)
        if service is None or not service.complete:
            continue
        name = family_of(message.type).partition(".")[2] or message.type
        words = words_of(name)
        if message.kind == "command":
            if not is_imperative(words):
                yield _finding(
                    message, f"Command {name} does not begin with a verb.", "Name what is asked for: PlaceOrder, RefundPayment."
                )
        elif not any(map(is_past, words)):
            yield _finding(
                message, f"Event {name} is not in the past tense.", "Name what has happened: OrderPlaced, PaymentRefunded."
            )
        elif what := technical(words):
            yield _finding(
                message,
                f"Event {name} {what}.",
                "Name what happened to the people concerned: PriceRaised, AddressCorrected, CustomerMoved.",
            )


def _finding(message: Message, what: str, fix: str) -> Finding:
    return Finding(RULE.id, message.place, what, fix, message.type)


RULE = Rule(
    "names",
    "hint",
    "warning",
    "events in the past tense, commands as verbs",
    "A name that does not say what happened makes every reader guess, and guesses differ between teams.",
    check,
)
