"""Known mistakes, each a small switch on something right: what a rehearsal must find, and what it must be silent about."""

from __future__ import annotations

from tests.rehearse.planted.defect import Defect
from tests.rehearse.planted.in_services import SERVICES
from tests.rehearse.planted.in_the_runtime import RUNTIME

__all__ = ["DEFECTS", "Defect"]

DEFECTS: list[Defect] = [*RUNTIME, *SERVICES]
