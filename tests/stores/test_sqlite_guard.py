"""No route by which a reaction could end the store's transaction; each refusal names the line."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from sqlalchemy.exc import InvalidRequestError

from farandole.errors import DeclarationError, StoreError, TransactionOwned
from farandole.testing.store_scene import raises

R = "shop.react"

# Each route is a function whose second line ends the transaction.


def driver_commit(h):
    h("driver").commit()


def driver_rollback(h):
    h("driver").rollback()


def driver_close(h):
    h("driver").close()


def driver_script(h):
    h("driver").executescript("SELECT 1")


def driver_cursor_script(h):
    h("driver").cursor().executescript("SELECT 1")


def driver_with(h):
    with h("driver"):
        pass


def driver_exit(h):
    h("driver").__exit__(None, None, None)


def driver_isolation(h):
    h("driver").isolation_level = ""


def driver_text(h):
    h("driver").execute("COMMIT")


def driver_lower_text(h):
    h("driver").cursor().execute("  /* now */ commit;")


def driver_end(h):
    h("driver").execute("END TRANSACTION")


def driver_rollback_text(h):
    h("driver").execute("ROLLBACK")


def driver_begin(h):
    h("driver").execute("BEGIN")


def driver_release(h):
    h("driver").execute("RELEASE farandole")


def driver_rollback_to(h):
    h("driver").execute("ROLLBACK TO farandole")


async def connection_commit(h):
    await h("connection").commit()


async def connection_rollback(h):
    await h("connection").rollback()


async def connection_close(h):
    await h("connection").close()


async def connection_invalidate(h):
    await h("connection").invalidate()


async def connection_begin(h):
    h("connection").begin()


async def connection_with(h):
    async with h("connection"):
        pass


async def connection_text(h):
    await h("connection").execute(text("COMMIT"))


async def connection_driver_sql(h):
    await h("connection").exec_driver_sql("ROLLBACK")


async def connection_run_sync(h):
    await h("connection").run_sync(lambda c: c.commit())


async def connection_transaction(h):
    await h("connection").get_transaction().commit()


async def connection_raw(h):
    (await h("connection").get_raw_connection()).driver_connection.commit()


async def session_commit(h):
    await h("session").commit()


async def session_rollback(h):
    await h("session").rollback()


async def session_close(h):
    await h("session").close()


async def session_reset(h):
    await h("session").reset()


async def session_invalidate(h):
    await h("session").invalidate()


async def session_with(h):
    async with h("session"):
        pass


async def session_begin(h):
    async with h("session").begin():
        pass


async def session_text(h):
    await h("session").execute(text("COMMIT"))


async def session_run_sync(h):
    await h("session").run_sync(lambda s: s.commit())


ROUTES = [route for name, route in list(globals().items()) if name.startswith(("driver_", "connection_", "session_"))]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.__name__)
async def test_a_route_out_of_the_transaction_is_refused_with_its_line(opened, route):
    async with opened() as store:
        with raises(ZeroDivisionError):
            async with store.begin() as transaction, transaction.savepoint() as part:
                await part.claim([(R, "1")])
                part.resource("driver").execute("INSERT INTO things VALUES ('1', 'x')")
                with raises(TransactionOwned, saying=f"{__file__}:{route.__code__.co_firstlineno + 1} "):
                    ended = route(part.resource)
                    if ended is not None:
                        await ended
                raise ZeroDivisionError
        assert await store.fates(["1"]) == []
        async with store.begin() as transaction:
            assert transaction.resource("driver").execute("SELECT * FROM things").fetchall() == []


async def test_the_text_commit_is_refused_however_often_the_store_has_committed(opened):
    async with opened() as store:
        for n in range(3):
            async with store.begin() as transaction:
                await transaction.claim([(R, str(n))])
                with pytest.raises(TransactionOwned, match="'COMMIT'"):
                    transaction.resource("driver").execute("COMMIT")


async def test_a_user_may_use_savepoints_of_his_own(opened):
    async with opened() as store, store.begin() as transaction:
        driver = transaction.resource("driver")
        driver.execute("INSERT INTO things VALUES ('1', 'x')")
        driver.execute("SAVEPOINT mine")
        driver.execute("INSERT INTO things VALUES ('2', 'x')")
        driver.execute("ROLLBACK TO mine")
        driver.execute("RELEASE mine")
        connection = transaction.resource("connection")
        async with connection.begin_nested() as nested:
            await connection.execute(text("INSERT INTO things VALUES ('3', 'x')"))
            await nested.rollback()
        assert driver.execute("SELECT id FROM things").fetchall() == [("1",)]
        assert driver.isolation_level is None


async def test_the_isolation_level_stays_as_it_is(opened):
    async with opened() as store, store.begin() as transaction:
        connection = transaction.resource("connection")
        with pytest.raises(InvalidRequestError, match="isolation_level may not be altered"):
            await connection.execution_options(isolation_level="AUTOCOMMIT")
        assert await connection.get_isolation_level() == "SERIALIZABLE"


async def test_the_engine_behind_a_handle_opens_nothing_by_itself(opened):
    async with opened() as store, store.begin() as transaction:
        with pytest.raises(StoreError, match="this engine is the store's own"):
            async with transaction.resource("connection").engine.connect():
                pass


async def test_a_late_transaction_has_no_raw_connection(opened):
    async with opened() as store:
        late = store.begin_late()
        with pytest.raises(DeclarationError, match="Take AsyncConnection or AsyncSession"):
            late.resource("driver")
        await late.close()


@pytest.mark.parametrize("memory", [False, True])
@pytest.mark.parametrize("sql", ["COMMIT", "BEGIN", "ROLLBACK"])
async def test_a_late_reader_cannot_control_transactions_either(opened, memory, sql):
    from farandole.stores import open_store
    from farandole.testing.virtual import VirtualWorld

    async with opened() as in_file:
        store = open_store("sqlite://", VirtualWorld()) if memory else in_file
        await store.open()
        late = store.begin_late()
        with raises(TransactionOwned, saying=f"{__file__}:"):
            await late.resource("connection").execute(text(sql))
        await late.close()
        await store.close()


@pytest.mark.parametrize("memory", [False, True])
async def test_a_late_reader_passes_database_errors_on(opened, memory):
    from sqlalchemy.exc import OperationalError

    from farandole.stores import open_store
    from farandole.testing.virtual import VirtualWorld

    async with opened() as in_file:
        store = open_store("sqlite://", VirtualWorld()) if memory else in_file
        await store.open()
        late = store.begin_late()
        with pytest.raises(OperationalError, match="no such table"):
            await late.resource("connection").execute(text("SELECT * FROM nowhere"))
        assert not late.writing
        await late.close()
        await store.close()


async def test_a_thread_that_outlives_its_reaction_writes_nothing(opened):
    async with opened() as store:
        late = store.begin_late()
        connection = late.resource("sync_connection")
        dbapi = connection.connection.dbapi_connection
        await late.close()
        with pytest.raises(StoreError, match="after its reaction has ended"):
            await asyncio.to_thread(dbapi.cursor().execute, "INSERT INTO things VALUES ('1', 'x')")


async def test_many_rows_at_once_go_straight_to_the_writer(opened):
    async with opened() as store:
        late = store.begin_late()
        rows = [{"id": str(n), "name": "x"} for n in range(3)]
        await late.resource("connection").execute(text("INSERT INTO things VALUES (:id, :name)"), rows)
        assert late.writing
        async with late.finish() as transaction:
            found = transaction.resource("session")
            assert (await found.execute(text("SELECT count(*) FROM things WHERE name REGEXP '^x$'"))).scalar() == 3
        await late.close()
