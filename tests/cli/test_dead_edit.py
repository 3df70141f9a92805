"""`farandole dead edit` and `edits`: what may be seen, what is refused, who wins, and what runs afterwards."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.cli.kit import Project, publish

from farandole.model.envelope import Message
from farandole.stores import open_store
from farandole.world import World

ROOT = Path(__file__).parents[2]

POST = """
import asyncio
from typing import Annotated
from farandole import Choreography, Command, Context, Event, Policy, Retry, Sensitive, Service

known, delivered = {"Arles"}, []

class ParcelSent(Event, key="order_id"):
    order_id: str
    town: str
    weight: int
    phone: Annotated[str, Sensitive]

class PlaceOrder(Command):
    order_id: str
    email: str

once = Policy(retry=Retry(attempts=1))
shop, post, books = Service("shop"), Service("post", policy=once), Service("books", policy=once)

@shop.command
async def place(command: PlaceOrder) -> ParcelSent:
    return ParcelSent(order_id=command.order_id, town="Arlse", weight=3, phone="0490-hidden")

@post.on(ParcelSent)
async def deliver(parcel: ParcelSent, context: Context) -> None:
    if parcel.town not in known:
        raise LookupError(f"there is no {parcel.town}")
    delivered.append((context.event_id, parcel.order_id, parcel.town, parcel.weight, parcel.phone))

@books.on(ParcelSent)
async def note(parcel: ParcelSent) -> None:
    if parcel.order_id.startswith("odd"):
        raise ValueError("odd")

shop = Choreography("shop", shop, post, books)
"""

GOOD = {"order_id": "p1", "town": "Arles", "weight": 3, "phone": "***"}
WHY = ("--reason", "a slip of the pen", "--by", "Ada")


@pytest.fixture
def office(project: Callable[[str], Project]) -> Project:
    """One parcel that went nowhere."""
    made = project(POST)
    made.place("p1")
    return made


@pytest.fixture(autouse=True)
def _commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in processes of their own find us, too."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT)]))


def letter(office: Project) -> str:
    """The id of the only dead letter."""
    (group,) = office.json("dead", "list")["groups"]
    (id,) = group["ids"]
    return str(id)


def written(data: Any, name: str = "new.json") -> str:
    """A file with this data."""
    Path(name).write_bytes(data if isinstance(data, bytes) else json.dumps(data).encode())
    return name


def edit(office: Project, data: Any, *tokens: str, id: str | None = None) -> tuple[int, str, str]:
    """Edit the only letter from a file, as a script does."""
    return office.run("dead", "edit", id or letter(office), "--file", written(data), *WHY, "--yes", *tokens)


def editor(monkeypatch: pytest.MonkeyPatch, program: str) -> None:
    """An editor that does this with the text of `path`."""
    Path("editor.py").write_text(f"import json, os, pathlib, subprocess, sys\npath = pathlib.Path(sys.argv[1])\n{program}\n")
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", f"{sys.executable} editor.py")


def test_an_edited_letter_is_retried_with_its_new_data_under_the_same_id(office: Project) -> None:
    id = letter(office)
    code, out, err = edit(office, GOOD | {"weight": 4})
    assert (code, err) == (0, "")
    assert [line for line in out.splitlines() if line[0] in "+-"] == [
        '-    "town": "Arlse",', '-    "weight": 3,', '+    "town": "Arles",', '+    "weight": 4,',
    ]  # fmt: skip
    assert out.splitlines()[-1] == f"edited. Let it run: farandole dead retry {id}"
    assert office.run("dead", "retry", id)[0] == 0
    office.place()
    assert office.module().delivered == [(id, "p1", "Arles", 4, "0490-hidden")]
    assert office.json("dead", "list")["dead"] == 0


def test_what_was_edited_is_kept_with_who_when_why_and_the_data_before(office: Project) -> None:
    assert office.run("dead", "edits") == (0, "nothing was edited\n", "")
    id = letter(office)
    edit(office, GOOD)
    office.run(
        "dead", "edit", id, "--file", written(GOOD | {"weight": 9}), "--yes", "--reason", "a slip of the pen", "--by", "Bob"
    )
    (shown,) = office.json("dead", "show", id)
    assert [(one["who"], one["why"]) for one in shown["edits"]] == [("Ada", "a slip of the pen"), ("Bob", "a slip of the pen")]
    assert "edited: " in (out := office.run("dead", "show", id)[1])
    assert " by Bob: a slip of the pen" in out
    office.run("dead", "retry", id)
    office.place()
    found = office.json("dead", "edits", id)
    assert [(one["who"], one["before"]["town"], one["before"]["phone"], one["reaction"]) for one in found] == [
        ("Ada", "Arlse", "***", "post.deliver"), ("Bob", "Arles", "***", "post.deliver"),
    ]  # fmt: skip
    out = office.run("dead", "edits")[1]
    assert "  why: a slip of the pen\n  before.order_id: p1\n  before.town: Arlse\n" in out
    assert "hidden" not in out
    assert office.json("dead", "edits", "--reaction", "books.note") == office.json("dead", "edits", "another") == []


def test_sensitive_values_are_in_neither_editor_nor_difference_and_stay_where_they_are_left(
    office: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor(
        monkeypatch,
        'text = path.read_text(); pathlib.Path("seen").write_text(text); path.write_text(text.replace("Arlse", "Arles"))',
    )
    code, out, _ = office.run("dead", "edit", letter(office), *WHY, "--yes")
    assert code == 0
    seen = Path("seen").read_text()
    assert json.loads(seen) == {"order_id": "p1", "town": "Arlse", "weight": 3, "phone": "***"}
    code, changed, _ = edit(office, GOOD | {"phone": "0491-other"})
    assert code == 0
    assert '+    "phone": "*** (changed)"' in changed
    assert not any(secret in out + seen + changed for secret in ("hidden", "other"))
    office.run("dead", "retry", "--all")
    office.place()
    assert office.module().delivered[0][-1] == "0491-other"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"{", "the new data is no JSON: "),
        (b'{"town":"Arles","town":"Nice"}', "the key 'town' twice"),
        ([1], "must be a JSON object, the event's fields by name, got: list"),
        (GOOD | {"weight": "heavy"}, "Expected `int`, got `str` - at `$.weight`"),
        ({"order_id": "p1", "town": "Arles"}, "missing required field `weight`"),
        (GOOD | {"order_id": "p2"}, "an edit keeps the event's key (p1), got: p2"),
        (GOOD | {"note": float("nan")}, "cannot be written as JSON"),
        (b'{"order_id":"p1","town":"\\ud800","weight":3,"phone":"***"}', "cannot be written as JSON"),
        (b"[" * 3000, "the new data is no JSON: "),
        (b"\xff", "no text in UTF-8"),
    ],
)  # fmt: skip
def test_data_that_would_not_do_is_refused_in_one_line(office: Project, data: Any, says: str) -> None:
    code, out, err = edit(office, data)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert office.json("dead", "edits") == []


def test_a_text_that_would_not_do_is_kept_to_be_corrected(office: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    editor(monkeypatch, 'path.write_text(path.read_text().replace("Arlse", "Arles").replace("3", "true"))')
    code, _, err = office.run("dead", "edit", letter(office), *WHY, "--yes")
    assert code == 2
    name = err.split("--file ")[1].strip()
    kept = Path(name).read_text()
    assert Path(name).stat().st_mode & 0o077 == 0, "nobody else may read it"
    Path(name).unlink()
    assert edit(office, kept.replace("true", "5").encode())[0] == 0


@pytest.mark.parametrize(
    ("command", "says"),
    [(None, "which editor?"), ("/nowhere/vi", "cannot run the editor"), ("sh -c 'exit 3'", "ended with 3"), ("'", "cannot run")],
)
def test_without_an_editor_that_works_nothing_is_changed(
    office: Project, monkeypatch: pytest.MonkeyPatch, command: str | None, says: str
) -> None:
    monkeypatch.delenv("VISUAL", raising=False)
    monkeypatch.setenv("EDITOR", command) if command else monkeypatch.delenv("EDITOR", raising=False)
    code, _, err = office.run("dead", "edit", letter(office), *WHY, "--yes")
    assert (code, says in err, err.count("\n")) == (2, True, 1), err
    assert office.json("dead", "edits") == []


def test_where_nobody_can_be_asked_it_is_not_stored(office: Project) -> None:
    code, out, err = office.run("dead", "edit", letter(office), "--file", written(GOOD), *WHY)
    assert (code, '+    "town": "Arles",' in out) == (2, True)
    assert "Say --yes, or look first with --dry-run" in err
    assert office.json("dead", "edits") == []


def test_a_dry_run_shows_the_difference_and_changes_nothing(office: Project) -> None:
    code, out, _ = office.run("dead", "edit", letter(office), "--file", written(GOOD), *WHY, "--dry-run")
    assert (code, '-    "town": "Arlse",' in out) == (0, True)
    told = office.json("dead", "edit", letter(office), "--file", "new.json", *WHY, "--dry-run")
    assert (told["edited"], '+    "town": "Arles",' in told["difference"]) == (False, True)
    assert office.json("dead", "edits") == []
    assert office.json("dead", "edit", letter(office), "--file", "new.json", *WHY, "--yes")["edited"] is True


def test_what_says_the_same_is_not_stored(office: Project) -> None:
    code, _, err = edit(office, GOOD | {"town": "Arlse"})
    assert (code, err) == (1, "nothing was changed: this is what it says already\n")
    assert office.json("dead", "edits") == []


@pytest.mark.parametrize(("answer", "edited"), [("y", True), ("n", False), ("", False)])
def test_at_a_terminal_it_asks_before_it_stores(office: Project, answer: str, edited: bool) -> None:
    ours, theirs = pty.openpty()
    os.write(ours, f"{answer}\n".encode())
    tokens = ["dead", "edit", letter(office), "--file", written(GOOD), *WHY]
    done = subprocess.run(
        [sys.executable, "-m", "farandole.cli", *tokens], stdin=theirs, capture_output=True, text=True, check=False
    )
    os.close(ours)
    os.close(theirs)
    assert (done.returncode, len(office.json("dead", "edits"))) == (0, 1) if edited else (1, 0), done.stderr
    assert "store this? [y/N]" in done.stderr


def test_of_two_who_edit_at_once_the_second_is_told_who_was_first(office: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    id = letter(office)
    other = ["dead", "edit", id, "--file", written(GOOD), "--reason", "I was quicker", "--by", "Bob", "--yes"]
    editor(monkeypatch, f'subprocess.run([sys.executable, "-m", "farandole.cli", *{other}], check=True, stdout=-3)\n'
           'path.write_text(path.read_text().replace("Arlse", "Nice"))')  # fmt: skip
    code, _, err = office.run("dead", "edit", id, *WHY, "--yes")
    assert code == 1
    assert err == f"not stored: Bob edited it meanwhile (I was quicker). Look again: farandole dead show {id}\n"
    assert office.json("dead", "show", id)[0]["event"]["data"]["town"] == "Arles"


def test_what_was_retried_meanwhile_is_not_edited(office: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    id = letter(office)
    editor(monkeypatch, f'subprocess.run([sys.executable, "-m", "farandole.cli", "dead", "retry", "{id}"], check=True, stdout=-3)\n'
           'path.write_text(path.read_text().replace("Arlse", "Nice"))')  # fmt: skip
    code, _, err = office.run("dead", "edit", id, *WHY, "--yes")
    assert (code, "not stored: it is dead no more, but parked" in err) == (1, True)
    assert office.json("dead", "edits") == []


def test_what_is_not_dead_or_dead_in_two_places_is_told(office: Project) -> None:
    assert edit(office, GOOD, id="nobody") == (1, "", "no dead letter matches\n")
    office.place("odd1")
    group = next(one for one in office.json("dead", "list")["groups"] if one["reaction"] == "books.note")
    (id,) = group["ids"]
    code, _, err = edit(office, GOOD | {"order_id": "odd1"}, id=id)
    assert (code, "is dead in books.note, post.deliver. Say which one with --reaction" in err) == (2, True)
    assert edit(office, GOOD | {"order_id": "odd1"}, "--reaction", "post.deliver", id=id)[0] == 0
    assert [one["reaction"] for one in office.json("dead", "edits")] == ["post.deliver"]
    office.run("dead", "retry", id, "--reaction", "post.deliver")
    office.place()
    assert [parcel[1:3] for parcel in office.module().delivered] == [("odd1", "Arles")]


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["--reason", " ", "--yes", "--file", "x"], "--reason: expected a text"),
        (["--reason", "x", "--by", "", "--file", "x"], "Say it with --by NAME"),
        (["--reason", "x", "--whole"], "Give it with --file FILE"),
        (["--reason", "x", "--file", "absent.json"], "--file: cannot read absent.json: No such file"),
        (["--file", "x"], "requires an argument"),
    ],
)
def test_a_wrong_use_is_one_line(office: Project, tokens: list[str], says: str) -> None:
    code, _, err = office.run("dead", "edit", letter(office), *tokens)
    assert (code, says in err, err.count("\n")) == (2, True, 1), err


def test_standard_input_will_do(office: Project) -> None:
    tokens = ["dead", "edit", letter(office), "--file", "-", *WHY, "--yes"]
    command = [sys.executable, "-m", "farandole.cli", *tokens]
    subprocess.run(command, input=json.dumps(GOOD).encode(), check=True, capture_output=True)
    assert office.json("dead", "show")[0]["event"]["data"]["town"] == "Arles"


def event(data: object, **more: object) -> dict[str, object]:
    """A foreign producer's."""
    return {"id": "f-1", "source": "/far", "type": "shop.ParcelSent.v1", "data": data} | more


def test_data_that_no_reaction_could_read_is_mended(project: Callable[[str], Project], monkeypatch: pytest.MonkeyPatch) -> None:
    office = project(POST)
    office.place()
    publish(event({"order_id": "p7", "town": "Arles", "weight": "3", "phone": "0490-hidden", "fon": "0491-hidden"}, myextension=7),
            topic="shop.shop")  # fmt: skip
    office.place()
    editor(
        monkeypatch, 'text = path.read_text(); pathlib.Path("seen").write_text(text); path.write_text(text.replace(\'"3"\', "3"))'
    )
    id = "/far#f-1"
    assert office.run("dead", "edit", id, "--reaction", "post.deliver", *WHY, "--yes")[0] == 0
    seen = {"order_id": "p7", "town": "Arles", "weight": "3", "phone": "***", "fon": "***"}
    assert json.loads(Path("seen").read_text()) == seen, "what is no field may be as sensitive"
    office.run("dead", "retry", id, "--reaction", "post.deliver")
    office.place()
    assert office.module().delivered == [("f-1", "p7", "Arles", 3, "0490-hidden")]
    assert edit(office, seen | {"note": "***", "tel": "***"}, "--reaction", "books.note", id=id)[0] == 2


def test_bytes_that_are_no_event_are_replaced_by_a_whole_one(project: Callable[[str], Project]) -> None:
    office = project(POST)
    office.place()
    publish(b"hidden", event(GOOD, type="shop.ParcelSent.v9"), topic="shop.shop")
    office.place()
    first, second = sorted(office.json("dead", "show", "--reaction", "post.(envelope)"), key=lambda one: one["event"] is not None)
    which = ["--reaction", "post.(envelope)"]
    for one in (first, second):
        code, _, err = edit(office, GOOD, *which, id=one["id"])
        assert (code, "--whole --file FILE" in err) == (2, True)
    right = {"specversion": "1.0"} | event(GOOD | {"phone": "1"})
    code, out, _ = edit(office, right | {"id": first["id"]}, *which, "--whole", id=first["id"])
    assert (code, "-(6 bytes that are no CloudEvent; not shown)" in out) == (0, True)
    for wrong, says in (
        (right | {"id": "another"}, "keeps the event's id and source (f-1, /far), got: another, /far"),
        (right | {"source": "/near"}, "keeps the event's id and source"),
        (right | {"type": "shop.Alien.v1"}, "takes no shop.Alien.v1"),
        ({"a": 1}, "the new event cannot be read"),
    ):
        code, _, err = edit(office, wrong, *which, "--whole", id=second["id"])
        assert (code, says in err, err.count("\n")) == (2, True, 1), err
    assert edit(office, right, *which, "--whole", id=second["id"])[0] == 0
    office.run("dead", "retry", *which)
    office.place()
    assert sorted(parcel[0] for parcel in office.module().delivered) == sorted([first["id"], "f-1"])


def test_a_letter_of_the_relay_is_published_as_it_was_edited(office: Project) -> None:
    """No broker takes it as it is; made smaller, it goes."""

    async def refuse() -> None:
        store = open_store("sqlite:///.farandole/shop.db", World())
        await store.open()
        async with store.begin() as transaction:
            body = json.dumps({"specversion": "1.0"} | event(GOOD | {"order_id": "p9", "phone": "1" * 1000}, partitionkey="p9"))
            await transaction.emit([Message("shop.shop", "p9", "f-1", "shop.ParcelSent.v1", body.encode())])
        (waits,) = await store.outbox(range(64), 10)
        await store.unpublishable(waits, "too large")
        await store.close()

    asyncio.run(refuse())
    which = ["--reaction", "(relay)"]
    assert edit(office, GOOD | {"order_id": "p9", "weight": "x"}, *which, id="f-1")[0] == 2
    assert edit(office, GOOD | {"order_id": "p9", "phone": "1"}, *which, id="f-1")[0] == 0
    assert office.run("dead", "retry", "f-1")[1] == "retried 1 of 1\n"
    office.place("p4")
    assert office.module().delivered == [("f-1", "p9", "Arles", 3, "1")]


def test_letters_are_filtered_by_type_key_time_and_number(office: Project) -> None:
    office.place("p2", "p3")

    def count(*tokens: str) -> int:
        return int(office.json("dead", "list", *tokens)["dead"])

    assert [count("--type", name) for name in ("ParcelSent", "shop.ParcelSent.v1", "shop.ParcelSent", "Sent")] == [3, 3, 0, 0]
    assert [count("--key", key) for key in ("p2", "p")] == [1, 0]
    assert [count("--since", moment) for moment in ("1h", "2020-01-01", "2999-01-01T10:00+02:00")] == [3, 3, 0]
    assert [count("--until", moment) for moment in ("1h", "2020-01-01T00:00", "2999-01-01")] == [0, 0, 3]
    assert count("--limit", "2") == count("--limit", "2", "--type", "ParcelSent") == 2
    assert office.run("dead", "retry", "--type", "ParcelSent", "--limit", "1")[1] == "retried 1 of 1\n"
    assert office.run("dead", "retry", "--limit", "1")[0] == 2, "a limit does not say which"
    assert office.json("dead", "retry", "--all", "--limit", "1")["retried"] == 1
    for tokens, says in ((["--since", "soon"], "--since: expected a date"), (["--limit", "0"], "--limit: expected a number")):
        code, _, err = office.run("dead", "list", *tokens)
        assert (code, says in err, err.count("\n")) == (2, True, 1)
