"""Farandole: choreographed, event-driven microservices from one declaration.

The names of the model are here at once; those that need the runtime are imported when they are first used, so that
declaring services costs neither an event loop nor a database driver.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from farandole.errors import (
    BreakerOpen,
    BrokerError,
    CommandRefused,
    ConfigurationError,
    DeclarationError,
    EmissionError,
    EnvelopeError,
    FarandoleError,
    OutsideInTransaction,
    Reject,
    Skip,
    StoreError,
    TransactionOwned,
    UnknownInstance,
)
from farandole.model.breaker import Breaker
from farandole.model.choreography import Choreography, Workflow, allow_cycle
from farandole.model.effects import Effects, Move
from farandole.model.event import Command, Event, Sensitive
from farandole.model.expectation import expect
from farandole.model.guard import Guard
from farandole.model.later import Later
from farandole.model.measure import Measure
from farandole.model.policy import Policy, Retry
from farandole.model.process import Process
from farandole.model.reaction import Reaction
from farandole.model.service import Service
from farandole.model.triggers import all_items, all_of, any_of
from farandole.version import __version__ as __version__

if TYPE_CHECKING:
    from farandole.host import App, Receipt, Status, open
    from farandole.observe.chain import Chain
    from farandole.observe.correlation import CorrelationFilter
    from farandole.runtime.context import Context
    from farandole.world import World

__all__ = [
    "App",
    "Breaker",
    "BreakerOpen",
    "BrokerError",
    "Chain",
    "Choreography",
    "Command",
    "CommandRefused",
    "ConfigurationError",
    "Context",
    "CorrelationFilter",
    "DeclarationError",
    "Effects",
    "EmissionError",
    "EnvelopeError",
    "Event",
    "FarandoleError",
    "Guard",
    "Later",
    "Measure",
    "Move",
    "OutsideInTransaction",
    "Policy",
    "Process",
    "Reaction",
    "Receipt",
    "Reject",
    "Retry",
    "Sensitive",
    "Service",
    "Skip",
    "Status",
    "StoreError",
    "TransactionOwned",
    "UnknownInstance",
    "Workflow",
    "World",
    "all_items",
    "all_of",
    "allow_cycle",
    "any_of",
    "expect",
    "open",
]

if not TYPE_CHECKING:  # a type checker that saw __getattr__ would take every misspelt name for granted
    _LATE = {
        "App": "farandole.host",
        "Chain": "farandole.observe.chain",
        "Context": "farandole.runtime.context",
        "CorrelationFilter": "farandole.observe.correlation",
        "Receipt": "farandole.host",
        "Status": "farandole.host",
        "World": "farandole.world",
        "open": "farandole.host",
    }

    def __getattr__(name: str) -> Any:
        """Import a name of the runtime when it is first used."""
        if name not in _LATE:
            raise AttributeError(f"module 'farandole' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(_LATE[name]), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        """All public names, those that are not imported yet as well."""
        return sorted({*globals(), *__all__})
