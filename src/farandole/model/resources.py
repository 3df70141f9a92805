"""Which parameter of a reaction is filled with what: the database, the context, the last error, or what the service provides."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, get_args, get_origin

from farandole.errors import DeclarationError
from farandole.model.guard import Reader
from farandole.model.reaction import Reaction
from farandole.model.service import Provided, Service
from farandole.model.signature import Parameter
from farandole.model.triggers import OnCommand

__all__ = ["CONTEXT", "DATABASE", "ERROR", "STATE", "check_parameters", "groups_of", "is_outside", "kind_of", "kinds_of"]

CONTEXT = "context"
ERROR = "error"
STATE = "state"

# By name, so that declaring a service never imports SQLAlchemy or a driver.
DATABASE = {
    "sqlalchemy.ext.asyncio.session.AsyncSession": "session",
    "sqlalchemy.ext.asyncio.engine.AsyncConnection": "connection",
    "sqlalchemy.orm.session.Session": "sync_session",
    "sqlalchemy.engine.base.Connection": "sync_connection",
    "sqlite3.Connection": "driver",
    "asyncpg.connection.Connection": "driver",
}
_CONTEXT = "farandole.runtime.context.Context"
_BUILTINS = {"Exception", "BaseException"}


def kind_of(parameter: Parameter, provided: Sequence[Provided]) -> str | Provided | None:
    """What fills a parameter: a kind of database handle, `CONTEXT`, `ERROR`, something provided; None: nothing can."""
    tp = parameter.type
    for given in provided:
        if given.type == tp:
            return given
    if get_origin(tp) is Annotated:
        tp = get_args(tp)[0]
    if not isinstance(tp, type):
        return None
    if tp.__module__ == "builtins" and tp.__name__ in _BUILTINS:
        return ERROR
    name = f"{tp.__module__}.{tp.__qualname__}"
    return CONTEXT if name == _CONTEXT else DATABASE.get(name)


def kinds_of(reaction: Reaction[Any, Any, Any], service: Service) -> list[str | Provided | None]:
    """What fills the parameters of a reaction, as `kind_of`; `STATE` is that of its process."""
    state = None if reaction.step is None else reaction.step.process.state
    return [
        STATE if state is not None and parameter.type is state else kind_of(parameter, service.provided)
        for parameter in reaction.signature.parameters
    ]


def is_outside(reaction: Reaction[Any, Any, Any], service: Service) -> bool:
    """Whether a reaction reaches out of its transaction: it takes something provided that is not `local`, or is a plain `def`.

    Outside reactions are never batched, and hold no transaction while they run. `Policy(outside=…)` decides otherwise.
    """
    if reaction.policy.outside is not None:
        return reaction.policy.outside
    if not reaction.signature.is_async:
        return True
    return any(isinstance(kind, Provided) and not kind.local for kind in kinds_of(reaction, service))


def check_parameters(service: Service) -> None:
    """Refuse a service with a reaction that has a parameter nobody can fill, or that cannot run where its policy says.

    Raises
    ------
    DeclarationError
        It names reaction, parameter and remedy.
    """
    for reaction in service.reactions.values():
        for part in (reaction, reaction.on_exhausted, reaction.on_late):
            if part is None:
                continue
            outside = is_outside(part, service)
            if not outside and not part.signature.is_async:
                raise DeclarationError(
                    f"{part.id} ({part.place}) is a plain `def`, which runs in a thread and so outside the transaction of a batch. "
                    f"Write `async def`, or leave outside= open"
                )
            for parameter, kind in zip(part.signature.parameters, kinds_of(part, service), strict=True):
                if kind is None and not parameter.optional:
                    raise DeclarationError(_nobody(part, parameter, service))
                if isinstance(kind, Provided) and kind.breaker is not None and not outside:
                    raise DeclarationError(
                        f"{part.id} ({part.place}) takes {parameter.type.__name__}, which has a breaker, inside its transaction, where "
                        f"nothing can be put off. Leave outside=False out, or the breaker"
                    )
                if kind == "driver" and outside:
                    raise DeclarationError(
                        f"{part.id} ({part.place}) reaches outside, so its database opens only when it is used; a raw connection "
                        f"cannot. Annotate {parameter.name!r} with AsyncConnection or AsyncSession"
                    )
                if isinstance(kind, str) and kind in DATABASE.values():
                    _check_flavour(part, parameter, kind)
        if reaction.reader is not None:
            _check_reader(reaction.reader, service)


def _check_reader(reader: Reader, service: Service) -> None:
    """A guard's reader runs inside the transaction: it takes the database and the context, and nothing that reaches outside."""
    for parameter in reader.signature.parameters:
        kind = kind_of(parameter, service.provided)
        if kind in (None, ERROR) and not parameter.optional:
            raise DeclarationError(_nobody(reader, parameter, service))
        if isinstance(kind, Provided) and not kind.local:
            raise DeclarationError(
                f"{reader.id} ({reader.place}) runs inside the transaction, so it must not call anything outside: {parameter.name!r} is "
                f"provided. Read the state from this service's database, or say provide(…, local=True) where nothing outside is called"
            )
        if isinstance(kind, str) and kind in DATABASE.values():
            _check_flavour(reader, parameter, kind)


def _check_flavour(part: Reaction[Any, Any, Any] | Reader, parameter: Parameter, kind: str) -> None:
    blocking = kind.startswith("sync_")
    if part.signature.is_async and blocking:
        raise DeclarationError(
            f"{part.id} ({part.place}) is `async def`, so {parameter.name!r} must be AsyncSession or AsyncConnection; "
            f"{parameter.type.__name__} is for plain `def`"
        )
    if not part.signature.is_async and not blocking:
        raise DeclarationError(
            f"{part.id} ({part.place}) is a plain `def`, so {parameter.name!r} must be sqlalchemy.orm.Session or "
            f"sqlalchemy.Connection; {parameter.type.__name__} is for `async def`"
        )


def _nobody(part: Reaction[Any, Any, Any] | Reader, parameter: Parameter, service: Service) -> str:
    name = getattr(parameter.type, "__name__", str(parameter.type))
    given = ", ".join(getattr(p.type, "__name__", str(p.type)) for p in service.provided) or "nothing"
    return (
        f"{part.id} ({part.place}): nobody provides the parameter {parameter.name!r} of type {name}. "
        f"Add {service.name}.provide({name}, …); it provides {given}, and the runtime AsyncSession, AsyncConnection and Context"
    )


def groups_of(domain: str, service: Service) -> dict[str, list[Reaction[Any, Any, Any]]]:
    """The consumer groups of a service, local ones first, with the reactions that each feeds.

    The local reactions share `domain.service`; an outside one has a group of its own, `domain.service.reaction`, so that a slow call holds up
    nobody else; `Policy(lane=…)` joins or parts them by name.
    """
    found: dict[tuple[bool, str], list[Reaction[Any, Any, Any]]] = {}
    for reaction in service.reactions.values():
        if isinstance(reaction.trigger, OnCommand):
            continue
        outside = is_outside(reaction, service)
        own = f".{reaction.formerly or reaction.name}" if outside else ""
        name = f"{domain}.{service.name}" + (f".{reaction.policy.lane}" if reaction.policy.lane else own)
        found.setdefault((outside, name), []).append(reaction)
    groups: dict[str, list[Reaction[Any, Any, Any]]] = {}
    for (_, group), reactions in sorted(found.items(), key=lambda item: item[0]):
        groups[f"{group}.outside" if group in groups else group] = reactions
    return groups
