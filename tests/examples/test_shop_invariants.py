"""The invariants find what they are for: a sound shop passes, and each kind of damage is named."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict

import pytest
from sqlalchemy import create_engine

from examples.shop.databases import Databases
from examples.shop.figures import read_figures
from examples.shop.gateway import Gateway, Weather
from examples.shop.invariants import check
from examples.shop.services import analytics, email, fraud, inventory, loyalty, orders, payments, returns, warehouse
from farandole import ConfigurationError

INVOICES = ["o1", "o2", "o3", "C1", "C2"]
STOCK = {"A": 10}

# o1 is confirmed and partly returned by C1; o2 was cancelled after a doubtful charge; o3 was rejected; C2 too.
SOUND = {
    "orders": """
        INSERT INTO orders VALUES ('o1', 'c1', 'France', '2010-12-01', 900, 'confirmed', NULL);
        INSERT INTO orders VALUES ('o2', 'c1', 'France', '2010-12-01', 300, 'cancelled', 'the gateway did not answer');
        INSERT INTO orders VALUES ('o3', NULL, 'France', '2010-12-01', 0, 'rejected', 'nothing to pay')""",
    "inventory": """
        INSERT INTO stock (stock_code, received, on_hand, reserved, shipped, returned) VALUES ('A', 10, 8, 0, 3, 1);
        INSERT INTO reservations VALUES ('o1', 'A', 3, 'shipped');
        INSERT INTO reservations VALUES ('o2', 'A', 1, 'released')""",
    "payments": """
        INSERT INTO payments VALUES ('o1', 900, 'processed', 'receipt-1');
        INSERT INTO payments VALUES ('o2', 300, 'voided', NULL);
        INSERT INTO refunds VALUES ('C1', 'o1', 300)""",
    "email": "INSERT INTO confirmations VALUES ('o1', 'c1', 'Thank you!')",
    "analytics": "INSERT INTO sales VALUES ('France', '2010-12-01', 1, 900)",
    "warehouse": "INSERT INTO picks VALUES ('o1', 1, 'A', 3)",
    "returns": """
        INSERT INTO returns VALUES ('C1', 'accepted', 300, 1, 1);
        INSERT INTO returns VALUES ('C2', 'rejected', 0, 0, 0);
        INSERT INTO taken_lines VALUES ('C1', 0, 'o1', 'A', 1, 300)""",
    "fraud": "INSERT INTO reviews VALUES ('o9', 200000, 'suspected')",
    "loyalty": "INSERT INTO members VALUES ('c1', 6)",
    "gateway": """
        INSERT INTO entries (kind, reference, idempotency_key, pence) VALUES
            ('charge', 'o1', 'k1', 900), ('charge', 'o2', 'k2', 300), ('void', 'o2', 'v2', 300), ('refund', 'o1', 'r1', 300)""",
}
MODULES = {
    module.__name__.rpartition(".")[2]: module
    for module in (email, fraud, inventory, loyalty, orders, payments, returns, warehouse)
}


@pytest.fixture
def databases(tmp_path, world):
    for name, module in MODULES.items():
        engine = create_engine(f"sqlite:///{tmp_path}/{name}.db")
        getattr(module, name).tables.create_all(engine)
        engine.dispose()
    change(tmp_path, "analytics", analytics.TABLES)
    Gateway(tmp_path / "gateway.db", Weather(), world).close()
    for name, sql in SOUND.items():
        change(tmp_path, name, sql)
    found = Databases(f"sqlite:///{tmp_path}/{{service}}.db?synchronous=normal", {"gateway": tmp_path / "gateway.db"})
    yield found
    found.close()


def change(folder, service, sql):
    db = sqlite3.connect(folder / f"{service}.db")
    db.executescript(sql)
    db.close()


def test_a_sound_shop_violates_nothing(databases):
    assert check(databases, INVOICES, STOCK) == {
        "the_money_adds_up": [],
        "stock_adds_up": [],
        "nobody_is_charged_twice": [],
        "every_failed_saga_is_compensated": [],
        "listeners_heard_every_payment": [],
        "big_orders_are_reviewed": [],
        "points_are_what_was_bought": [],
        "every_invoice_has_an_outcome": [],
    }


@pytest.mark.parametrize(
    ("service", "damage", "found"),
    [
        (
            "gateway",
            "DELETE FROM entries WHERE kind = 'refund'",
            {"the_money_adds_up": "order o1: the gateway holds 900 pence, due are 600"},
        ),
        (
            "gateway",
            "INSERT INTO entries (kind, reference, idempotency_key, pence) VALUES ('charge', 'ox', 'k', 1)",
            {"the_money_adds_up": "order ox: the gateway holds 1 pence, due are 0"},
        ),
        (
            "gateway",
            "DELETE FROM entries WHERE kind = 'void'",
            {
                "the_money_adds_up": "order o2: the gateway holds 300 pence, due are 0",
                "every_failed_saga_is_compensated": "order o2: cancelled, and charged",
            },
        ),
        (
            "gateway",
            """INSERT INTO entries (kind, reference, idempotency_key, pence)
               VALUES ('charge', 'o1', 'k9', 900), ('refund', 'o1', 'r9', 900)""",
            {"nobody_is_charged_twice": "order o1: charged 2 times"},
        ),
        ("inventory", "UPDATE stock SET on_hand = 7", {"stock_adds_up": "A: on hand 7, reserved 0,"}),
        ("inventory", "UPDATE stock SET reserved = 1, on_hand = 7", {"stock_adds_up": "A: on hand 7, reserved 1,"}),
        ("inventory", "UPDATE stock SET on_hand = -1, shipped = 12", {"stock_adds_up": "A: on hand -1,"}),
        ("inventory", "DELETE FROM stock", {"stock_adds_up": "A: it never arrived"}),
        ("returns", "UPDATE taken_lines SET quantity = 2", {"stock_adds_up": "A: on hand 8,"}),
        (
            "inventory",
            "UPDATE reservations SET state = 'held' WHERE order_id = 'o2'; UPDATE stock SET reserved = 1, on_hand = 7",
            {"every_failed_saga_is_compensated": "order o2: cancelled, and goods are set aside for it"},
        ),
        ("email", "DELETE FROM confirmations", {"listeners_heard_every_payment": "1 payments, but 0 confirmations"}),
        ("analytics", "UPDATE sales SET orders = 2", {"listeners_heard_every_payment": "1 payments, but 2 sales"}),
        (
            "fraud",
            "INSERT INTO reviews VALUES ('o1', 900, 'suspected')",
            {"big_orders_are_reviewed": "order o1: 900 pence charged, and its review is suspected"},
        ),
        (
            "gateway",
            """INSERT INTO entries (kind, reference, idempotency_key, pence)
               VALUES ('charge', 'ox', 'k9', 100000), ('refund', 'ox', 'r9', 100000)""",
            {"big_orders_are_reviewed": "order ox: 100000 pence charged, and its review is missing"},
        ),
        (
            "loyalty",
            "UPDATE members SET points = 7",
            {"points_are_what_was_bought": "customer c1: 7 points, due are 6"},
        ),
        ("warehouse", "DELETE FROM picks", {"listeners_heard_every_payment": "1 payments, but 0 pick lists"}),
        (
            "orders",
            "UPDATE orders SET state = 'placed' WHERE order_id = 'o2'",
            {"every_invoice_has_an_outcome": "invoice o2: no outcome"},
        ),
        ("returns", "UPDATE returns SET restocked = 0", {"every_invoice_has_an_outcome": "invoice C1: no outcome"}),
        ("returns", "DELETE FROM returns WHERE return_id = 'C2'", {"every_invoice_has_an_outcome": "invoice C2: no outcome"}),
    ],
)
def test_each_damage_is_found_and_nothing_else(databases, tmp_path, service, damage, found):
    change(tmp_path, service, damage)
    violations = {name: texts for name, texts in check(databases, INVOICES, STOCK).items() if texts}
    assert violations.keys() == found.keys()
    for name, (text,) in violations.items():
        assert text.startswith(found[name])


def test_the_figures_are_read_from_the_databases(databases):
    assert asdict(read_figures(databases, INVOICES)) == {
        "placed": 2,
        "rejected": 1,
        "confirmed": 1,
        "cancelled": 1,
        "cancelled_by_reason": {"the gateway did not answer": 1},
        "returns_accepted": 1,
        "returns_partial": 0,
        "returns_rejected": 1,
        "charges": 2,
        "charged_pence": 1200,
        "refunded_pence": 600,
        "voided_pence": 300,
        "refunds": 1,
        "releases": 2,
        "open": 0,
    }


def test_a_database_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="orders: there is no database at"):
        Databases(f"sqlite:///{tmp_path}/{{service}}.db", {"gateway": tmp_path / "gateway.db"}).rows("orders", "SELECT 1")
