"""Reads orders and returns from a file of the "Online Retail" shape (Daqing Chen, UCI, 2015, doi 10.24432/C5BW33).

An invoice is an order; one that begins with C is a return. Nothing is dropped: what cannot be ordered or returned is for the
services to reject. Only what is no such file at all is an error.
"""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from farandole import ConfigurationError

from .events import Line

__all__ = ["COLUMNS", "Invoice", "read_invoices"]

COLUMNS = ("InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country")
_MOST = 10**9  # a quantity or price beyond it is a mistake, and would not fit into a database's integers


@dataclass(frozen=True, slots=True)
class Invoice:
    """An order or a return; `sequence` is its place in the file. In a return, what comes back has a negative quantity."""

    number: str
    customer_id: str | None
    country: str
    day: date
    sequence: int
    lines: tuple[Line, ...]

    @property
    def is_return(self) -> bool:
        """Whether goods come back."""
        return self.number.startswith("C")


def read_invoices(path: Path) -> list[Invoice]:
    """All invoices of a CSV file, plain or gzip, in file order.

    Raises
    ------
    ConfigurationError
        No such file, or a line that cannot be read: the message has file and line.
    """
    heads: dict[str, tuple[str | None, str, date]] = {}
    lines: dict[str, list[Line]] = {}
    for place, row in _rows(path):
        number = row["InvoiceNo"]
        if not number:
            raise ConfigurationError(f"{place}: InvoiceNo is empty; every line belongs to an invoice")
        line = Line(row["StockCode"], _quantity(place, row["Quantity"]), _price(place, row["UnitPrice"]))
        if number not in heads:
            heads[number] = (row["CustomerID"] or None, row["Country"], _day(place, row["InvoiceDate"]))
            lines[number] = []
        lines[number].append(line)
    if not heads:
        raise ConfigurationError(f"{path}: there is no invoice in it. Give a file with a line per ordered article")
    return [
        Invoice(number, *head, sequence=sequence, lines=tuple(lines[number]))
        for sequence, (number, head) in enumerate(heads.items(), start=1)
    ]


def _rows(path: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Each row with its place, `file:line`."""
    try:
        with path.open("rb") as raw:
            zipped = raw.read(2) == b"\x1f\x8b"
            raw.seek(0)
            with io.TextIOWrapper(gzip.open(raw) if zipped else raw, encoding="utf-8-sig", newline="") as text:
                yield from _parse(path, text)
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigurationError(f"{path}: cannot be read ({reason}). Give a CSV file in UTF-8, plain or .gz") from None


def _parse(path: Path, text: io.TextIOWrapper) -> Iterator[tuple[str, dict[str, str]]]:
    reader = csv.DictReader(text, strict=True)
    try:
        missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ConfigurationError(f"{path}:1: no column {', '.join(missing)}. Needed are {', '.join(COLUMNS)}")
        for row in reader:
            place = f"{path}:{reader.line_num}"
            if any(row[column] is None for column in COLUMNS):
                raise ConfigurationError(f"{place}: expected {len(reader.fieldnames or ())} fields, got fewer")
            yield place, {column: row[column].strip() for column in COLUMNS}
    except csv.Error as error:
        raise ConfigurationError(f"{path}:{reader.line_num}: no CSV: {error}") from None


def _quantity(place: str, text: str) -> int:
    try:
        quantity = int(text)
    except ValueError:
        quantity = _MOST
    if abs(quantity) >= _MOST:
        raise ConfigurationError(f"{place}: expected Quantity to be a whole number of pieces, got: {text[:40]!r}")
    return quantity


def _price(place: str, text: str) -> Decimal:
    try:
        price = Decimal(text)
    except InvalidOperation:
        price = Decimal("NaN")
    if not price.is_finite() or abs(price) >= _MOST or int(price.as_tuple().exponent) < -9:
        raise ConfigurationError(f"{place}: expected UnitPrice to be pounds such as 2.55, got: {text[:40]!r}")
    return price


def _day(place: str, text: str) -> date:
    for read in (datetime.fromisoformat, lambda text: datetime.strptime(text + "Z", "%m/%d/%Y %H:%M%z")):
        try:
            return read(text).date()
        except ValueError:
            continue
    raise ConfigurationError(f"{place}: expected InvoiceDate to be such as 2010-12-01T08:26:00, got: {text[:40]!r}")
