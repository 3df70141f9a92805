"""Configuration: which source wins, and what every wrong value is told."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from farandole import Choreography, Command, Event, Policy, Retry, Service
from farandole.config import Config, check_services, check_window, load, parse_duration, sqlite_path, without_password
from farandole.errors import ConfigurationError


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def test_without_any_source_everything_has_a_default(tmp_path: Path) -> None:
    config = load(tmp_path, {})
    assert config == Config()
    assert config.broker == "sqlite:///.farandole/broker.db"
    assert config.database_of("payments") == "sqlite:///.farandole/payments.db"
    assert (config.window, config.shutdown, config.services, config.app) == (604800.0, 30.0, None, None)


def test_each_later_source_wins(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[tool.farandole]\napp = "a:a"\nbroker = "sqlite:///1"\nwindow = "1h"\nshutdown = 1\n')
    write(tmp_path, "farandole.toml", 'broker = "sqlite:///2"\nwindow = "2h"\nshutdown = 2.5\n')
    assert load(tmp_path, {}) == Config(app="a:a", broker="sqlite:///2", window=7200.0, shutdown=2.5)
    environment = {"FARANDOLE_BROKER": "sqlite:///3", "FARANDOLE_WINDOW": "3h"}
    assert load(tmp_path, environment) == Config(app="a:a", broker="sqlite:///3", window=10800.0, shutdown=2.5)
    assert load(tmp_path, environment, broker="sqlite:///4", window=None).broker == "sqlite:///4"


def test_a_flag_that_says_nothing_changes_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {"FARANDOLE_SERVICES": "orders"}, services=[], app=None).services == ("orders",)


def test_single_services_have_their_own_databases(tmp_path: Path) -> None:
    write(tmp_path, "farandole.toml", 'database.payments = "sqlite:///p.db"\ndatabase.order-returns = "sqlite:///r.db"\n')
    config = load(tmp_path, {"FARANDOLE_DATABASE_EMAIL": "sqlite:///e.db"})
    assert [config.database_of(name) for name in ("payments", "order-returns", "email", "orders")] == [
        "sqlite:///p.db",
        "sqlite:///r.db",
        "sqlite:///e.db",
        "sqlite:///.farandole/orders.db",
    ]


def test_a_single_url_said_later_replaces_the_table(tmp_path: Path) -> None:
    write(tmp_path, "farandole.toml", 'database.payments = "sqlite:///p.db"\n')
    config = load(tmp_path, {}, database="sqlite:///data/{service}.db")
    assert config.database_of("payments") == "sqlite:///data/payments.db"


def test_the_plain_database_variable_does_not_wipe_out_those_of_services(tmp_path: Path) -> None:
    config = load(tmp_path, {"FARANDOLE_DATABASE_PAYMENTS": "sqlite:///p.db", "FARANDOLE_DATABASE": "sqlite:///{service}.db"})
    assert (config.database_of("payments"), config.database_of("orders")) == ("sqlite:///p.db", "sqlite:///orders.db")


def test_braces_in_a_url_are_left_alone() -> None:
    assert Config(database="postgresql://u:{x}@h/{service}").database_of("orders") == "postgresql://u:{x}@h/orders"


def test_two_services_cannot_share_a_database() -> None:
    with pytest.raises(ConfigurationError, match=r"orders and payments would share .*put \{service\} into the URL"):
        Config(database="sqlite:///one.db").database_urls(["orders", "payments"])
    assert Config(database="sqlite:///one.db").database_urls(["orders"]) == {"orders": "sqlite:///one.db"}


def test_in_memory_each_service_has_its_own_database() -> None:
    assert Config(database="sqlite://").database_urls(["a", "b"]) == {"a": "sqlite://", "b": "sqlite://"}


def test_services_come_as_a_list_or_separated_by_commas(tmp_path: Path) -> None:
    write(tmp_path, "farandole.toml", 'services = ["a", "b"]\n')
    assert load(tmp_path, {}).services == ("a", "b")
    assert load(tmp_path, {"FARANDOLE_SERVICES": "c, d"}).services == ("c", "d")


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("250ms", 0.25), ("30s", 30), ("5m", 300), ("2h", 7200), ("7d", 604800), ("1w", 604800), ("1.5h", 5400), ("90", 90), (4, 4)],
)
def test_durations_have_units_or_are_seconds(text: object, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "text", ["", "soon", "5 minutes", "-1s", "0", 0, -3, True, None, "1h30m", float("nan"), float("inf"), "9" * 400]
)
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="expected a duration such as"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('window = "soon"', r"pyproject\.toml \[tool\.farandole\] window: expected a duration such as .*, got: 'soon'"),
        ("broker = 5", r"broker: expected a URL such as .*, got: 5"),
        ('broker = "nowhere"', r"broker: expected a URL"),
        ('app = "shop"', r"app: expected \"module:variable\".*, got: 'shop'"),
        ("services = []", r"services: expected a list of names.*, got: \[\]"),
        ("services = [1]", r"services: expected a list of names"),
        ("database.payments = 1", r"database: expected a URL.*, or a table"),
        ('brokr = "sqlite:///x"', r"\[tool\.farandole\] brokr: there is no such key\. Did you mean broker\?"),
        ("colour = 1", r"colour: there is no such key\. Known are: app, broker, database"),
    ],
)
def test_a_wrong_line_is_named_with_what_was_expected(tmp_path: Path, line: str, message: str) -> None:
    write(tmp_path, "pyproject.toml", f"[tool.farandole]\n{line}\n")
    with pytest.raises(ConfigurationError, match=message):
        load(tmp_path, {})


def test_a_wrong_variable_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"^FARANDOLE_SHUTDOWN: expected a duration.*got: 'never'"):
        load(tmp_path, {"FARANDOLE_SHUTDOWN": "never"})
    with pytest.raises(ConfigurationError, match=r"FARANDOLE_BROKR: there is no such variable\. Did you mean FARANDOLE_BROKER\?"):
        load(tmp_path, {"FARANDOLE_BROKR": "x:"})


def test_what_a_container_platform_sets_is_no_error(tmp_path: Path) -> None:
    environment = {
        "FARANDOLE_PORT": "tcp://1:2",
        "FARANDOLE_SERVICE_HOST": "1",
        "FARANDOLE_SERVICE_PORT": "2",
        "FARANDOLE_DEBUG": "1",
    }
    assert load(tmp_path, environment) == Config()


def test_a_wrong_flag_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"argument broker: expected a URL"):
        load(tmp_path, {}, broker="x")


def test_a_file_that_is_no_toml_is_named_with_the_line(tmp_path: Path) -> None:
    write(tmp_path, "farandole.toml", "broker = \n")
    with pytest.raises(ConfigurationError, match=r"farandole\.toml is no TOML: .*line 1"):
        load(tmp_path, {})


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "farandole.toml").write_bytes(b"broker = '\xff'")
    with pytest.raises(ConfigurationError, match=r"farandole\.toml cannot be read"):
        load(tmp_path, {})
    (tmp_path / "farandole.toml").unlink()
    (tmp_path / "farandole.toml").mkdir()
    with pytest.raises(ConfigurationError, match=r"farandole\.toml cannot be read"):
        load(tmp_path, {})


def test_a_section_that_is_no_table_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", "[tool]\nfarandole = 3\n")
    with pytest.raises(ConfigurationError, match=r"expected a table, got: 3"):
        load(tmp_path, {})


def test_a_project_without_our_section_says_nothing(tmp_path: Path) -> None:
    write(tmp_path, "pyproject.toml", '[project]\nname = "x"\n')
    assert load(tmp_path, {}) == Config()


class Placed(Event):
    order_id: str


class Place(Command):
    order_id: str


def shop(retry: Retry, *, exhausted: bool = False) -> Choreography:
    orders, slow = Service("orders"), Service("slow", policy=Policy(retry=retry))

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    @slow.on(Placed)
    async def handle(event: Placed) -> None: ...

    if exhausted:

        @handle.exhausted
        async def gave_up(event: Placed) -> None: ...

    return Choreography("shop", orders, slow)


def test_a_window_shorter_than_the_retries_is_refused() -> None:
    slow = shop(Retry(attempts=3, delay=100, factor=1, jitter=0))
    check_window(slow, 200)
    with pytest.raises(ConfigurationError, match=r"window: expected at least 200 s, .* slow\.handle \(.*\) may take, got: 199 s"):
        check_window(slow, 199)


def test_an_exhausted_handler_retries_as_often_again() -> None:
    with pytest.raises(ConfigurationError, match="at least 400 s"):
        check_window(shop(Retry(attempts=3, delay=100, factor=1, jitter=0), exhausted=True), 399)


def test_a_command_needs_no_window() -> None:
    orders = Service("orders", policy=Policy(retry=Retry(attempts=2, delay=timedelta(days=9).total_seconds(), longest=1e9)))

    @orders.command
    async def place(command: Place) -> Placed:
        return Placed(order_id=command.order_id)

    check_window(Choreography("shop", orders), 1)


def test_an_unknown_service_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigurationError, match=r"'shop' has no service 'order'\. Did you mean orders\?"):
        check_services(shop(Retry()), ["slow", "order"])
    check_services(shop(Retry()), ["orders"])


def test_the_file_of_a_url_is_found() -> None:
    assert sqlite_path("sqlite:///a%20b/broker.db?synchronous=normal") == Path("a b/broker.db")
    assert sqlite_path("sqlite:////var/broker.db") == Path("/var/broker.db")
    assert [sqlite_path(url) for url in ("sqlite://", "sqlite:///:memory:", "nats://host:4222")] == [None] * 3


def test_a_password_is_never_shown() -> None:
    assert without_password("postgresql://me:s3/c@r@host/db") == "postgresql://me:***@host/db"
    assert without_password("postgresql://me:secret@host:5432/db") == "postgresql://me:***@host:5432/db"
    assert without_password("redis://:secret@host") == "redis://:***@host"
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"
