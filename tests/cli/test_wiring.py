"""Careful edits of source: an argument more, an import more."""

from __future__ import annotations

import ast

import pytest

from farandole.cli.wiring import names_at_top, with_argument, with_import, written


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('s = Choreography("s", a)\n', 's = Choreography("s", a, new)\n'),
        ('s = Choreography("s", a, workflows=[w])\n', 's = Choreography("s", a, new, workflows=[w])\n'),
        ('s: Choreography = farandole.Choreography("s", a)\n', 's: Choreography = farandole.Choreography("s", a, new)\n'),
        ('s = Choreography(\n    "s",\n    a,\n)\n', 's = Choreography(\n    "s",\n    a,\n    new,\n)\n'),
        (
            's = Choreography("shopping", orders, payments, w=[x])\n',
            's = Choreography(\n    "shopping",\n    orders,\n    payments,\n    new,\n    w=[x],\n)\n',
        ),
        ('s = Choreography(\n    "s",\n    a,  # first\n)\n', 's = Choreography(\n    "s",\n    a,\n    new,  # first\n)\n'),
        ('s = Choreography("é", a)  # ü\nt = 1\n', 's = Choreography("é", a, new)  # ü\nt = 1\n'),
        ('ü = 1; s = Choreography("s", a)\n', 'ü = 1; s = Choreography("s", a, new)\n'),
    ],
)
def test_an_argument_is_added_behind_the_last_service(source: str, expected: str) -> None:
    edited = with_argument(source, "s", "new", 56)
    assert edited == expected
    ast.parse(edited)


@pytest.mark.parametrize(
    "source",
    [
        's = Choreography("s", *services)\n',
        "s = make()\n",
        "s = Choreography(name='s')\n",
        's = Choreography("s", a)\ns = Choreography("s", b)\n',
        's = t = Choreography("s", a)\n',
        'if True:\n    s = Choreography("s", a)\n',
        'other = Choreography("s", a)\n',
    ],
)
def test_what_is_not_plainly_a_choreography_is_left_alone(source: str) -> None:
    assert with_argument(source, "s", "new", 88) is None


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        (
            "from .a import a\nfrom .z import z\n\nx = 1\n",
            "from .a import a\nfrom .m import m\nfrom .z import z\n\nx = 1\n",
        ),
        ("from .a import a\n\nx = 1\n", "from .a import a\nfrom .m import m\n\nx = 1\n"),
        ("import os\n\nx = 1\n", "import os\n\nfrom .m import m\n\nx = 1\n"),
        ('"""Text."""\n\nx = 1\n', '"""Text."""\n\nfrom .m import m\n\nx = 1\n'),
        ("x = 1\n", "from .m import m\n\nx = 1\n"),
        ("from .m import m\n", "from .m import m\n"),
    ],
)
def test_an_import_goes_where_it_belongs(source: str, expected: str) -> None:
    assert with_import(source, ".m", "m") == expected


def test_an_import_goes_behind_those_of_its_package_and_before_no_other() -> None:
    source = "from shop.orders import orders\n\nfrom .x import x\n"
    assert with_import(source, "shop.payments", "payments") == (
        "from shop.orders import orders\nfrom shop.payments import payments\n\nfrom .x import x\n"
    )


def test_names_at_the_top_are_all_that_a_module_binds() -> None:
    source = "import os.path\nfrom a import b as c\nx, (y, *z) = 1, (2, 3)\nw: int = 1\ndef f(): inner = 1\nclass C: ...\nasync def g(): ...\n"
    assert names_at_top(source) == {"os", "c", "x", "y", "z", "w", "f", "C", "g"}


def test_a_list_that_is_too_long_has_a_line_for_each_part() -> None:
    assert written("f(", ["a", "b"], ")", 7) == "f(a, b)"
    assert written("  f(", ["a", "b"], ")", 8) == "  f(\n      a,\n      b,\n  )"
