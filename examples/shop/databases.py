"""Where the shop's databases are, and the gateway's ledger beside them."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from .. import sight
from ..sight import Databases, Sight

__all__ = ["LEDGER", "Databases", "Sight", "looking"]

LEDGER = "gateway"


def looking(database: str | Mapping[str, str], ledger: Path) -> AbstractContextManager[Databases]:
    """Databases to look into, for as long as the `with` lasts: those of the services, and the gateway's ledger (`LEDGER`)."""
    return sight.looking(database, {LEDGER: ledger})
