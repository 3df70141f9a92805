"""Fates as they travel: rows in a message of the type `farandole.fates.v1`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec

from farandole.errors import EnvelopeError
from farandole.model.envelope import Envelope, Message, encode, parse
from farandole.stores.record import Fate

if TYPE_CHECKING:
    from farandole.runtime.signals import Run
    from farandole.world import World

__all__ = ["TYPE", "fates_topic", "message_of", "read_fates", "row_of"]

TYPE = "farandole.fates.v1"
"""The CloudEvents type of a message of fates. Its data: `{"rows": [[…], …]}`, each row the fields of a `Fate` in their order."""

_Id = Annotated[str, msgspec.Meta(min_length=1, max_length=400)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]
_Moment = Annotated[float, msgspec.Meta(ge=0, le=1e11)]
_Text = Annotated[str, msgspec.Meta(max_length=4000)]


class _Row(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """A `Fate` as it travels; the bounds are those of what a database takes, as anybody may write on a topic."""

    id: _Id
    correlation_id: _Id
    reaction: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    state: Literal["done", "skipped", "parked", "dead", "exhausted", "duplicate", "refused"]
    attempt: _Count = 1
    at: _Moment = 0.0
    seconds: _Moment | None = None
    emitted: _Count | None = None
    due: _Moment | None = None
    reason: _Text = ""
    error: _Text = ""
    place: _Text = ""


class _Rows(msgspec.Struct):
    rows: list[msgspec.Raw]


_encode = msgspec.json.Encoder().encode
_rows = msgspec.json.Decoder(_Rows).decode
_row = msgspec.json.Decoder(_Row).decode


def fates_topic(choreography: str) -> str:
    """The topic of a choreography's fates."""
    return f"farandole.{choreography}.fates"


def row_of(run: Run) -> bytes:
    """What is told of a run: nothing of its event but ids, and a reason in which sensitive values are blotted out already."""
    values = _values(run)
    try:
        return _encode(values)
    except UnicodeEncodeError:  # a lone surrogate, in the id of a foreign event or in the text of an error
        return _encode([one.encode("utf-8", "replace").decode() if isinstance(one, str) else one for one in values])


def _values(run: Run) -> tuple[Any, ...]:
    envelope = run.envelope
    return (
        run.id,
        run.id if envelope is None else envelope.correlationid or envelope.id,
        run.reaction,
        run.state,
        run.attempt,
        run.at or 0.0,
        run.seconds,
        run.emitted,
        run.due,
        run.reason or "",
        run.error or "",
        run.place or "",
    )


def read_fates(body: bytes) -> tuple[list[Fate], int]:
    """The fates in a message, and how many more there are that are none.

    Raises
    ------
    EnvelopeError
        It is no message of fates.
    """
    envelope = parse(body)
    if envelope.type != TYPE:
        raise EnvelopeError(f"{envelope.type!a} among the fates: expected {TYPE}. Nothing else belongs on this topic")
    try:
        rows = _rows(envelope.data).rows
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise EnvelopeError(f"{TYPE}: {error}") from None
    found: list[Fate] = []
    for raw in rows:
        try:
            found.append(Fate(**msgspec.structs.asdict(_row(raw))))
        except (msgspec.MsgspecError, UnicodeError, RecursionError):
            continue
    return found, len(rows) - len(found)


def message_of(choreography: str, rows: Iterable[bytes], world: World) -> Message:
    """A message of such rows."""
    id = world.new_id()
    envelope = Envelope(
        specversion="1.0",
        id=id,
        source=f"/{choreography}",
        type=TYPE,
        time=world.now(),
        datacontenttype="application/json",
        partitionkey=id,
        data=msgspec.Raw(b'{"rows":[' + b",".join(rows) + b"]}"),
    )
    return Message(fates_topic(choreography), id, id, TYPE, encode(envelope))
