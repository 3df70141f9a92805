"""A known mistake."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from farandole.rehearse import Rehearsal

__all__ = ["Defect", "Patch"]

Patch = tuple[Any, str, Any]
"""Whose attribute, its name, and the wrong thing in its place."""


@dataclass(frozen=True)
class Defect:
    """A known mistake, and the same without it.

    Attributes
    ----------
    name:
        What people call it.
    make:
        The rehearsal, right (False) or wrong (True).
    patch:
        What is wrong in the runtime itself.
    """

    name: str
    make: Callable[[bool], Rehearsal]
    patch: Callable[[], Patch] | None = None

    @contextmanager
    def planted(self) -> Iterator[Rehearsal]:
        """The rehearsal with the mistake in it."""
        if self.patch is None:
            yield self.make(True)
            return
        owner, name, wrong = self.patch()
        right = getattr(owner, name)
        setattr(owner, name, wrong)
        try:
            yield self.make(True)
        finally:
            setattr(owner, name, right)
