"""The shop of docs/trace.md, run on a virtual clock into a record that `farandole trace` reads."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.test_docs import ROOT, blocks

import farandole
from farandole.observe.observer import Listener
from farandole.runtime.signals import Run
from farandole.stores.record import Fate
from farandole.testing.virtual import VirtualWorld

PAGE = ROOT / "docs" / "trace.md"


class Teller(Listener):
    """Keeps what became of each event."""

    listens = True

    def __init__(self) -> None:
        self.fates: list[Fate] = []

    def ran(self, runs: Sequence[Run]) -> None:
        self.fates += [
            Fate(
                id=run.id, correlation_id=(run.envelope and run.envelope.correlationid) or run.id, reaction=run.reaction, state=run.state,
                attempt=run.attempt, at=run.at or 0.0, seconds=run.seconds, emitted=run.emitted, due=run.due, reason=run.reason or "",
                error=run.error or "", place=(run.place or "").rpartition("/")[2],
            )
            for run in runs
        ]  # fmt: skip


async def order(folder: Path, order_id: str = "4711") -> str:
    """Place an order of the page, let all come that comes, and give its correlation id; `folder` must be importable."""
    (source,) = [block.text for block in blocks(PAGE) if block.mark == "file: parcels.py"]
    (folder / "parcels.py").write_text(source, encoding="utf-8")
    importlib.invalidate_caches()
    module: Any = importlib.import_module("parcels")
    teller, world = Teller(), VirtualWorld()
    places: dict[str, Any] = {"broker": "memory://", "database": "sqlite://", "record": f"sqlite:///{folder}/record.db"}
    async with farandole.open(module.parcels, **places, world=world, observe=[teller]) as app:
        receipt = await app.send(module.PlaceOrder(order_id=order_id), idempotency_key=f"order {order_id}")
        await app.idle()
        await app.record.tell(teller.fates)
    return receipt.correlation_id
