"""Reading handlers: every way to annotate one, and every way that is refused with a remedy."""

from __future__ import annotations

import typing
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, List, Optional, Tuple, Union  # noqa: UP035 - the old spellings work too

import pytest
from typing_extensions import TypeAliasType

from farandole import Command, DeclarationError, Event, Service
from farandole.model.signature import Parameter, Signature, caller_names, place_of, read_signature

if TYPE_CHECKING:
    from somewhere import OnlyForCheckers  # type: ignore[import-not-found]


class A(Event):
    pass


class B(Event):
    pass


class C(Event):
    pass


class Do(Command):
    pass


class Gateway:
    pass


Both = A | B
Named = TypeAliasType("Named", A | B)  # what `type Named = A | B` makes


def read(function: Callable[..., Any]) -> Signature:
    signature = read_signature(function, caller_names(2), who="shop.handler")
    assert signature is not None
    return signature


def refuse(function: Callable[..., Any]) -> str:
    with pytest.raises(DeclarationError) as caught:
        read_signature(function, caller_names(2), who="shop.handler")
    message = str(caught.value)
    assert message.startswith("shop.handler")
    return message


async def one(event: A) -> B: ...
async def nothing(event: A) -> None: ...
async def perhaps(event: A) -> B | None: ...
async def optional(event: A) -> Optional[B]: ...  # noqa: UP045
async def either(event: A) -> B | C: ...
async def old_union(event: A) -> Union[B, C, None]: ...  # noqa: UP007
async def alias(event: A) -> Both: ...
async def several(event: A) -> list[B]: ...
async def mixed(event: A) -> list[B | C]: ...
async def old_list(event: A) -> List[B]: ...  # noqa: UP006
async def pair(event: A) -> tuple[B, C]: ...
async def any_length(event: A) -> tuple[B, ...]: ...
async def old_tuple(event: A) -> Tuple[B, C]: ...  # noqa: UP006
async def sequence(event: A) -> Sequence[B]: ...
async def list_or_none(event: A) -> list[B] | C | None: ...
async def nested(event: A) -> tuple[B, list[C | None]]: ...
async def repeated(event: A) -> tuple[B, B]: ...
async def noted(event: A) -> Annotated[B | C, "note"]: ...


@pytest.mark.parametrize(
    ("function", "emits"),
    [
        (one, (B,)),
        (nothing, ()),
        (perhaps, (B,)),
        (optional, (B,)),
        (either, (B, C)),
        (old_union, (B, C)),
        (alias, (A, B)),
        (several, (B,)),
        (mixed, (B, C)),
        (old_list, (B,)),
        (pair, (B, C)),
        (any_length, (B,)),
        (old_tuple, (B, C)),
        (sequence, (B,)),
        (list_or_none, (B, C)),
        (nested, (B, C)),
        (repeated, (B,)),
        (noted, (B, C)),
    ],
)
def test_the_return_annotation_says_what_it_emits(function: Callable[..., Any], emits: tuple[type, ...]) -> None:
    assert read(function).emits == emits


async def takes_union(event: A | B) -> None: ...
async def takes_old_union(event: Union[A, B]) -> None: ...  # noqa: UP007
async def takes_alias(event: Both) -> None: ...
async def takes_named(event: Named) -> Named: ...
async def takes_noted(event: Annotated[A, "note"]) -> None: ...
async def takes_any(event: Event) -> None: ...
async def takes_command(command: Do, /) -> None: ...


@pytest.mark.parametrize(
    ("function", "events"),
    [
        (one, (A,)),
        (takes_union, (A, B)),
        (takes_old_union, (A, B)),
        (takes_alias, (A, B)),
        (takes_noted, (A,)),
        (takes_named, (A, B)),
        (takes_any, (Event,)),
        (takes_command, (Do,)),
    ],
)
def test_the_first_parameter_says_which_events_it_takes(function: Callable[..., Any], events: tuple[type, ...]) -> None:
    assert read(function).events == events


def test_the_other_parameters_are_told_by_type_and_kind() -> None:
    async def handler(event: A, gateway: Gateway, note: Annotated[str, "note"] = "", *, limit: int | None = None) -> None: ...

    assert read(handler).parameters == (
        Parameter("gateway", Gateway, keyword=False, optional=False),
        Parameter("note", Annotated[str, "note"], keyword=False, optional=True),
        Parameter("limit", int | None, keyword=True, optional=True),
    )


def test_a_plain_function_is_told_from_a_coroutine_function() -> None:
    def handler(event: A) -> None: ...

    assert not read(handler).is_async
    assert read(one).is_async


def test_a_bound_method_is_a_handler_too() -> None:
    class Handlers:
        async def handle(self, event: A) -> B: ...

    signature = read(Handlers().handle)
    assert (signature.events, signature.emits) == ((A,), (B,))


def test_classes_local_to_the_declaring_function_are_found() -> None:
    class Local(Event):
        pass

    service = Service("local")

    def declare_in_a_function_below() -> None:
        class Deeper(Event):
            pass

        @service.on(Local)
        async def handler(event: Local) -> Deeper: ...

        assert handler.signature.events == (Local,)
        assert handler.emits == (Deeper,)

    declare_in_a_function_below()


def test_a_class_defined_after_the_handler_is_found_when_it_is_needed() -> None:
    service = Service("late")

    @service.on(A)
    async def handler(event: A) -> DefinedLater: ...  # noqa: F821 - defined below

    with pytest.raises(
        DeclarationError, match=r"late\.handler \(.*test_signature\.py:\d+\): an annotation names something that is not"
    ):
        _ = handler.signature
    globals()["DefinedLater"] = B
    try:
        assert handler.emits == (B,)
    finally:
        del globals()["DefinedLater"]


def test_a_name_for_type_checkers_only_gives_the_place_and_the_remedy() -> None:
    service = Service("checkers")

    @service.on(A)
    async def handler(event: A, tool: OnlyForCheckers) -> None: ...

    with pytest.raises(DeclarationError, match=r"checkers\.handler .*Import it there outside `if TYPE_CHECKING:`"):
        _ = handler.signature


def test_a_forward_reference_that_turns_out_wrong_is_refused_each_time() -> None:
    service = Service("wrong")

    @service.on(A)
    async def handler(event: TurnsOutWrong) -> None: ...  # noqa: F821 - defined below

    globals()["TurnsOutWrong"] = B
    try:
        for _ in range(2):
            with pytest.raises(
                DeclarationError, match=r"wrong\.handler .* reacts to A, which its first parameter does not accept"
            ):
                _ = handler.signature
    finally:
        del globals()["TurnsOutWrong"]


def test_string_annotations_work_without_the_future_import() -> None:
    namespace: dict[str, Any] = {"A": A, "B": B}
    exec("async def handler(event: 'A') -> 'B | None': ...", namespace)
    assert read(namespace["handler"]).emits == (B,)


# --- what is refused


async def no_return(event: A): ...  # type: ignore[no-untyped-def]
async def no_parameter() -> None: ...
async def no_annotation(event) -> None: ...  # type: ignore[no-untyped-def]
async def no_other_annotation(event: A, db) -> None: ...  # type: ignore[no-untyped-def]
async def not_an_event(event: int) -> None: ...
async def half_an_event(event: A | None) -> None: ...
async def event_by_keyword(*, event: A) -> None: ...
async def star(event: A, *rest: Gateway) -> None: ...
async def double_star(event: A, **rest: Gateway) -> None: ...
async def first_star(*events: A) -> None: ...
async def returns_int(event: A) -> int: ...
async def returns_any(event: A) -> Any: ...
async def returns_event(event: A) -> Event: ...
async def returns_events(event: A) -> list[Event]: ...
async def returns_bare_list(event: A) -> list: ...  # type: ignore[type-arg]
async def returns_dict(event: A) -> dict[str, B]: ...
async def returns_set(event: A) -> set[B]: ...
async def returns_ints(event: A) -> list[int]: ...
async def returns_instance_of_nothing(event: A) -> Gateway: ...
async def returns_awaitable(event: A) -> typing.Awaitable[B]: ...
async def async_generator(event: A) -> AsyncIterator[B]:
    yield B()


def generator(event: A) -> Iterator[B]:
    yield B()


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_return, "has no return annotation, so nobody can tell what it emits. Write `-> None` if nothing"),
        (no_parameter, "takes no parameter. The event is the first one"),
        (no_annotation, "parameter 'event' has no annotation, so it cannot be filled by type"),
        (no_other_annotation, "parameter 'db' has no annotation, so it cannot be filled by type"),
        (
            not_an_event,
            "the first parameter 'event' must be the event (a subclass of Event or Command, or a union of such), got: int",
        ),
        (half_an_event, "the first parameter 'event' must be the event"),
        (event_by_keyword, "the event 'event' is passed by position. Put it before the `*`"),
        (star, ": *rest cannot be filled by type. Name each parameter"),
        (double_star, ": **rest cannot be filled by type. Name each parameter"),
        (first_star, ": *events cannot be filled by type. Name each parameter"),
        (returns_int, "is declared to return int. A reaction returns events: one, a union, None, a tuple or a list of them"),
        (returns_any, "is declared to return Any. A reaction"),
        (returns_event, "returns Event, which could be any. Name the classes that it emits"),
        (returns_events, "returns Event, which could be any. Name the classes that it emits"),
        (returns_bare_list, "returns list. Say of what: list[PaymentCompleted]"),
        (returns_dict, "is declared to return dict[str,"),
        (returns_set, "is declared to return set["),
        (returns_ints, "is declared to return int"),
        (returns_instance_of_nothing, "is declared to return Gateway"),
        (returns_awaitable, "is declared to return typing.Awaitable["),
        (async_generator, "is a generator. Return the events instead: one, a tuple or a list"),
        (generator, "is a generator. Return the events instead: one, a tuple or a list"),
    ],
)
def test_what_does_not_fit_is_refused_with_place_and_remedy(function: Callable[..., Any], words: str) -> None:
    message = refuse(function)
    assert words in message
    assert place_of(function) in message


@pytest.mark.parametrize("annotation", ["A |", "typing.Missing", "A | 'B'"])
def test_an_annotation_that_cannot_be_evaluated_is_refused(annotation: str) -> None:
    namespace: dict[str, Any] = {"A": int, "typing": typing}
    exec(f"async def handler(event: {annotation!r}) -> None: ...", namespace)
    assert "an annotation cannot be read: " in refuse(namespace["handler"])


@pytest.mark.parametrize("thing", [5, Gateway(), A, "handler"])
def test_what_is_no_function_is_refused(thing: Any) -> None:
    assert "a reaction is a function, got: " in refuse(thing)


def test_a_place_is_file_and_line_or_at_least_what_it_is() -> None:
    assert place_of(one).startswith(__file__ + ":")
    assert place_of(len) == "<built-in function len>"
