"""`farandole demo`: sends real or made-up orders through the shop, and shows what came of it."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from hashlib import blake2b
from importlib import import_module
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from farandole.errors import ConfigurationError
from farandole.world import World

__all__ = ["demo"]


def demo(  # noqa: PLR0913 - each is a flag
    *,
    orders: Path | None = None,
    invoices: int = 300,
    stock: Literal["plenty", "scarce"] = "scarce",
    declines: float = 0.05,
    timeouts: float = 0.1,
    duplicates: float = 0.1,
    frauds: float = 0.05,
    seed: int = 0,
    data: Path | None = None,
    broker: str | None = None,
    database: str | None = None,
    json: bool = False,
) -> int:
    """Run the shop example: nine services, a saga with compensation, returns, and a gateway that is not always there.

    Exit code 0 if every invariant holds and nothing is left open, 1 otherwise.

    Parameters
    ----------
    orders
        A CSV file of the "Online Retail" shape, plain or .gz; without it, orders are made up.
    invoices
        How many to make up.
    stock
        plenty: enough for every order; scarce: some goods run out.
    declines
        The share of orders whose card is declined, 0 to 1.
    timeouts
        The share of gateway calls that get no answer, 0 to 1.
    frauds
        The share of big orders that are suspected, 0 to 1.
    duplicates
        The share of events that are delivered again, 0 to 1.
    seed
        The same seed makes the same orders and the same weather.
    data
        Keep databases and log in this folder; a run in the same folder goes on where the last one stopped.
    broker
        The broker's URL; by default a file in the data folder.
    database
        The URL of a service's database, with {service} for its name; by default a file in the data folder.
    json
        Print one JSON object.
    """
    _expect_share("--duplicates", duplicates)
    shop = _shop_package()
    weather = shop("gateway").Weather(declines, timeouts, seed, frauds)
    read = shop("reader").read_invoices(orders) if orders else shop("generator").generate(_positive(invoices), seed)
    shelves = shop("stock").initial_stock(read, stock, seed)
    # A temporary folder does not outlive a power cut anyhow: no need to wait for the disk.
    options = "" if data else "?synchronous=normal"
    with _folder(data) as folder, _environment(weather, folder / "gateway.db"):
        _expect_same_orders(folder, repr((read, shelves)))
        plan = shop("performance").Plan(
            invoices=read,
            stock=shelves,
            broker=broker or f"sqlite:///{quote(str(folder))}/broker.db{options}",
            database=database or f"sqlite:///{quote(str(folder))}/{{service}}.db{options}",
            ledger=folder / "gateway.db",
            duplicates=duplicates,
            seed=seed,
        )
        with _progress(len(read), quiet=json) as step:
            result = asyncio.run(shop("performance").perform(plan, step, World()))
    _print_json(result) if json else _print_summary(result)
    return 0 if result.fine else 1


def _shop_package() -> Callable[[str], Any]:
    """A way to the modules of the shop: as installed, or in a checkout."""
    try:
        import_module("farandole.examples.shop")
        name = "farandole.examples.shop"
    except ModuleNotFoundError as error:
        if error.name is None or not "farandole.examples.shop".startswith(error.name):
            raise
        root = Path(__file__).parents[3]
        if not (root / "examples" / "shop" / "__init__.py").is_file():
            raise ConfigurationError(
                "the shop example is not installed. Install farandole again, from its wheel or checkout"
            ) from None
        if str(root) not in sys.path:
            sys.path.append(str(root))
        name = "examples.shop"
    return lambda module: import_module(f"{name}.{module}" if module else name)


@contextmanager
def _folder(data: Path | None) -> Iterator[Path]:
    if data is None:
        with tempfile.TemporaryDirectory(prefix="farandole-demo-") as folder:
            yield Path(folder)
        return
    try:
        data.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"--data {data}: cannot be made ({error.strerror}). Give a folder that can be written") from None
    yield data


def _expect_same_orders(folder: Path, orders: str) -> None:
    """A folder that holds the run of other orders would make nonsense of every figure."""
    mark, digest = folder / "orders.blake2b", blake2b(orders.encode(), digest_size=16).hexdigest()
    try:
        if not mark.exists():
            mark.write_text(digest)
        elif mark.read_text() != digest:
            raise ConfigurationError(
                f"--data {folder}: it holds a run with other orders or stock. Give an empty folder, or the same flags"
            )
    except OSError as error:
        raise ConfigurationError(
            f"--data {folder}: cannot be used ({error.strerror}). Give a folder that can be written"
        ) from None


@contextmanager
def _environment(weather: Any, ledger: Path) -> Iterator[None]:
    """The services learn from the environment where the gateway is and what the weather is like; afterwards all is as before."""
    told = {
        "SHOP_LEDGER": str(ledger),
        "SHOP_DECLINES": str(weather.declines),
        "SHOP_TIMEOUTS": str(weather.timeouts),
        "SHOP_SEED": str(weather.seed),
        "SHOP_FRAUDS": str(weather.frauds),
    }
    before = {name: os.environ.get(name) for name in told}
    os.environ.update(told)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def _progress(total: int, *, quiet: bool) -> Iterator[Callable[[Any], None]]:
    """A bar on stderr, so that the result can be piped."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("invoices"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    bar = None if quiet else Progress(*columns, console=Console(stderr=True), transient=True)
    with bar or nullcontext():
        task = bar.add_task("invoices", total=total) if bar else None
        yield lambda _: bar.advance(task) if bar and task is not None else None


def _print_json(result: Any) -> None:
    from farandole.cli.output import print_json

    print_json(
        {
            **asdict(result.figures),
            "duplicates_suppressed": result.duplicates,
            "retries": result.retries,
            "dead_letters": result.dead_letters,
            "seconds": round(result.seconds, 3),
            "workflows_per_second": result.workflows_per_second,
            "invariants": {name: not found for name, found in result.violations.items()},
            "violations": [text for found in result.violations.values() for text in found],
        }
    )


def _print_summary(result: Any) -> None:
    from rich.table import Table

    from farandole.cli.output import console
    from farandole.observe.chain.text import tree

    out = console()
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    for number, text in _lines(result):
        table.add_row(number, text)
    out.print(table)
    if result.failure is not None:
        out.print("\nHow one order failed, and was undone:")
        width = out.width if out.is_terminal else None
        print(tree(result.failure, width=width, colour=out.is_terminal, status=False))
    out.print()
    for name, found in result.violations.items():
        out.print(f"{'✗' if found else '✓'} {name.replace('_', ' ')}", style="bold red" if found else "green")
        for text in found[:5]:
            out.print(f"    {text}")


def _lines(result: Any) -> Iterator[tuple[str, str]]:
    figures = result.figures
    yield f"{figures.placed:,}", f"orders placed ({figures.rejected:,} more rejected at the door)"
    yield f"{figures.confirmed:,}", "confirmed"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in figures.cancelled_by_reason.items())
    yield f"{figures.cancelled:,}", f"cancelled{f': {reasons}' if reasons else ''}"
    returns = f"returns accepted, {figures.returns_partial:,} in part, {figures.returns_rejected:,} rejected"
    yield f"{figures.returns_accepted:,}", returns
    yield _pounds(figures.charged_pence), f"charged in {figures.charges:,} charges"
    yield (
        _pounds(figures.refunded_pence),
        f"given back: {figures.refunds:,} refunds, and {_pounds(figures.voided_pence)} of doubtful charges",
    )
    yield f"{figures.releases:,}", "times goods went back to the shelf"
    yield f"{result.retries:,}", "retries"
    yield f"{result.duplicates:,}", "duplicates suppressed"
    yield f"{result.dead_letters:,}", "dead letters"
    yield f"{figures.open:,}", "left open"
    yield f"{result.workflows_per_second:,}", f"workflows/s ({result.seconds:.1f} s)"


def _pounds(pence: int) -> str:
    return f"{'-' * (pence < 0)}£{abs(pence) // 100:,}.{abs(pence) % 100:02}"


def _expect_share(flag: str, share: float) -> None:
    if not 0 <= share <= 1:
        raise ConfigurationError(f"expected {flag} to be a share from 0 to 1, such as 0.05, got: {share}")


def _positive(count: int) -> int:
    if count < 1:
        raise ConfigurationError(f"expected --invoices to be a whole number from 1 up, got: {count}")
    return count
