"""State that the user's modules keep between runs: it makes the second run another than the first.

before = snapshot()
loop.play(program())
for change in changes(before, snapshot()): ...
"""

from __future__ import annotations

import itertools
import random
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from types import FunctionType, ModuleType
from typing import Any

from farandole.rehearse.places import is_users
from farandole.rehearse.trace import without_addresses

__all__ = ["Change", "changes", "snapshot"]

_DEPTH = 6
_SHOWN = 60
_PLAIN = (bool, int, float, complex, str, bytes, bytearray, type(None), itertools.count)
_MISSING = "(not there)"


@dataclass(frozen=True, slots=True)
class Change:
    """A variable of a module, or of a class in it, that changed.

    Attributes
    ----------
    name:
        `module.variable`.
    before, after:
        What it held, shortened.
    """

    name: str
    before: str
    after: str

    def __str__(self) -> str:
        return (
            f"{self.name} changed while it ran: it was {self.before}, and is {self.after}; so the next run begins elsewhere. "
            f"Keep it in the service's database, or in something that the service provides, which is made anew for each run"
        )


def snapshot(modules: Mapping[str, ModuleType] | None = None) -> dict[str, str]:
    """What the user's modules hold, as texts by name.

    Parameters
    ----------
    modules:
        Which; default: all that are loaded and lie neither in Python's library, nor in an installed package, nor in Farandole.
    """
    found: dict[str, str] = {}
    seen: set[int] = set()  # what one module imports from another is told once
    for module_name, module in _users() if modules is None else modules.items():
        for name, value in list(vars(module).items()):
            if name.startswith("__") or isinstance(value, ModuleType | FunctionType):
                continue
            if isinstance(value, type):
                if value.__module__ == module_name:
                    found.update(_of_class(f"{module_name}.{value.__qualname__}", value))
            elif isinstance(value, _PLAIN) or id(value) not in seen:
                seen.add(id(value))
                found[f"{module_name}.{name}"] = _picture(value, _DEPTH)
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """The variables that differ between two snapshots. A module that was loaded in between is new, not changed."""
    known = {name.rpartition(".")[0] for name in before}
    names = [*before, *(name for name in after if name not in before and name.rpartition(".")[0] in known)]
    return [
        Change(name, _short(before.get(name, _MISSING), other), _short(other, before.get(name, _MISSING)))
        for name in names
        if (other := after.get(name, _MISSING)) != before.get(name, _MISSING)
    ]


def _users() -> list[tuple[str, ModuleType]]:
    return [
        (name, module)
        for name, module in list(sys.modules.items())
        if isinstance(file := getattr(module, "__file__", None), str) and is_users(file)
    ]


def _of_class(name: str, cls: type) -> dict[str, str]:
    """The variables of a class, where they are data."""
    plain = (list, dict, set, deque, random.Random, *_PLAIN)
    return {
        f"{name}.{key}": _picture(value, _DEPTH)
        for key, value in vars(cls).items()
        if not key.startswith("__") and isinstance(value, plain)
    }


def _picture(value: Any, depth: int) -> str:
    """A text that changes when what is in the value changes. Objects of libraries are only told apart."""
    if isinstance(value, _PLAIN):
        return repr(value)
    if isinstance(value, random.Random):
        return f"random.Random in state {blake2b(repr(value.getstate()).encode(), digest_size=4).hexdigest()}"
    if depth:
        if isinstance(value, dict):
            inner = (f"{_picture(key, depth - 1)}: {_picture(held, depth - 1)}" for key, held in value.items())
            return f"{{{', '.join(inner)}}}"
        if isinstance(value, list | tuple | deque):
            return f"[{', '.join(_picture(held, depth - 1) for held in value)}]"
        if isinstance(value, set | frozenset):
            return f"{{{', '.join(sorted(_picture(held, depth - 1) for held in value))}}}"
        if _is_users_own(type(value)) and hasattr(value, "__dict__"):
            return f"{type(value).__qualname__} {_picture(vars(value), depth - 1)}"
    return f"{type(value).__qualname__} #{id(value)}"


def _is_users_own(cls: type) -> bool:
    file = getattr(sys.modules.get(cls.__module__), "__file__", None)
    return isinstance(file, str) and is_users(file)


def _short(text: str, other: str) -> str:
    """A text shortened around the first place where it differs from another."""
    text, other = without_addresses(text), without_addresses(other)
    if len(text) <= _SHOWN:
        return text
    first = next((i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b), min(len(text), len(other)))
    begin = max(0, min(first - _SHOWN // 2, len(text) - _SHOWN))
    return f"{'…' if begin else ''}{text[begin : begin + _SHOWN]}{'…' if begin + _SHOWN < len(text) else ''}"
