"""Fakes of the world outside that fail as it does: no answer, whether it acted or not, or a late one.

    gateway = unreliable(FakeGateway(), world, faults, name="Gateway")
    await gateway.charge("order-1", 500)  # TimeoutError: Gateway.charge: no answer; it was done

A process talks to a stand-in, while the fake itself goes on with what it holds, as the outside does when a process dies.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from types import FunctionType
from typing import Any, Literal, Protocol, TypeVar, cast

from farandole.errors import ConfigurationError
from farandole.testing.crash import Died
from farandole.world import World

__all__ = ["Outside", "OutsideFaults", "unreliable"]

T = TypeVar("T")
Heard = Callable[[str, str], None]


@dataclass(frozen=True, slots=True)
class Outside:
    """What goes wrong with one call.

    Attributes
    ----------
    how:
        "before": it fails, and nothing was done. "after": it fails, and was done. "slow": it is done later.
    seconds:
        How long the caller waits for it, where it can wait: in `async def`.
    """

    how: Literal["before", "after", "slow"]
    seconds: float


class OutsideFaults(Protocol):
    """Decides what goes wrong."""

    def strike(self, world: World, call: str) -> Outside | None:
        """What goes wrong with this call, such as "Gateway.charge"; None: nothing."""


def unreliable(
    fake: T,
    world: World,
    faults: OutsideFaults,
    *,
    name: str,
    error: type[BaseException] = TimeoutError,
    heard: Heard | None = None,
) -> T:
    """Something that looks like the fake and passes everything on to it, but whose public methods may fail.

    Properties, generators and methods made by `@contextmanager` or `@asynccontextmanager` never fail, nor do calls that the fake
    makes of itself. Attributes that are functions, partials, mocks or other objects with a `__call__` in Python fail as methods do.

    Parameters
    ----------
    fake:
        Any object, or a function.
    world:
        Of the process that calls. Once it is `dead`, its calls raise `Died` and do not reach the fake.
    faults:
        Asked once for each call.
    name:
        What its calls are named by: "Gateway" gives "Gateway.charge".
    error:
        What a call raises that gets no answer; made from a text.
    heard:
        Told of each call and how it ended: "answered", "raised CardDeclined", "before", "after", "slow".

    Raises
    ------
    ConfigurationError
        The error cannot be made from a text alone.
    """
    try:
        error("a text")
    except TypeError:
        raise ConfigurationError(
            f"{name}: calls cannot fail with {error.__name__}, which takes more than a text. "
            f"Name another error=, such as a subclass of it whose __init__ takes a text"
        ) from None
    caller = _Caller(world, faults, error, heard or (lambda call, how: None))
    return cast(T, caller.watch(fake, name) if isinstance(fake, FunctionType) else _stand_in(fake, caller, name))


class _Caller:
    """The calls of one process to one fake."""

    def __init__(self, world: World, faults: OutsideFaults, error: type[BaseException], heard: Heard) -> None:
        self._world = world
        self._faults = faults
        self._error = error
        self._heard = heard

    def alive(self) -> None:
        if getattr(self._world, "dead", False):
            raise Died

    def watch(self, function: Callable[..., Any], call: str, itself: Callable[[Any], Any] = lambda value: value) -> Any:
        """The function with what may go wrong; `itself` puts the stand-in where the fake gives itself away."""
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def waiting(*args: Any, **kwargs: Any) -> Any:
                struck = self._strike(call)
                return itself(await self._answer(call, struck, lambda: function(*args, **kwargs)))

            return waiting

        passes = _is_generator(function)

        @functools.wraps(function)
        def plain(*args: Any, **kwargs: Any) -> Any:
            self.alive()
            struck = None if passes else self._strike(call)
            return _mapped(self._answer_now(call, struck, lambda: function(*args, **kwargs)), itself)

        return plain

    def guard(self, function: Callable[..., Any], itself: Callable[[Any], Any]) -> Any:
        """The function, which never fails, but does not act for the dead."""

        @functools.wraps(function)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            self.alive()
            return _mapped(function(*args, **kwargs), itself)

        return guarded

    def _strike(self, call: str) -> Outside | None:
        self.alive()
        return self._faults.strike(self._world, call)

    async def _answer(self, call: str, struck: Outside | None, ask: Callable[[], Awaitable[Any]]) -> Any:
        """Ask, with what goes wrong. The dead are told nothing, and ask nothing after a wait."""
        if struck is not None and struck.how != "after":
            await self._wait(struck)
        if struck is not None and struck.how == "before":
            self._fail(call, "before")
        lost: Exception | None = None
        try:
            answer = await ask()
        except BaseException as error:
            if struck is None or struck.how != "after" or not isinstance(error, Exception):
                self._tell(call, f"raised {type(error).__name__}")
                raise
            lost, answer = error, None
        if struck is not None and struck.how == "after":
            await self._wait(struck)
            self._fail(call, "after", lost)
        self._tell(call, "answered" if struck is None else "slow")
        return answer

    def _answer_now(self, call: str, struck: Outside | None, ask: Callable[[], Any]) -> Any:
        """As `_answer`, without waiting; where what comes back is to be awaited, the rest happens then."""
        if struck is not None and struck.how == "before":
            self._fail(call, "before")
        lost: Exception | None = None
        try:
            answer = ask()
        except BaseException as error:
            if struck is None or struck.how != "after" or not isinstance(error, Exception):
                self._tell(call, f"raised {type(error).__name__}")
                raise
            lost, answer = error, None
        if inspect.isawaitable(answer):
            return self._answer(call, struck, lambda: answer)
        if struck is not None and struck.how == "after":
            self._fail(call, "after", lost)
        self._tell(call, "answered")
        return answer

    async def _wait(self, struck: Outside) -> None:
        await self._world.sleep(struck.seconds)
        self.alive()

    def _fail(self, call: str, how: str, lost: Exception | None = None) -> None:
        self._tell(call, how)
        done = "it did nothing" if how == "before" else "it was done" if lost is None else f"it had failed: {lost!r}"
        raise self._error(f"{call}: no answer; {done}") from lost

    def _tell(self, call: str, how: str) -> None:
        if not getattr(self._world, "dead", False):
            self._heard(call, how)


def _mapped(result: Any, change: Callable[[Any], Any]) -> Any:
    """The result changed, now or when it is there."""

    async def later() -> Any:
        return change(await result)

    return later() if inspect.iscoroutine(result) else change(result)


def _is_call(value: Any) -> bool:
    """Whether calling is what it is for: no class, and no object of C that can be called besides, such as an sqlite3.Connection."""
    return callable(value) and not inspect.isclass(value) and inspect.isfunction(type(value).__call__)


def _is_generator(function: Callable[..., Any]) -> bool:
    """Whether it gives items, or was made a context manager from such a function."""
    inner = inspect.unwrap(function)
    return any(inspect.isgeneratorfunction(each) or inspect.isasyncgenfunction(each) for each in (function, inner))


# ---- stand-ins ---------------------------------------------------------------------------------------------------------------

_OBJECT = """
    class new init post_init init_subclass subclasshook class_getitem mro_entries prepare abstractmethods set_name get set delete del
    getattribute getattr setattr delattr call slots dict weakref match_args reduce reduce_ex getstate setstate sizeof copy deepcopy
"""
_NOT_PASSED_ON = frozenset(f"__{name}__" for name in _OBJECT.split())
_HARMLESS = frozenset({"__repr__", "__str__", "__format__", "__hash__", "__eq__", "__ne__", "__bool__", "__len__", "__dir__"})
_SHOWN = frozenset({"__repr__", "__str__", "__format__", "__dir__"})


def _stand_in(fake: Any, caller: _Caller, name: str) -> Any:
    """An object of a class of its own, which says that it is of the fake's."""
    kind = type(fake)

    def itself(value: Any) -> Any:
        return stand_in if value is fake else value

    def get(_: Any, attribute: str) -> Any:
        value = getattr(fake, attribute)
        call = f"{name}.{attribute}"
        if attribute.startswith("__") or isinstance(inspect.getattr_static(kind, attribute, None), property):
            return itself(value)
        if inspect.isroutine(value) or isinstance(value, functools.partial):
            return caller.guard(value, itself) if attribute.startswith("_") else caller.watch(value, call, itself)
        return _stand_in(value, caller, call) if _is_call(value) and not attribute.startswith("_") else itself(value)

    def put(_: Any, attribute: str, value: Any) -> None:
        caller.alive()
        setattr(fake, attribute, value)

    def drop(_: Any, attribute: str) -> None:
        caller.alive()
        delattr(fake, attribute)

    members: dict[str, Any] = {
        "__slots__": ("__weakref__",),
        "__module__": kind.__module__,
        "__doc__": kind.__doc__,
        "__class__": property(lambda _: fake.__class__),
        "__getattr__": get,
        "__setattr__": put,
        "__delattr__": drop,
    }
    for special in dir(kind):
        if special.startswith("__") and special.endswith("__") and special not in _NOT_PASSED_ON:
            method = getattr(kind, special, None)
            if special in _SHOWN or method is not getattr(object, special, None):
                members |= _passed_on(special, method, fake, caller, itself)
    if callable(fake):
        members["__call__"] = _called(kind.__call__, caller.watch(_bound(kind.__call__, fake), name, itself))
    stand_in = type(kind.__name__, (), members)()
    return stand_in


def _passed_on(special: str, method: Any, fake: Any, caller: _Caller, itself: Callable[[Any], Any]) -> dict[str, Any]:
    """What operators, `with`, `for` and the like call: Python looks for it in the class."""
    if not callable(method):  # such as the fields of a dataclass, or None in place of __hash__
        return {special: method} if isinstance(method, dict | tuple | None) and not isinstance(fake, type) else {}
    function = _bound(method, fake)
    asked = function if special in _HARMLESS else caller.guard(function, itself)

    @functools.wraps(method)
    def special_method(_: Any, *args: Any, **kwargs: Any) -> Any:
        return asked(*args, **kwargs)

    return {special: special_method}


def _bound(method: Any, fake: Any) -> Callable[..., Any]:
    bound: Callable[..., Any] = method.__get__(fake, type(fake)) if hasattr(type(method), "__get__") else method
    return bound


def _called(method: Any, watched: Callable[..., Any]) -> Any:
    if inspect.iscoroutinefunction(method):

        @functools.wraps(method)
        async def waiting(_: Any, *args: Any, **kwargs: Any) -> Any:
            return await watched(*args, **kwargs)

        return waiting

    @functools.wraps(method)
    def plain(_: Any, *args: Any, **kwargs: Any) -> Any:
        return watched(*args, **kwargs)

    return plain
