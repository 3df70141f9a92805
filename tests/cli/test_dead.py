"""`farandole dead`: finding, showing, retrying and discarding dead letters."""

from __future__ import annotations

import pytest
from tests.cli.kit import Project, publish


@pytest.fixture
def morgue(cafe: Project) -> Project:
    """Two dead letters, and one order that went well."""
    cafe.place("bad1", "good", "bad2")
    return cafe


def test_nothing_dead_is_fine(cafe: Project) -> None:
    assert cafe.run("dead", "list") == (0, "no dead letters\n", "")
    assert cafe.json("dead", "list") == {"dead": 0, "groups": []}


def test_alike_ones_are_listed_together(morgue: Project) -> None:
    code, out, _ = morgue.run("dead", "list")
    assert code == 0
    (line,) = [line for line in out.splitlines() if "payments.charge" in line]
    assert line.split()[0] == "2"
    assert "RuntimeError" in line
    assert f"{morgue.name}.py:" in line
    assert "no luck with bad2" in line
    (group,) = morgue.json("dead", "list")["groups"]
    assert (group["service"], group["reaction"], group["error"], group["count"]) == (
        "payments",
        "payments.charge",
        "RuntimeError",
        2,
    )
    assert len(group["ids"]) == 2


def test_show_prints_the_event_without_sensitive_fields(morgue: Project) -> None:
    code, out, _ = morgue.run("dead", "show")
    assert code == 0
    assert "event.type: shop.OrderPlaced.v1" in out
    assert "event.data.order_id: bad1" in out
    assert "event.data.email: ***" in out
    assert "home.example" not in out
    first, second = morgue.json("dead", "show")
    assert (first["reason"], first["attempts"]) == ("RuntimeError: no luck with bad1", 1)
    assert (second["event"]["data"], second["key"]) == ({"order_id": "bad2", "email": "***"}, "bad2")


def test_what_is_no_event_or_of_no_known_type_is_not_shown(cafe: Project) -> None:
    cafe.place("good")
    publish(
        b'{"secret": "hunter2"}',
        b'{"specversion":"1.0","id":"x","source":"/e","type":"shop.Alien.v1","data":{"secret":"hunter2"}}',
    )
    cafe.place("more")
    _, out, _ = cafe.run("dead", "show")
    assert "these bytes are no CloudEvent; not shown" in out
    assert "event.data: of an unknown or unreadable type; not shown" in out
    assert "hunter2" not in out


def test_show_takes_one_id_and_a_limit(morgue: Project) -> None:
    id = morgue.json("dead", "list")["groups"][0]["ids"][0]
    assert [letter["id"] for letter in morgue.json("dead", "show", id)] == [id]
    assert [letter["id"] for letter in morgue.json("dead", "show", "--id", id)] == [id]
    assert len(morgue.json("dead", "show", "--limit", "1")) == 1


@pytest.mark.parametrize(
    ("tokens", "count"),
    [
        (["--service", "payments"], 2),
        (["--service", "orders"], 0),
        (["--reaction", "payments.charge"], 2),
        (["--reaction", "email.notify"], 0),
        (["--error", "RuntimeError"], 2),
        (["--error", "KeyError"], 0),
        (["--text", "with bad1"], 1),
        (["--text", "bad2", "--error", "RuntimeError"], 1),
        (["--id", "nobody"], 0),
    ],
)
def test_filters_narrow_down(morgue: Project, tokens: list[str], count: int) -> None:
    assert morgue.json("dead", "list", *tokens)["dead"] == count


def test_a_place_is_a_filter(morgue: Project) -> None:
    place = morgue.json("dead", "list")["groups"][0]["place"]
    assert morgue.json("dead", "list", "--place", place)["dead"] == 2
    assert morgue.json("dead", "list", "--place", place.rpartition("/")[2])["dead"] == 2
    assert morgue.json("dead", "list", "--place", "elsewhere.py:1")["dead"] == 0


def test_what_does_not_match_is_a_finding(morgue: Project) -> None:
    assert morgue.run("dead", "show", "nobody") == (1, "", "no dead letter matches\n")
    assert morgue.run("dead", "retry", "nobody")[0] == 1
    assert morgue.run("dead", "discard", "nobody", "--reason", "x")[0] == 1


@pytest.mark.parametrize("tokens", [["retry"], ["discard", "--reason", "test"]])
def test_a_dry_run_changes_nothing(morgue: Project, tokens: list[str]) -> None:
    code, out, _ = morgue.run("dead", *tokens, "--all", "--dry-run")
    assert code == 0
    assert out.startswith(f"would {tokens[0]} 2: ")
    assert morgue.json("dead", "list")["dead"] == 2


def test_a_retried_letter_runs_again(morgue: Project) -> None:
    module = morgue.module()
    assert morgue.run("dead", "retry", "--text", "with bad1") == (0, "retried 1 of 1\n", "")
    assert morgue.json("dead", "list")["dead"] == 1

    async def charge(self: object, order_id: str) -> None:
        """The bank has come to reason."""

    module.Cashier.charge = charge
    morgue.place("another")
    events = morgue.json("trace", "order_id=bad1")["chains"][0]["events"]
    assert [event["type"] for event in events if event["kind"] == "event"] == [
        "shop.OrderPlaced.v1",
        "shop.PaymentCompleted.v1",
        "shop.OrderConfirmed.v1",
    ]


def test_a_discarded_letter_is_skipped_with_the_reason(morgue: Project) -> None:
    assert morgue.json("dead", "discard", "--all", "--reason", "order by phone")["discarded"] == 2
    assert morgue.json("dead", "list")["dead"] == 0
    (chain,) = morgue.json("trace", "order_id=bad1")["chains"]
    (fate,) = [fate for event in chain["events"] for fate in event["handled"] if fate["reaction"] == "payments.charge"]
    assert (fate["state"], fate["reason"]) == ("skipped", "order by phone")


def test_many_are_changed_in_portions(morgue: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("farandole.cli.dead._CHUNK", 1)
    assert morgue.json("dead", "retry", "--all")["retried"] == 2
