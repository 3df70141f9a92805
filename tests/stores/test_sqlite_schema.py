"""Opening a database: migrations, the service's own tables, and files that cannot serve."""

from __future__ import annotations

import asyncio
import sqlite3
import sys

import pytest
from sqlalchemy import Column, Integer, MetaData, Table

from farandole.errors import ConfigurationError, NewerDatabase, UnknownScheme
from farandole.stores import open_store
from farandole.stores.sqlite.migrate import latest
from farandole.stores.statements import split
from farandole.testing.virtual import VirtualWorld


def tables_of(path):
    with sqlite3.connect(path) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}


async def test_a_new_file_gets_the_schema_and_its_folder(opened, tmp_path):
    file = tmp_path / "a" / "b" / "new.db"
    async with opened(file=file):
        pass
    assert tables_of(file) >= {"farandole_schema", "farandole_inbox", "farandole_outbox", "farandole_outbox_leases", "things"}


async def test_what_is_there_is_kept_when_it_is_opened_again(opened, path):
    for _ in range(3):
        async with opened() as store, store.begin() as transaction:
            await transaction.claim([("r", "1")])
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT version FROM farandole_schema").fetchall() == [
            (number,) for number in range(1, latest() + 1)
        ]
        assert connection.execute("SELECT count(*) FROM farandole_inbox").fetchone() == (1,)


async def test_a_database_of_a_newer_version_is_left_alone(opened, path):
    async with opened():
        pass
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO farandole_schema VALUES (99)")
    with pytest.raises(NewerDatabase, match=rf"service\.db has schema 99.*knows {latest()}\..*pip install --upgrade"):
        async with opened(tables="CREATE TABLE more (id)"):
            pass
    assert "more" not in tables_of(path)


@pytest.mark.real_time
async def test_processes_that_open_a_new_file_at_once_all_succeed(path):
    code = (
        "import asyncio, sys\n"
        "from farandole.stores import open_store\n"
        "from farandole.world import World\n"
        "async def main():\n"
        "    store = open_store('sqlite:///' + sys.argv[1], World(), tables='CREATE TABLE IF NOT EXISTS things (id)')\n"
        "    print('ready', flush=True); sys.stdin.readline()\n"
        "    await store.open()\n"
        "    async with store.begin() as transaction:\n"
        "        await transaction.claim([('r', sys.argv[2])])\n"
        "    await store.close()\n"
        "asyncio.run(main())\n"
    )
    pipe = asyncio.subprocess.PIPE
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-c", code, str(path), str(n), stdin=pipe, stdout=pipe, stderr=pipe)
        for n in range(4)
    ]
    for process in processes:
        assert await process.stdout.readline() == b"ready\n"
    for _, errors in await asyncio.gather(*(process.communicate(b"\n") for process in processes)):
        assert errors == b""
    with sqlite3.connect(path) as connection:
        assert connection.execute("SELECT count(*) FROM farandole_inbox").fetchone() == (4,)


async def test_a_file_that_is_no_database_is_named_with_a_remedy(opened, path):
    path.write_bytes(b"these are no pages of SQLite, whatever the name says" * 100)
    with pytest.raises(ConfigurationError, match=r"service\.db is not a SQLite database\. Give another path"):
        async with opened():
            pass
    assert path.read_bytes().startswith(b"these")


async def test_a_folder_is_no_database(opened, path):
    path.mkdir()
    with pytest.raises(ConfigurationError, match=r"cannot open the database .*service\.db.*It is a folder: name a file in it"):
        async with opened():
            pass


async def test_a_file_in_the_way_of_the_folder_is_named(opened, path):
    path.write_text("x")
    with pytest.raises(ConfigurationError, match=r"cannot open the database .*Check that the folder .*service\.db"):
        async with opened(file=path / "b" / "c.db"):
            pass


async def test_a_database_that_cannot_be_written_is_named(opened, path, monkeypatch):
    async with opened():
        pass
    real = sqlite3.connect

    def read_only(file, **options):  # as root, no permission would stop us
        return real(f"file:{file}?mode=ro", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", read_only)
    with pytest.raises(
        ConfigurationError, match=r"cannot use the database .*service\.db: attempt to write a readonly.*can be written"
    ):
        async with opened():
            pass


async def test_tables_may_be_metadata(opened, path):
    metadata = MetaData()
    Table("orders", metadata, Column("id", Integer, primary_key=True))
    for _ in range(2):
        async with opened(tables=metadata):
            pass
    assert "orders" in tables_of(path)


async def test_tables_that_fail_are_shown_and_nothing_is_made(opened, path):
    with pytest.raises(ConfigurationError, match=r"tables=: .*syntax error, in: CREATE TABEL b"):
        async with opened(tables="CREATE TABLE a (id); CREATE TABEL b (id)"):
            pass
    assert tables_of(path) == set()


async def test_tables_of_another_kind_are_refused(opened):
    with pytest.raises(ConfigurationError, match=r"MetaData or a string of SQL statements, got: \['things'\]"):
        async with opened(tables=["things"]):
            pass


def test_a_script_is_split_into_statements():
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN DELETE FROM b; DELETE FROM c; END;"
    assert [part.strip() for part in split(f"CREATE TABLE a (id DEFAULT ';'); {trigger} -- the last; one\nSELECT 1")] == [
        "CREATE TABLE a (id DEFAULT ';');", trigger, "-- the last; one\nSELECT 1",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("sqlite:payments.db", "three slashes .* sqlite:///payments.db"),
        ("sqlite:/payments.db", "three slashes"),
        ("sqlite://payments.db", "three slashes"),
        ("sqlite:///p.db?synchronous=maybe", "synchronous=full, normal or off, got: synchronous=maybe"),
        ("sqlite:///p.db?sync=off", "got: sync=off"),
        ("sqlite:///p.db?synchronous", "got: synchronous="),
    ],
)
def test_a_malformed_url_is_explained(url, said):
    with pytest.raises(ConfigurationError, match=said):
        open_store(url, VirtualWorld())


@pytest.mark.parametrize("url", ["mongodb://x", "payments.db", ""])
def test_an_unknown_scheme_names_those_that_are_known(url):
    with pytest.raises(UnknownScheme, match="Known are sqlite:"):
        open_store(url, VirtualWorld())


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///", "sqlite:///:memory:"])
async def test_each_store_in_memory_is_its_own(url):
    stores = [open_store(url, VirtualWorld()) for _ in range(2)]
    for store in stores:
        await store.open()
        await store.open()
    async with stores[0].begin() as transaction:
        await transaction.claim([("r", "1")])
    assert [len(await store.fates(["1"])) for store in stores] == [1, 0]
    for store in stores:
        await store.close()


async def test_a_path_may_have_spaces_and_be_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = open_store("sqlite:///my%20folder/pay.db", VirtualWorld())
    await store.open()
    await store.close()
    assert (tmp_path / "my folder" / "pay.db").exists()
