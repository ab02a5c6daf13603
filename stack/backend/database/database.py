"""The way to the database: SQLite in the state directory, or PostgreSQL by DATABASE_URL."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from stack.backend.database import sqlite
from stack.backend.database.migrations import NewerSchema, migrate
from stack.common import metrics
from stack.common.errors import ApiError
from stack.common.log import Log
from stack.common.settings import SettingError

log = Log("stack.backend.database")

LIMIT = 5.0
"""Seconds for one transaction. Ours take a millisecond; whoever waits longer is better told."""

# Seconds between two looks at a server, as often as at the other services.
_INTERVAL = 1.0

# Seconds for one of those looks: a server that answers does so in a millisecond.
_LOOK = 2.0


def gone(detail: str = "") -> ApiError:
    """The 503 answer while the database cannot be used."""
    message = f"The database cannot be used now{detail}; try again in a moment."
    return ApiError(503, "database_unavailable", message, {"Retry-After": "1"})


class _Driver(Protocol):
    """One kind of database: `sqlite.py`, `postgresql.py`."""

    def engine(self, url: URL, limit: float) -> AsyncEngine: ...

    def away(self, error: DBAPIError) -> bool: ...


def _postgresql() -> _Driver:
    # Its driver is loaded for those who have a server only.
    from stack.backend.database import postgresql

    return postgresql


class Database:
    """A component. A server that is away at the start, or goes away later, is said, and its return noticed.

    Args:
        url: `postgresql://…`; None for the SQLite file.
        directory: where that file is; it exists.

    Raises:
        SettingError: the URL is no address of a PostgreSQL database.
    """

    name = "database"

    def __init__(self, url: str | None, directory: Path) -> None:
        self._url = _checked(url) if url else URL.create("sqlite+aiosqlite", database=str(directory / "stack.db"))
        self._driver: _Driver = _postgresql() if url else sqlite
        self._engine: AsyncEngine | None = None
        self._problem: str | None = "not started yet"
        self._migrated = False
        self._watcher: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Database {self.kind}, {self._problem or 'ready'}>"

    @property
    def kind(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    @property
    def available(self) -> bool:
        """Whether it could be used when last tried."""
        return self._problem is None

    async def start(self) -> None:
        """Connect and bring the tables up to date. A server that is away is no failure: the watcher goes on trying."""
        # At DEBUG these write down every value and row that comes by, hashes of passwords among them.
        for library in ("aiosqlite", "psycopg", "sqlalchemy"):
            logging.getLogger(library).setLevel(logging.WARNING)
        self._engine = self._driver.engine(self._url, LIMIT)
        await self._look()
        self._watcher = asyncio.create_task(self._watch())

    async def stop(self) -> None:
        """Close every connection."""
        if self._watcher is not None:
            self._watcher.cancel()
            await asyncio.gather(self._watcher, return_exceptions=True)
        if self._engine is not None:
            await self._engine.dispose()
        self._problem = "stopped"

    def state(self) -> dict[str, Any]:
        """For the health answer."""
        return {"status": "ok" if self.available else "unavailable", "kind": self.kind, "detail": self._problem or "in use"}

    @contextlib.asynccontextmanager
    async def transaction(self, operation: str) -> AsyncIterator[AsyncConnection]:
        """A connection in a transaction: committed at the end of the block, undone when the block raises.

        Never inside another one: SQLite has one connection, for which the inner one would wait.

        Args:
            operation: what it is for, as the metrics' label; one of a small, fixed set of names.

        Raises:
            ApiError: 503 at once while the database is away, or when it goes away meanwhile or takes longer than LIMIT.
        """
        if self._engine is None or self._problem is not None:
            metrics.DB_OPERATIONS.labels(operation, "unavailable").inc()
            raise gone()
        began = time.perf_counter()
        outcome = "failed"
        try:
            async with asyncio.timeout(LIMIT), self._engine.begin() as connection:
                yield connection
            outcome = "ok"
        except (TimeoutError, PoolTimeout) as error:
            outcome = "timeout"
            log.error("The database takes too long", operation=operation, seconds=LIMIT)
            raise gone(f": no answer within {LIMIT:g} s") from error
        except DBAPIError as error:
            if not self._driver.away(error):
                raise
            outcome = "unavailable"
            self._note(_reason(error))
            raise gone() from error
        finally:
            metrics.DB_OPERATIONS.labels(operation, outcome).inc()
            metrics.DB_SECONDS.labels(operation).observe(time.perf_counter() - began)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_INTERVAL)
            # A file does not go away by itself: it is looked at again only after a failure.
            if self.kind != "sqlite" or not self.available:
                await self._look()

    async def _look(self) -> None:
        assert self._engine is not None
        try:
            async with asyncio.timeout(LIMIT if not self._migrated else _LOOK), self._engine.begin() as connection:
                if self._migrated:
                    await connection.execute(text("SELECT 1"))
                else:
                    version = await migrate(connection)
                    log.info("The database's tables are up to date", kind=self.kind, version=version)
        except TimeoutError:
            self._note(f"no answer within {_LOOK:g} s")
        except NewerSchema as error:
            self._note(str(error))
        except (DBAPIError, PoolTimeout, OSError) as error:
            self._note(_reason(error))
        else:
            self._migrated = True
            self._note(None)

    def _note(self, problem: str | None) -> None:
        """Remember what was found; say it when it is something new."""
        before, self._problem = self._problem, problem
        if problem is None and before is not None:
            log.info(f"[OK] Database connected ({self.kind})")
        elif problem is not None and (before is None or (not self._migrated and before != problem)):
            log.warning(f"[WARN] The database cannot be used ({self.kind})", reason=problem)


def _checked(text_url: str) -> URL:
    try:
        url = make_url(text_url)
    except ArgumentError:
        url = None
    if url is None or url.get_backend_name() not in ("postgresql", "postgres") or not url.database:
        # Without its value: it may hold a password.
        raise SettingError("DATABASE_URL: give an address such as postgresql://user:password@127.0.0.1:5432/stack")
    return url.set(drivername="postgresql+psycopg")


def _reason(error: Exception) -> str:
    """The first line of what the driver says, bounded."""
    original = getattr(error, "orig", None) or error
    return (str(original).strip().splitlines() or [type(error).__name__])[0][:200]
