"""`farandole tasks`: what people must see to."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.cli.kit import CAFE, Project

REFUND = '''
class OrderRefused(OrderEvent):
    email: Annotated[str, Sensitive]

class Refunded(OrderEvent): ...

class RefuseOrder(Command):
    order_id: str
    email: Annotated[str, Sensitive]

@orders.command
async def refuse(command: RefuseOrder) -> OrderRefused:
    return OrderRefused(order_id=command.order_id, email=command.email)

@payments.on(OrderPlaced, policy=Policy(retry=Retry(attempts=1)))
async def charge(order: OrderPlaced, cashier: Cashier) -> PaymentCompleted:
    """Take the money.

    At once.
    """
    await cashier.charge(order.order_id)
    return PaymentCompleted(order_id=order.order_id)

@payments.on(OrderRefused, compensates=charge, undoes=PaymentCompleted, policy=Policy(retry=Retry(attempts=1)))
async def refund(event: OrderRefused, cashier: Cashier) -> Refunded:
    """Wire the money back by hand."""
    if cashier.away:
        raise ConnectionError(f"no bank for {event.email}")
    return Refunded(order_id=event.order_id)
'''
CHARGE = CAFE[CAFE.index("@payments.on(OrderPlaced") : CAFE.index('email = Service("email")')]


@pytest.fixture
def bank(project: Callable[..., Project]) -> Project:
    """Three orders are paid, and three refunds have failed."""
    source = CAFE.replace(CHARGE, REFUND.lstrip("\n") + "\n").replace("class Cashier:", "class Cashier:\n    away = True")
    bank = project(source)
    for order in ("o1", "o2", "o3"):
        refuse(bank, order)
    return bank


def refuse(bank: Project, *order_ids: str) -> None:
    """Place orders, and refuse them under the same correlation id."""
    import asyncio

    import farandole

    module = bank.module()

    async def scenario() -> None:
        async with asyncio.timeout(60), farandole.open(module.shop) as app:
            for order_id in order_ids:
                placed = await app.send(module.PlaceOrder(order_id=order_id, email="me@home.example"))
                await app.idle()
                await app.send(
                    module.RefuseOrder(order_id=order_id, email="me@home.example"), correlation_id=placed.correlation_id
                )
                await app.idle()
            await app.idle()

    asyncio.run(scenario())


def test_nothing_to_do_is_fine(cafe: Project) -> None:
    assert cafe.run("tasks", "list") == (0, "no open tasks\n", "")
    assert cafe.run("tasks", "list", "--state", "done") == (0, "no done tasks\n", "")
    assert cafe.json("tasks", "list") == []


def test_what_a_compensation_could_not_undo_is_listed_for_people(bank: Project) -> None:
    code, out, _ = bank.run("tasks", "list")
    assert code == 0
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == ["id", "payments-1", "payments-2", "payments-3"]
    assert "payments.refund" in lines[1]
    assert "Wire the money back by hand." in lines[1]
    assert "ConnectionError: no bank for ***" in lines[1]
    assert "home.example" not in out
    assert bank.json("tasks", "list", "--service", "orders") == []
    first = bank.json("tasks", "list", "--service", "payments")[0]
    assert (first["id"], first["state"], first["kind"], first["key"]) == ("payments-1", "open", "dead", "o1")
    assert bank.json("status")["services"]["payments"]["database"]["tasks"] == 3
    assert "tasks" in bank.run("status")[1]


def test_show_tells_all_that_is_known_and_what_to_type(bank: Project) -> None:
    code, out, _ = bank.run("tasks", "show", "payments-2")
    assert code == 0
    told = bank.json("tasks", "show", "payments-2")
    event = told["event"]
    for line in (
        "payments-2  Wire the money back by hand.",
        "reason: ConnectionError: no bank for ***",
        "should have undone: PaymentCompleted of payments.charge (",
        ": Take the money.",
        "event.data.order_id: o2",
        "event.data.email: ***",
        f"place: {bank.folder}/{bank.name}.py:",
        "runs: 1; the event is dead now",
        f"$ farandole trace {told['correlation']}",
        f"$ farandole dead retry {event} --reaction payments.refund",
        f'$ farandole dead discard {event} --reaction payments.refund --reason "…"',
        '$ farandole tasks done payments-2 --why "…"',
    ):
        assert line in out
    assert "home.example" not in out
    assert told["letter"]["event"]["data"] == {"order_id": "o2", "email": "***"}
    assert bank.run(*told["commands"][0].split()[1:])[0] == 0


def test_done_keeps_who_and_why_and_a_second_one_is_told_who_was_first(bank: Project) -> None:
    assert bank.run("tasks", "done", "payments-1", "--who", "Ada", "--why", "wired") == (0, "payments-1 is done, by Ada\n", "")
    code, out, err = bank.run("tasks", "done", "payments-1", "--who", "Bob", "--why", "in cash")
    assert (code, out) == (1, "")
    assert err.startswith("payments-1 is done already, by Ada at 20")
    assert err.endswith(": wired\n")
    assert [task["id"] for task in bank.json("tasks", "list")] == ["payments-2", "payments-3"]
    (task,) = bank.json("tasks", "list", "--state", "done")
    assert (task["who"], task["why"], task["state"]) == ("Ada", "wired", "done")
    assert "ago by Ada" in bank.run("tasks", "list", "--state", "all")[1]
    shown = bank.json("tasks", "show", "payments-1")
    assert (shown["commands"], shown["who"], shown["letter"]["state"]) == ([], "Ada", "dead")


def test_who_is_the_user_unless_it_is_said(bank: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    assert bank.run("tasks", "done", "payments-1", "--why", "wired")[1] == "payments-1 is done, by grace\n"
    code, _, err = bank.run("tasks", "done", "payments-2", "--why", "wired", "--who", " ")
    assert (code, err) == (
        2,
        "farandole: tasks done: nobody can tell who you are. Say it with --who NAME; it is kept with the task\n",
    )


def test_letters_that_are_retried_or_discarded_close_their_tasks(bank: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "grace")
    one, two, _ = (task["event"] for task in bank.json("tasks", "list"))
    assert bank.run("dead", "retry", one)[0] == 0
    bank.module().Cashier.away = False
    bank.place()
    assert bank.run("dead", "discard", two, "--reason", "paid in cash")[0] == 0
    done = {task["id"]: (task["who"], task["why"]) for task in bank.json("tasks", "list", "--state", "done")}
    assert done == {"payments-1": ("(retry)", "done by retry"), "payments-2": ("grace", "paid in cash")}
    _, out, _ = bank.run("tasks", "show", "payments-2")
    assert "the event is not kept any more" in out
    assert "the event is skipped now" in out


@pytest.mark.parametrize(
    ("tokens", "code", "says"),
    [
        (["show", "payments-9"], 1, "there is no task payments-9. See: farandole tasks list --state all"),
        (["done", "payments-9", "--why", "x"], 1, "there is no task payments-9"),
        (["show", "email-1"], 1, "there is no task email-1"),
        (["show", "seven"], 2, "such as payments-3, got: seven"),
        (["show", "nobody-1"], 2, "nobody"),
        (["done", "payments-1", "--why", "  "], 2, "--why: expected a text"),
        (["done", "payments-1"], 2, "--why"),
        (["list", "--state", "old"], 2, "old"),
    ],
)
def test_what_makes_no_sense_is_one_line(cafe: Project, tokens: list[str], code: int, says: str) -> None:
    found, out, err = cafe.run("tasks", *tokens)
    assert (found, out) == (code, "")
    assert says in err
    assert err.count("\n") == 1
