"""The rule of the shop as a plain script, without Farandole and without the shop: what a file must come to in fair weather.

Plenty of stock, no declines, no timeouts: every acceptable order is confirmed, so the file alone determines every figure.

    python tests/examples/oracle.py FILE
"""

import csv
import gzip
import json
import sys
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path


def pence(quantity, price):
    return int((Decimal(quantity) * Decimal(price) * 100).quantize(Decimal(1), rounding=ROUND_HALF_EVEN))


def read(path):
    opener = gzip.open if str(path).endswith(".gz") else open
    invoices = {}
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            invoices.setdefault(row["InvoiceNo"], []).append(row)
    return invoices


def decide(invoices):
    figures = dict.fromkeys(
        (
            "placed",
            "rejected",
            "confirmed",
            "cancelled",
            "returns_accepted",
            "returns_partial",
            "returns_rejected",
            "charges",
            "charged_pence",
            "refunded_pence",
            "refunds",
            "releases",
        ),
        0,
    )
    history = {}  # customer -> confirmed orders, oldest first; an order is a list of [code, price, left]
    for number, rows in invoices.items():
        customer = rows[0]["CustomerID"]
        if number.startswith("C"):
            taken, refund = take_back(rows, history.get(customer, []) if customer else [])
            kind = "rejected" if not taken else "accepted" if taken == len(rows) else "partial"
            figures[f"returns_{kind}"] += 1
            figures["refunded_pence"] += refund
            figures["refunds"] += taken > 0
            figures["releases"] += taken > 0
            continue
        total = sum(pence(row["Quantity"], row["UnitPrice"]) for row in rows)
        if total <= 0 or any(int(row["Quantity"]) <= 0 for row in rows):
            figures["rejected"] += 1
            continue
        figures["placed"] += 1
        figures["confirmed"] += 1
        figures["charges"] += 1
        figures["charged_pence"] += total
        history.setdefault(customer, []).append([[row["StockCode"], row["UnitPrice"], int(row["Quantity"])] for row in rows])
    return figures


def take_back(rows, orders):
    taken = refund = 0
    for row in rows:
        wanted = -int(row["Quantity"])
        for order in reversed(orders):
            lines = [line for line in order if line[0] == row["StockCode"]]
            if wanted > 0 and sum(line[2] for line in lines) >= wanted:
                taken += 1
                for line in lines:
                    part = min(wanted, line[2])
                    line[2] -= part
                    wanted -= part
                    refund += pence(part, line[1])
                break
    return taken, refund


if __name__ == "__main__":
    json.dump(decide(read(Path(sys.argv[1]))), sys.stdout, indent=2)
