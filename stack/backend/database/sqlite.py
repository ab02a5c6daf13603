"""SQLite: a file, one connection, and what its errors mean."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# Primary result codes that blame the statement or its values; all others blame the file, the disk or somebody else's lock.
_OURS = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_RANGE)


def engine(url: URL, limit: float) -> AsyncEngine:
    """The way to a file, which is made when it is missing.

    Args:
        url: names it.
        limit: seconds to wait for the connection, and for the lock of another process.
    """
    # For its owner alone, as are its journals, which take its mode. One that cannot be made is reported when it is used.
    with contextlib.suppress(OSError):
        os.close(os.open(url.database or "", os.O_CREAT | os.O_RDWR, 0o600))
    # One connection: SQLite has one writer anyway, and waiting here is fair and wakes at once, unlike waiting for its lock.
    made = create_async_engine(
        url, pool_size=1, max_overflow=0, pool_timeout=limit, hide_parameters=True, connect_args={"timeout": limit}
    )

    @event.listens_for(made.sync_engine, "connect")
    def prepare(connection: Any, _: object) -> None:
        # Transactions are begun below; Python's driver would begin them too late.
        connection.isolation_level = None
        cursor = connection.cursor()
        # WAL survives the death of the process without waiting for the disk at every commit; others can read meanwhile.
        for pragma in ("journal_mode=WAL", "synchronous=NORMAL", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(made.sync_engine, "begin")
    def begin(connection: Any) -> None:
        # Takes the write lock first: a transaction that reads and then writes cannot meet another one in between.
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return made


def away(error: DBAPIError) -> bool:
    """Whether the file cannot be used now: the disk is full, another process holds its lock, it is damaged."""
    code = getattr(error.orig, "sqlite_errorcode", None)
    # The low byte is the primary code.
    return code is not None and code & 0xFF not in _OURS
