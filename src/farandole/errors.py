"""Every error of Farandole; each message says what happened, where, and what to do.

FarandoleError
├── DeclarationError        a declaration cannot work (shown when it is declared, or when the host starts)
├── ConfigurationError      a key, URL, flag or file is wrong                      (exit code 2)
│   ├── NewerDatabase       the database was written by a newer Farandole
│   └── UnknownScheme       no adapter for this URL
├── EnvelopeError           bytes that are no CloudEvent, or no event of ours
├── EmissionError           an event that must not leave: undeclared, ill-typed, too large, too deep
├── TransactionOwned        a reaction called commit() or rollback() itself
├── OutsideInTransaction    a reaction awaited something that is not SQL inside its transaction
├── ProcessNotStarted       an event of a process came before the one that starts it (it is tried again)
├── StateError              the state of a process cannot be read, or does not match its types
├── StoreError              the database did not do as asked
│   ├── StoreBusy           the database is locked or away, or two steps collided  (transient)
│   │   └── ProcessChanged  another event changed the process meanwhile; this one runs again
│   └── ClaimLost           somebody else took this event over; nothing was written
├── BrokerError             the broker did not do as asked
│   └── BrokerClosed        used after close()
├── CommandRefused          a command's handler rejected it, or failed
├── BreakerOpen             what a command's handler needs is left alone just now
└── UnknownInstance         nothing of this workflow instance is recorded

Reject, Skip                raised BY reactions: give up for good; leave this event alone
"""

from __future__ import annotations

__all__ = [
    "BreakerOpen",
    "BrokerClosed",
    "BrokerError",
    "ClaimLost",
    "CommandRefused",
    "ConfigurationError",
    "DeclarationError",
    "EmissionError",
    "EnvelopeError",
    "FarandoleError",
    "NewerDatabase",
    "OutsideInTransaction",
    "ProcessChanged",
    "ProcessNotStarted",
    "Reject",
    "Skip",
    "StateError",
    "StoreBusy",
    "StoreError",
    "TransactionOwned",
    "UnknownInstance",
    "UnknownScheme",
]


class FarandoleError(Exception):
    """The root of all errors that Farandole raises."""


class DeclarationError(FarandoleError):
    """A declaration cannot work; the message names the place and the remedy."""


class ConfigurationError(FarandoleError):
    """A key, URL, flag or file is wrong; the message names it and the remedy."""


class NewerDatabase(ConfigurationError):
    """The database was written by a newer Farandole: upgrade this process."""


class UnknownScheme(ConfigurationError):
    """No adapter answers to the scheme of this URL."""


class EnvelopeError(FarandoleError):
    """Bytes that are no CloudEvent, or whose data is not what the type says."""


class EmissionError(FarandoleError):
    """A reaction returned an event that must not leave: undeclared, ill-typed, too large or too deep."""


class TransactionOwned(FarandoleError):
    """The store owns the transaction of a reaction: commit() and rollback() are not the reaction's to call."""


class OutsideInTransaction(FarandoleError):
    """A reaction awaited something that is not SQL while its transaction held the write lock."""


class ProcessNotStarted(FarandoleError):
    """An event of a process came, and the one that starts it has not come yet: it is tried again."""


class StateError(FarandoleError):
    """The kept state of a process cannot be read by this version, or a handler left values in it that do not match its types."""


class StoreError(FarandoleError):
    """The database did not do as asked; nothing of the step was written."""


class StoreBusy(StoreError):
    """The database is locked or away, or two transactions collided; nothing was written, and the step is tried again.

    Attributes
    ----------
    waited:
        The store has waited already, as long as makes sense: to try again at once is no use.
    """

    def __init__(self, message: str, *, waited: bool = False) -> None:
        super().__init__(message)
        self.waited = waited


class ProcessChanged(StoreBusy):
    """Another event changed an instance of a process while a handler ran; nothing was written, and it runs again."""


class ClaimLost(StoreError):
    """Another worker took this event over while it was being handled; nothing was written."""


class BrokerError(FarandoleError):
    """The broker did not do as asked."""


class BrokerClosed(BrokerError):
    """The broker or consumer was used after close()."""


class CommandRefused(FarandoleError):
    """A command was not carried out; nothing was written.

    Attributes
    ----------
    reason:
        Why, in the handler's words.
    """

    def __init__(self, message: str, *, reason: str) -> None:
        super().__init__(message)
        self.reason = reason


class BreakerOpen(FarandoleError):
    """Something that is provided failed too often, and rests; nothing was done. Try again when it is over.

    Attributes
    ----------
    dependency:
        What rests.
    until:
        When somebody may try again, in seconds since 1970.
    """

    def __init__(self, message: str, *, dependency: str, until: float) -> None:
        super().__init__(message)
        self.dependency = dependency
        self.until = until


class UnknownInstance(FarandoleError, LookupError):
    """Nothing of this workflow instance is recorded."""


class Reject(Exception):
    """Raise in a reaction: this event can never be handled, do not retry.

    Runs the reaction's `exhausted` handler if it has one; otherwise the event becomes a dead letter at once.
    Raised by a command's handler, it reaches the caller of `send` as `CommandRefused`.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Skip(Exception):
    """Raise in a reaction: leave this event alone, and write down why. It is not retried and no dead letter."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
