"""The database: SQLite in a directory, PostgreSQL as a real server that crashes and comes back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import sqlite3
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import inspect, text

from stack.backend.database import database as module
from stack.backend.database.database import Database
from stack.backend.database.migrations import STEPS, NewerSchema, migrate
from stack.backend.database.tables import metadata
from stack.common.errors import ApiError
from stack.common.settings import SettingError
from tests.stack.auth_server import GUARD, auth_server
from tests.stack.servers import Server, postgres_server


@contextlib.asynccontextmanager
async def running(directory: Path, url: str | None = None) -> AsyncIterator[Database]:
    """A started database."""
    database = Database(url, directory)
    await database.start()
    try:
        yield database
    finally:
        await database.stop()


async def scalar(database: Database, statement: str) -> object:
    async with database.transaction("test") as connection:
        return (await connection.execute(text(statement))).scalar_one()


async def run(database: Database, statement: str) -> None:
    async with database.transaction("test") as connection:
        await connection.execute(text(statement))


class Lines(logging.Handler):
    """What the database logs from now on."""

    def __init__(self) -> None:
        super().__init__()
        self._arrivals: queue.SimpleQueue[str] = queue.SimpleQueue()

    def emit(self, record: logging.LogRecord) -> None:
        self._arrivals.put(record.getMessage())

    def wait(self, part: str) -> None:
        """Until a line has `part` in it."""
        deadline = time.monotonic() + GUARD
        while part not in self._arrivals.get(timeout=max(0.0, deadline - time.monotonic())):
            pass


@pytest.fixture
def lines() -> Iterator[Lines]:
    """The database's log."""
    logger = logging.getLogger("stack.backend.database")
    handler = Lines()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


# -- SQLite


def test_the_migrations_make_the_tables_that_the_code_sees(tmp_path: Path) -> None:
    """Every table, column, key and index of `tables.py` is there, and nothing else."""

    async def scene() -> None:
        async with running(tmp_path) as database, database.transaction("test") as connection:
            found = await connection.run_sync(lambda sync: _schema(inspect(sync)))
        assert found == {
            name: (
                {column.name: bool(column.nullable) for column in table.columns},
                [column.name for column in table.primary_key.columns],
                {index.name for index in table.indexes},
            )
            for name, table in metadata.tables.items()
        }

    asyncio.run(scene())


def _schema(inspector: object) -> dict[str, object]:
    return {
        name: (
            {column["name"]: column["nullable"] for column in inspector.get_columns(name)},  # type: ignore[attr-defined]
            inspector.get_pk_constraint(name)["constrained_columns"],  # type: ignore[attr-defined]
            {index["name"] for index in inspector.get_indexes(name)},  # type: ignore[attr-defined]
        )
        for name in inspector.get_table_names()  # type: ignore[attr-defined]
        if name != "schema_version"
    }


def test_steps_are_done_once_and_in_order(tmp_path: Path) -> None:
    """A database of yesterday gets the steps that it has not seen, and keeps what it holds."""
    steps = (*STEPS, ("ALTER TABLE accounts ADD COLUMN colour TEXT",), ("UPDATE accounts SET colour = 'blue'",))

    async def scene() -> None:
        async with running(tmp_path) as database:
            await run(database, "INSERT INTO accounts VALUES ('a', 'Ada', 'ada', NULL, false, 1.0)")
            for _ in range(2):
                async with database.transaction("test") as connection:
                    assert await migrate(connection, steps) == len(steps)
            assert await scalar(database, "SELECT colour FROM accounts") == "blue"
            assert await scalar(database, "SELECT COUNT(*) FROM schema_version") == len(steps)

    asyncio.run(scene())


def test_a_step_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    """All of it is one transaction."""
    steps = (*STEPS, ("CREATE TABLE half (id TEXT)", "NONSENSE"))

    async def scene() -> None:
        async with running(tmp_path) as database:
            with pytest.raises(Exception, match="syntax error"):
                async with database.transaction("test") as connection:
                    await migrate(connection, steps)
            assert await scalar(database, "SELECT COUNT(*) FROM sqlite_master WHERE name = 'half'") == 0
            assert await scalar(database, "SELECT MAX(version) FROM schema_version") == len(STEPS)

    asyncio.run(scene())


def test_tables_of_a_newer_stack_are_left_alone(tmp_path: Path) -> None:
    """An old backend over a new database says so and answers 503, rather than writing what the new one cannot read."""

    async def scene() -> None:
        async with running(tmp_path) as database:
            await run(database, f"INSERT INTO schema_version VALUES ({len(STEPS) + 1}, 1.0)")
        async with running(tmp_path) as database:
            assert "newer backend" in database.state()["detail"]
            with pytest.raises(ApiError) as refused:
                await scalar(database, "SELECT 1")
            assert refused.value.status_code == 503
        assert issubclass(NewerSchema, Exception)

    asyncio.run(scene())


def test_what_raises_is_undone(tmp_path: Path) -> None:
    """A block that fails, or is cancelled, leaves the database as it was and usable."""

    async def scene() -> None:
        async with running(tmp_path) as database:
            await run(database, "CREATE TABLE kept (id INTEGER)")
            inside = asyncio.Event()

            async def fails() -> None:
                async with database.transaction("test") as connection:
                    await connection.execute(text("INSERT INTO kept VALUES (1)"))
                    raise KeyError

            async def stays() -> None:
                async with database.transaction("test") as connection:
                    await connection.execute(text("INSERT INTO kept VALUES (2)"))
                    inside.set()
                    await asyncio.Event().wait()

            with pytest.raises(KeyError):
                await fails()
            task = asyncio.create_task(stays())
            await inside.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await scalar(database, "SELECT COUNT(*) FROM kept") == 0

    asyncio.run(scene())


def test_writers_take_turns(tmp_path: Path) -> None:
    """Forty read-and-write transactions at once, from two backends over one file, lose no update."""

    async def scene() -> None:
        async with running(tmp_path) as one, running(tmp_path) as two:
            await run(one, "CREATE TABLE counter (n INTEGER)")
            await run(one, "INSERT INTO counter VALUES (0)")

            async def count(database: Database) -> None:
                async with database.transaction("test") as connection:
                    seen = (await connection.execute(text("SELECT n FROM counter"))).scalar_one()
                    await connection.execute(text("UPDATE counter SET n = :n"), {"n": seen + 1})

            await asyncio.gather(*(count(database) for database in (one, two) for _ in range(20)))
            assert await scalar(two, "SELECT n FROM counter") == 40

    asyncio.run(scene())


def test_a_locked_file_is_a_503_and_comes_back(tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another process that keeps the lock makes it unavailable; when it lets go, the database is used again."""
    # Of a file that stays locked the database says so when this is over; in tests, sooner.
    monkeypatch.setattr(module, "LIMIT", 0.2)

    async def scene() -> None:
        async with running(tmp_path) as database:
            lines.wait("[OK]")
            holder = sqlite3.connect(tmp_path / "stack.db", isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            for _ in range(2):
                with pytest.raises(ApiError) as refused:
                    await scalar(database, "SELECT 1")
                assert refused.value.code == "database_unavailable"
            holder.rollback()
            holder.close()
            if not database.available:
                await asyncio.to_thread(lines.wait, "[OK]")
            assert await scalar(database, "SELECT 1") == 1

    asyncio.run(scene())


def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    """A file that is no database does not end the backend; its state says what is wrong."""
    (tmp_path / "stack.db").write_bytes(b"not a database, " * 100)

    async def scene() -> None:
        async with running(tmp_path) as database:
            assert database.state() == {"status": "unavailable", "kind": "sqlite", "detail": "file is not a database"}

    asyncio.run(scene())


@pytest.mark.parametrize("url", ["mysql://root:hunter2@localhost/x", "nonsense", "postgresql://user:hunter2@localhost"])
def test_an_unusable_address_is_refused_without_its_password(tmp_path: Path, url: str) -> None:
    """DATABASE_URL is checked before anything else happens."""
    with pytest.raises(SettingError, match="DATABASE_URL") as refused:
        Database(url, tmp_path)
    assert "hunter2" not in str(refused.value)


# -- PostgreSQL


@pytest.fixture(scope="module")
def postgres() -> Iterator[Server]:
    """A real server, shared by the tests of this module; each leaves it running."""
    with postgres_server() as server:
        yield server


def test_accounts_live_in_postgresql_and_outlive_its_crash(postgres: Server, tmp_path: Path, lines: Lines) -> None:
    """Killed under the backend: sign-ins answer 503 at once, who is signed in stays so; its return is noticed, nothing is lost."""
    ada = {"name": "Ada", "password": "correct horse"}
    with auth_server(tmp_path, database_url=postgres.url) as server, server.client() as client:
        lines.wait("[OK]")
        tokens = client.post("/api/auth/register", json=ada).json()
        header = {"Authorization": f"Bearer {tokens['access_token']}"}
        assert client.post("/api/auth/register", json=ada).status_code == 409
        assert client.get("/api/protected", headers=header).status_code == 200
        postgres.kill()
        try:
            assert _unavailable(client.post("/api/auth/login", json=ada))
            assert _unavailable(client.post("/api/auth/demo"))
            assert client.get("/api/protected", headers=header).status_code == 200
        finally:
            postgres.start()
        lines.wait("[OK]")
        answer = client.post("/api/auth/refresh", json={"refresh_token": tokens["refresh_token"]})
        assert answer.status_code == 200
        assert client.post("/api/auth/login", json=ada).json()["account"] == tokens["account"]


def test_a_replayed_refresh_token_ends_its_session_in_postgresql(postgres: Server, tmp_path: Path) -> None:
    """The statements mean the same there as in SQLite."""
    with auth_server(tmp_path, database_url=postgres.url) as server, server.client() as client:
        first = client.post("/api/auth/demo").json()
        assert client.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 200
        assert client.post("/api/auth/refresh", json={"refresh_token": first["refresh_token"]}).status_code == 401
        assert client.get("/api/protected", headers={"Authorization": f"Bearer {first['access_token']}"}).status_code == 401


def test_of_many_who_want_a_name_one_gets_it(postgres: Server, tmp_path: Path) -> None:
    """Registrations that meet in the database: one account is made, the others are told, none fails."""
    body = {"name": "Zuse", "password": "correct horse"}
    answers: list[int] = []
    with auth_server(tmp_path, database_url=postgres.url) as server:

        def register() -> None:
            with server.client() as client:
                answers.append(client.post("/api/auth/register", json=body).status_code)

        threads = [threading.Thread(target=register) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(answers) == [201] + [409] * 5


def test_a_server_that_hangs_is_given_up(postgres: Server, tmp_path: Path, lines: Lines, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes connections and answers nothing costs a caller the limit, not for ever."""

    async def scene() -> None:
        async with running(tmp_path, postgres.url) as database:
            lines.wait("[OK]")
            monkeypatch.setattr(module, "LIMIT", 0.3)
            server = psutil.Process(postgres.pid)
            frozen = [server, *server.children(recursive=True)]
            for process in frozen:
                process.suspend()
            try:
                with pytest.raises(ApiError) as refused:
                    await scalar(database, "SELECT 1")
                assert refused.value.status_code == 503
            finally:
                for process in frozen:
                    process.resume()
            monkeypatch.undo()
            # The watcher may find out a moment later, too: then the return is noticed by its next look.
            async with asyncio.timeout(GUARD):
                while True:
                    try:
                        assert await scalar(database, "SELECT 1") == 1
                        return
                    except ApiError:
                        await asyncio.sleep(0.05)

    asyncio.run(scene())


def test_a_server_that_is_not_there_yet_is_waited_for(postgres: Server, tmp_path: Path, lines: Lines) -> None:
    """A backend that starts first starts, degraded, and makes its tables when the server comes."""
    postgres.kill()

    async def scene() -> None:
        async with running(tmp_path, postgres.url) as database:
            assert database.state()["status"] == "unavailable"
            await asyncio.to_thread(postgres.start)
            await asyncio.to_thread(lines.wait, "[OK]")
            assert await scalar(database, "SELECT COUNT(*) FROM schema_version") == len(STEPS)

    asyncio.run(scene())


def _unavailable(answer: httpx.Response) -> bool:
    return (answer.status_code, answer.json()["error"]["code"]) == (503, "database_unavailable")
