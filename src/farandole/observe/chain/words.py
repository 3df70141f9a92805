"""Chains in words: what the tree, the table and the pictures say of an event and of what became of it. Pure."""

from __future__ import annotations

from farandole.drawing.letters import plain
from farandole.observe.chain.chain import Chain
from farandole.observe.chain.handled import Handled
from farandole.observe.chain.tree import Node
from farandole.words import date, roughly

__all__ = ["LOOKS", "called", "counted", "delayed", "fate", "heading", "notes", "skews"]

LOOKS: dict[str, tuple[str, str]] = {
    "done": ("✓", "green"),
    "answered": ("✓", "green"),
    "skipped": ("-", "dim"),
    "parked": ("↻", "amber"),
    "claimed": ("▸", "cyan"),
    "dead": ("✗", "red"),
    "refused": ("✗", "red"),
    "exhausted": ("!", "plum"),
    "duplicate": ("=", "dim"),
    "never": ("?", "amber"),
}
"""By state, a sign and a style."""


def called(node: Node) -> str:
    """What an event is called; its id where nobody knows."""
    return plain(node.name or node.id)


def counted(number: int, word: str) -> str:
    """`1 event`, `2,000 events`."""
    return f"{number:,} {word}{'s' * (number != 1)}"


def heading(chain: Chain) -> list[str]:
    """What stands above a chain: its id, how large it is and how long it took, its business keys, clocks that do not agree."""
    times = [node.time for node in chain.events if node.time is not None]
    words = counted(len(chain.events), "event")
    if times and not chain.skews:
        words += f" in {roughly(max(times) - min(times))}"
    if times:
        words += f", from {date(times[0])} UTC"
    keys = dict.fromkeys(
        f"{plain(node.entry.field)}={plain(node.entry.key)}"
        for node in chain.events
        if node.entry is not None and node.entry.field
    )
    shown = [*keys][:3] + ([f"{len(keys) - 3} more keys"] if len(keys) > 3 else [])
    return [f"{plain(chain.correlation_id)}  {', '.join([*shown, words])}", *skews(chain)]


def skews(chain: Chain) -> list[str]:
    """The clocks that do not agree, a sentence each."""
    return [
        f"clocks of {plain(skew.behind)} differ by ≥ {roughly(skew.seconds)}"
        if skew.behind == skew.ahead
        else f"clock of {plain(skew.behind)} is ≥ {roughly(skew.seconds)} behind that of {plain(skew.ahead)}"
        for skew in chain.skews
    ]


def notes(node: Node) -> list[tuple[str, str]]:
    """What is to be said of an event beside its name and service, each with a style."""
    found: list[tuple[str, str]] = []
    if node.kind == "command":
        found.append(("command", ""))
    elif node.kind == "missing":
        found.append(("not recorded", "red"))
    if node.undoes:
        found.append((f"undoes {', '.join(dict.fromkeys(map(called, node.undoes)))}", "plum"))
    if node.undone:
        found.append(("undone", "plum"))
    if node.copies > 1:
        found.append((f"{node.copies} copies", "amber"))
    if node.cyclic:
        found.append(("causes itself", "red"))
    return found


def delayed(node: Node) -> str:
    """How long after its cause."""
    return "" if node.delay is None else f"{'≤' if node.at_most else '+'}{roughly(node.delay)}"


def fate(one: Handled, node: Node, now: float) -> str:
    """What became of an event in a reaction, without the reaction's name."""
    tries = f"{one.attempts:,} of {one.most:,}" if one.most is not None and one.attempts < one.most else f"{one.attempts:,}"
    tries += " try" if tries == "1" else " tries"
    reason = f": {plain(one.reason)}" if one.reason else ""
    place = f"  {plain(one.place)}" if one.place else ""
    words: list[str] = []
    if one.state == "never":
        age = "" if node.time is None else f", waits for {roughly(max(0.0, now - node.time))}"
        words.append(f"never taken{age}")
    elif one.state == "answered":
        words.append("answered")
    elif one.state == "duplicate":
        words.append("came again, was known")
    elif one.state == "parked" and one.due is None:
        words.append(f"parked behind another of its key{reason}{place}")
    elif one.state == "parked":
        due = one.due or 0.0
        when = "due now" if due <= now else f"next try in {roughly(due - now)}"
        after = f" after {tries}" if one.attempts else ""
        words.append(f"parked{after}, {when}{reason}{place}")
    elif one.state == "claimed":
        words.append(f"runs now, {tries}{reason}")
    elif one.state in ("dead", "exhausted"):
        words.append(f"{one.state} after {tries}{reason}{place}")
    elif one.state != "done":
        words.append(f"{plain(one.state)}{reason}")
    words += _timed(one, reason)
    if one.unsaid:
        words.append(f"{counted(one.unsaid, 'event')} that it returned not recorded yet")
    if one.duplicates and one.state != "duplicate":
        words.append(f"{counted(one.duplicates, 'duplicate')} dropped")
    if one.undoes and one.state not in ("skipped", "never"):
        words.append(f"undoes {plain(one.undoes)}")
    return ", ".join(words)


def _timed(one: Handled, reason: str) -> list[str]:
    """Where the time went, as far as that was told."""
    if one.state not in ("done", "exhausted"):
        return []
    words = [] if one.waited is None else [f"waited {roughly(one.waited)}"]
    if one.state == "done" and one.attempts > 1:
        over = "" if one.retried is None else f" over {roughly(one.retried)}"
        words.append(f"{one.attempts:,} tries{over} (the last failure{reason})" if reason else f"{one.attempts:,} tries{over}")
    if one.seconds is not None:
        words.append(f"took {roughly(one.seconds)}")
    return words
