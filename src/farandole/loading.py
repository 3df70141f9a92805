"""Finds what a user names as `module:variable`."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from traceback import extract_tb
from typing import Any

from farandole.config import nearest
from farandole.errors import ConfigurationError, FarandoleError

__all__ = ["load_named"]


def load_named(name: str, *kinds: type[Any]) -> Any:
    """What `module:variable` names; the current folder is on the import path.

    Parameters
    ----------
    kinds:
        The classes that it may be of.

    Raises
    ------
    ConfigurationError
        There is no such module or variable, importing it fails, or it is of none of these classes.
    """
    module_name, _, variable = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        module = import_module(module_name)
    except FarandoleError:
        raise
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise ConfigurationError(
                f"{name}: there is no module {error.name!r} in {here} or among what is installed. Run this where it can be imported"
            ) from error
        frame = extract_tb(error.__traceback__)[-1]
        raise ConfigurationError(
            f"{name}: importing {module_name} failed: {type(error).__name__}: {error} ({frame.filename}:{frame.lineno})"
        ) from error
    try:
        found = getattr(module, variable)
    except AttributeError:
        known = [key for key, value in vars(module).items() if isinstance(value, kinds)] or ["none"]
        raise ConfigurationError(f"{name}: {module_name} has no {variable!r}. {nearest(variable, known)}") from None
    if not isinstance(found, kinds):
        expected = " or ".join(kind.__name__ for kind in kinds)
        raise ConfigurationError(f"{name}: expected a {expected}, got {type(found).__name__}: {found!r}")
    return found
