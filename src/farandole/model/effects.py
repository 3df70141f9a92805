"""What a reaction says of itself beyond its events: resources it touches, and states that it moves. For drawings and checks; only a guard runs by it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Literal

from farandole.errors import DeclarationError

__all__ = ["Effects", "Move"]

_OUTSIDE = (None, "none", "idempotent", "once")
_STEPS = (None, "compensatable", "pivot", "retriable")


@dataclass(frozen=True, slots=True)
class Effects:
    """What a reaction does beyond its events; declared with `effects=`.

    Parameters
    ----------
    outside:
        What happens outside of its database: `"none"`; `"idempotent"`: again changes nothing; `"once"`: each call counts. None: not said.
    reads, writes:
        Resources, by the names under which others know them: `writes=("credit",)`.
    locks:
        Resources that it holds a semantic lock on from here until another reaction writes them.
    step:
        Its place in a saga: `"compensatable"`: it can be undone; `"pivot"`: from here on there is no way back; `"retriable"`: it cannot fail for
        good. None: not said. (Garcia-Molina and Salem, Sagas, 1987; Richardson, Microservices Patterns, 2018.)
    """

    outside: Literal["none", "idempotent", "once"] | None = None
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    locks: tuple[str, ...] = ()
    step: Literal["compensatable", "pivot", "retriable"] | None = None

    def __post_init__(self) -> None:
        for name in ("reads", "writes", "locks"):
            _need_names(self, name, '("credit",)')
        for name, known in (("outside", _OUTSIDE), ("step", _STEPS)):
            if getattr(self, name) not in known:
                words = ", ".join(repr(word) for word in known if word)
                raise DeclarationError(f"Effects: expected {name} to be one of {words}, got: {getattr(self, name)!r}")


@dataclass(frozen=True, slots=True)
class Move:
    """A change of state; declared with `states=`.

    Parameters
    ----------
    entity:
        What changes: `"order"`.
    valid:
        The states in which this reaction may run; none where it makes a new one. Nothing asks for them but a guard.
    to:
        The state afterwards; None: it stays, or is not said.
    by:
        The field of the event that names the instance; None: not said.
    """

    entity: str
    valid: tuple[str, ...] = ()
    to: str | None = None
    by: str | None = None

    def __post_init__(self) -> None:
        _need_names(self, "valid", '("placed",)')
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name != "valid" and not (isinstance(value, str) and value) and (value is not None or field.name == "entity"):
                raise DeclarationError(f"Move: expected {field.name} to be a name, got: {value!r}")


def _need_names(owner: Any, name: str, example: str) -> None:
    value = getattr(owner, name)
    if not isinstance(value, tuple) or not all(isinstance(word, str) and word for word in value):
        raise DeclarationError(
            f"{type(owner).__name__}: expected {name} to be a tuple of names, such as {example}, got: {value!r}"
        )
