"""What the late transactions of all stores share: the phases, and who may use the database in which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Generic, Literal, Protocol, TypeVar

from farandole.errors import DeclarationError, StoreError
from farandole.stores.guard import caller

if TYPE_CHECKING:
    from farandole.stores.alchemy import Handles

__all__ = ["Late"]


class _Store(Protocol):
    def handles(self, route: Any) -> Handles: ...


S = TypeVar("S", bound=_Store)


class Late(Generic[S]):
    """The transaction of one outside reaction; see `stores.base.LateTransaction`.

    It is its own route: statements go elsewhere, each for itself, until the first one that writes. That one begins the transaction, and
    from then on everything goes there.
    """

    inline = False
    driver: ClassVar[str]
    """The connection that reactions may not take, by its name."""

    def __init__(self, store: S) -> None:
        self._store = store
        self._handles: Handles | None = None
        self._phase: Literal["reading", "writing", "over"] = "reading"

    @property
    def writing(self) -> bool:
        return self._phase == "writing"

    def resource(self, kind: str) -> Any:
        if kind == "driver":
            raise DeclarationError(
                f"an outside reaction cannot take {self.driver}: its transaction opens at the first write, which a raw connection "
                "cannot do. Take AsyncConnection or AsyncSession"
            )
        if self._handles is None:
            self._handles = self._store.handles(self)
        return self._handles.resource(kind)

    async def _write(self) -> None:
        """Begin the transaction."""
        raise NotImplementedError

    async def _undo(self) -> None:
        """Undo what was begun, if anything was: it is over."""
        raise NotImplementedError

    def _in_use(self) -> None:
        if self._phase == "over":
            raise StoreError(f"{caller()} uses the database after its reaction has ended. Use it inside the reaction only")

    async def _finishing(self) -> None:
        """What it wrote, if anything, and what is to be settled with it commit together."""
        if self._phase == "over":
            raise StoreError("this late transaction is over. Begin another")
        if self._phase == "reading":
            await self._write()

    async def close(self) -> None:
        await self._undo()
        if self._handles is not None:
            self._handles.end()
            self._handles = None
