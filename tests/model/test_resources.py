"""Parameters: what fills them, and what is refused before anything runs."""

from __future__ import annotations

import sqlite3
from typing import Annotated, Any

import pytest
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession
from sqlalchemy.orm import Session
from tests.runtime.kit import Placed

from farandole.errors import DeclarationError
from farandole.model.policy import Policy
from farandole.model.resources import CONTEXT, ERROR, check_parameters, is_outside, kind_of
from farandole.model.service import Service
from farandole.model.signature import Parameter
from farandole.runtime.context import Context


class Gateway:
    """Something outside."""


class Prices:
    """Something local."""


def parameter(tp: Any, *, optional: bool = False) -> Parameter:
    return Parameter("it", tp, keyword=False, optional=optional)


@pytest.mark.parametrize(
    ("tp", "kind"),
    [
        (AsyncSession, "session"),
        (AsyncConnection, "connection"),
        (Session, "sync_session"),
        (Connection, "sync_connection"),
        (sqlite3.Connection, "driver"),
        (Annotated[AsyncSession, "of the service"], "session"),
        (Context, CONTEXT),
        (Exception, ERROR),
        (BaseException, ERROR),
        (ValueError, None),
        (dict[str, int], None),
        (int, None),
    ],
)
def test_the_type_says_what_fills_a_parameter(tp: Any, kind: str | None) -> None:
    assert kind_of(parameter(tp), []) == kind


def test_what_is_provided_comes_first_even_under_an_annotation_of_its_own() -> None:
    service = Service("payments")
    for tp in (Gateway, Annotated[Gateway, "slow"], AsyncSession):
        service.provide(tp, object())
    assert [kind_of(parameter(given.type), service.provided) for given in service.provided] == service.provided


def declared(function: Any, **options: Any) -> Service:
    service = Service("payments")
    service.provide(Gateway, Gateway())
    service.provide(Prices, Prices(), local=True)
    service.on(Placed, **options)(function)
    return service


async def local(order: Placed, prices: Prices, db: AsyncSession) -> None: ...
async def reaching(order: Placed, prices: Prices, gateway: Gateway) -> None: ...
def plain(order: Placed, db: Session) -> None: ...


@pytest.mark.parametrize(
    ("function", "said", "outside"),
    [
        (local, None, False),
        (reaching, None, True),
        (plain, None, True),
        (local, True, True),
        (reaching, False, False),
    ],
)
def test_a_reaction_is_outside_when_it_takes_something_outside_unless_it_says_otherwise(
    function: Any, said: bool | None, outside: bool
) -> None:
    service = declared(function, policy=Policy(outside=said))
    [reaction] = service.reactions.values()
    assert is_outside(reaction, service) is outside
    check_parameters(service)


async def async_with_sync(order: Placed, db: Session) -> None: ...
def sync_with_async(order: Placed, db: AsyncSession) -> None: ...
async def nobody(order: Placed, price: float) -> None: ...
async def optional(order: Placed, price: float = 1.0) -> None: ...


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (async_with_sync, "is `async def`, so 'db' must be AsyncSession or AsyncConnection; Session is for plain `def`"),
        (sync_with_async, "is a plain `def`, so 'db' must be sqlalchemy.orm.Session or sqlalchemy.Connection; AsyncSession is"),
        (
            nobody,
            r"nobody provides the parameter 'price' of type float. Add payments.provide\(float, …\); it provides Gateway, Prices",
        ),
    ],
)
def test_a_parameter_that_cannot_be_filled_is_refused_with_the_remedy(function: Any, words: str) -> None:
    with pytest.raises(DeclarationError, match=words):
        check_parameters(declared(function))


def test_a_parameter_with_a_default_may_stay_as_it_is() -> None:
    check_parameters(declared(optional))


def test_an_exhausted_handler_is_looked_at_too() -> None:
    service = Service("payments")

    @service.on(Placed)
    async def charge(order: Placed) -> None: ...

    @charge.exhausted
    async def gave_up(order: Placed, price: float) -> None: ...

    with pytest.raises(DeclarationError, match=r"payments\.charge\.exhausted .* it provides nothing"):
        check_parameters(service)
