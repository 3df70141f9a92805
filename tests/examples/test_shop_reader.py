"""The reader of the retail file: what it takes, and the one clear error for what it does not."""

from __future__ import annotations

import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from examples.shop.events import Line
from examples.shop.reader import Invoice, read_invoices
from farandole import ConfigurationError

HEAD = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROW = '536365,85123A,"HOLDER, WHITE",6,2010-12-01T08:26:00,2.55,17850,United Kingdom\n'


def write(folder: Path, text: str | bytes, name: str = "orders.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        read_invoices(path)
    return str(caught.value)


def test_a_plain_file_is_read_into_invoices_in_file_order(tmp_path):
    back = "C536379,D,Discount,-1,2010-12-01T09:41:00,27.5,,France\n"
    more = "536365,71053,LANTERN,1,2010-12-01T08:26:00,3.39,17850,United Kingdom\n"
    assert read_invoices(write(tmp_path, HEAD + ROW + back + more)) == [
        Invoice(
            "536365",
            "17850",
            "United Kingdom",
            date(2010, 12, 1),
            1,
            (Line("85123A", 6, Decimal("2.55")), Line("71053", 1, Decimal("3.39"))),
        ),
        Invoice("C536379", None, "France", date(2010, 12, 1), 2, (Line("D", -1, Decimal("27.5")),)),
    ]


def test_a_zipped_file_is_the_same_whatever_its_name(tmp_path):
    plain = write(tmp_path, HEAD + ROW)
    assert read_invoices(write(tmp_path, gzip.compress((HEAD + ROW).encode()), "orders.data")) == read_invoices(plain)


def test_a_byte_order_mark_and_other_column_orders_do_no_harm(tmp_path):
    text = "\ufeffCountry,CustomerID,UnitPrice,InvoiceDate,Quantity,StockCode,InvoiceNo\nEIRE,1,0.001,12/1/2010 8:26,5,A,7\n"
    (invoice,) = read_invoices(write(tmp_path, text))
    assert (invoice.number, invoice.country, invoice.day) == ("7", "EIRE", date(2010, 12, 1))
    assert invoice.lines == (Line("A", 5, Decimal("0.001")),)


def test_the_real_file_is_read_whole(shared):
    invoices = read_invoices(shared / "data" / "online_retail_2010_12.csv.gz")
    assert len(invoices) == 1892
    assert sum(len(invoice.lines) for invoice in invoices) == 39522
    assert sum(invoice.is_return for invoice in invoices) == 299
    assert max(len(invoice.lines) for invoice in invoices) == 675


@pytest.mark.parametrize(
    ("column", "wrong"),
    [
        (3, "six"),
        (3, "1.5"),
        (3, ""),
        (3, "9999999999"),
        (5, "2,55 GBP"),
        (5, "NaN"),
        (5, "Infinity"),
        (5, "1e12"),
        (5, "1e-30"),
        (4, "yesterday"),
        (0, ""),
    ],
)
def test_a_value_that_cannot_be_is_named_with_file_and_line(tmp_path, column, wrong):
    cells = ["536366", "71053", "LANTERN", "6", "2010-12-01T08:26:00", "3.39", "17850", "United Kingdom"]
    cells[column] = f'"{wrong}"'
    path = write(tmp_path, HEAD + ROW + ",".join(cells) + "\n")
    assert refusal(path).startswith(f"{path}:3: ")


def test_a_row_that_ends_early_is_named_with_its_line(tmp_path):
    path = write(tmp_path, HEAD + ROW + "536366,71053\n")
    assert refusal(path) == f"{path}:3: expected 8 fields, got fewer"


def test_missing_columns_are_named(tmp_path):
    path = write(tmp_path, "InvoiceNo,Quantity,Country,InvoiceDate,StockCode\n1,2,3,4,5\n")
    assert refusal(path).startswith(f"{path}:1: no column UnitPrice, CustomerID. Needed are InvoiceNo, ")


@pytest.mark.parametrize("text", ["", HEAD])
def test_a_file_without_invoices_is_refused(tmp_path, text):
    path = write(tmp_path, text)
    assert refusal(path).startswith(str(path))


def test_a_folder_a_missing_file_and_other_bytes_are_refused_in_one_line(tmp_path):
    cut = gzip.compress((HEAD + ROW * 50).encode())[:-20]
    broken = bytearray(gzip.compress((HEAD + ROW * 50).encode()))
    broken[20] ^= 0xFF
    for path in (
        tmp_path,
        tmp_path / "none.csv",
        write(tmp_path, cut, "cut.gz"),
        write(tmp_path, bytes(broken), "broken.gz"),
        write(tmp_path, HEAD.encode() + b"\xff\xfe\n", "latin.csv"),
    ):
        assert refusal(path).startswith(f"{path}: cannot be read (")
        assert "\n" not in refusal(path)


def test_an_open_quote_is_no_csv(tmp_path):
    path = write(tmp_path, HEAD + '536365,"85123A\n')
    assert ": no CSV: " in refusal(path)
