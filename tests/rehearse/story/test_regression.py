"""The regression test to paste is Python, whatever its texts hold."""

from __future__ import annotations

import ast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.rehearse.story.cases import NASTY, crash_before_ack, texts

from farandole.rehearse.story import regression, sentences


def read(text: str) -> tuple[str, str, str, str]:
    """The name of the test, its docstring, and what `repeat` is given, as Python reads them from a file."""
    tree = ast.parse(text.encode("utf-8"))
    test = tree.body[-1]
    assert isinstance(test, ast.FunctionDef)
    call = test.body[-1].value  # type: ignore[attr-defined]
    assert ast.unparse(call.func) == "rehearsal.repeat"
    app, plan = (ast.literal_eval(argument) for argument in call.args)
    return test.name, ast.get_docstring(test) or "", app, plan


def test_it_reads_as_one_would_have_written_it() -> None:
    assert regression("examples.shop:shop", 'seed 7\ncrash "payments" 3\n', sentences(crash_before_ack())[1:3], "Paid ships") == (
        '"""Found by a rehearsal, and made as small as it could be."""\n'
        "\n"
        "\n"
        "def test_paid_ships(rehearsal):\n"
        '    """payments handled OrderPlaced (order o-1).\n'
        "    payments crashed after commit, before ack; it restarted 3.0 s later.\n"
        '    """\n'
        '    rehearsal.repeat("examples.shop:shop", """seed 7\n'
        'crash "payments" 3\n'
        '""")\n'
    )


@pytest.mark.parametrize(
    ("name", "test"),
    [
        ("nobody_ships_unpaid", "test_nobody_ships_unpaid"),
        ("NobodyShipsUnpaid", "test_nobody_ships_unpaid"),
        ("2 & réfund?", "test_2_refund"),
        ("漢字", "test_rehearsal"),
        ("", "test_rehearsal"),
        ("class", "test_class"),
        ("lost: " + "x" * 200, "test_lost_" + "x" * 67),
    ],
)
def test_its_name_comes_from_the_violation(name: str, test: str) -> None:
    assert read(regression("app:shop", "plan", [], name))[0] == test


@pytest.mark.parametrize("nasty", [*NASTY, '"' * 7, 'a\\"', "\\\n", "\r\n\t", '\\"""', "\\u0041", "x\\"])
def test_nasty_texts_come_through_to_the_letter(nasty: str) -> None:
    name, docstring, app, plan = read(regression(nasty, nasty, [nasty, nasty], nasty))
    assert name.isidentifier()
    assert (app, plan) == (nasty, nasty)
    assert "".join(docstring.split()) == ("".join(nasty.split()) * 2 or "Foundbyarehearsal.")


@given(texts, st.text() | texts, st.lists(st.text() | texts, max_size=3), st.text() | texts)
def test_any_texts_make_a_file_that_compiles(app: str, plan: str, story: list[str], name: str) -> None:
    text = regression(app, plan, story, name)
    compile(text, "test_it.py", "exec")
    assert read(text)[2:] == (app, plan)
