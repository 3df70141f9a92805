"""How long events of single types are kept in a record, which may be shorter than their instance."""

from __future__ import annotations

from collections.abc import Mapping

from farandole.config import nearest, parse_duration
from farandole.errors import ConfigurationError
from farandole.model.wire import Wire

__all__ = ["retention_of"]


def retention_of(asked: Mapping[str, float | str], wire: Wire, keep: float | None) -> dict[str, float]:
    """For how many seconds events are kept, by wire type.

    Parameters
    ----------
    asked:
        By name, such as `shop.StockChecked` for all versions, or `shop.StockChecked.v1`: a duration, or seconds.
    wire:
        Which events there are.
    keep:
        How long whole instances are kept, in seconds; None: for ever.

    Raises
    ------
    ConfigurationError
        There is no such event, it begins or ends a workflow, or it would be kept for longer than its instance.
    """
    types = {binding.type for cls, binding in wire.by_class.items() if not cls.__farandole__.command}  # type: ignore[attr-defined]
    needed = {
        wire.by_class[cls].type: workflow.name
        for workflow in wire.choreography.workflows
        for cls in (*workflow.starts, *workflow.outcomes)  # type: ignore[misc]
    }
    found: dict[str, float] = {}
    for name, value in asked.items():
        meant = sorted(type for type in types if name in (type, type.rpartition(".v")[0]))
        if not meant:
            known = sorted({type.rpartition(".v")[0] for type in types})
            raise ConfigurationError(f"retention: there is no event {name!r}. {nearest(name, known)}")
        try:
            seconds = parse_duration(value)
        except ValueError as error:
            raise ConfigurationError(f"retention of {name}: {error}") from None
        if keep is not None and seconds > keep:
            raise ConfigurationError(
                f"retention of {name}: expected at most the {keep:g} s for which the record keeps its instance, got: {seconds:g} s. "
                f"Lengthen ?retention= in the record's URL, or shorten this"
            )
        for type in meant:
            if type in needed:
                raise ConfigurationError(
                    f"retention of {name}: it begins or ends the workflow {needed[type]}, and without it nobody could tell where an "
                    f"instance is. Leave it out; ?retention= in the record's URL says how long whole instances are kept"
                )
            found[type] = seconds
    return found
