"""How the tables came about: numbered steps, each done once, in order, all in one transaction.

A step that was released never changes; what is to change comes as a further step at the end.
"""

from __future__ import annotations

import time

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

# SQL that SQLite and PostgreSQL both understand.
STEPS: tuple[tuple[str, ...], ...] = (
    (
        """CREATE TABLE accounts (
            id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, name_key TEXT NOT NULL UNIQUE, password_hash TEXT,
            admin BOOLEAN NOT NULL, created DOUBLE PRECISION NOT NULL)""",
        """CREATE TABLE identities (
            issuer TEXT NOT NULL, subject TEXT NOT NULL, account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE,
            created DOUBLE PRECISION NOT NULL, PRIMARY KEY (issuer, subject))""",
        """CREATE TABLE sessions (
            id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL REFERENCES accounts (id) ON DELETE CASCADE, method TEXT NOT NULL,
            address TEXT NOT NULL, user_agent TEXT NOT NULL, created DOUBLE PRECISION NOT NULL,
            last_used DOUBLE PRECISION NOT NULL, expires DOUBLE PRECISION NOT NULL, revoked DOUBLE PRECISION)""",
        "CREATE INDEX ix_sessions_account_id ON sessions (account_id)",
        "CREATE INDEX ix_sessions_expires ON sessions (expires)",
        """CREATE TABLE refresh_tokens (
            hash TEXT NOT NULL PRIMARY KEY, session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
            created DOUBLE PRECISION NOT NULL, used DOUBLE PRECISION)""",
        "CREATE INDEX ix_refresh_tokens_session_id ON refresh_tokens (session_id)",
        """CREATE TABLE tasks (
            id TEXT NOT NULL PRIMARY KEY, account_id TEXT NOT NULL, task TEXT NOT NULL, request TEXT NOT NULL, state TEXT NOT NULL,
            answer TEXT, error TEXT, attempts INTEGER NOT NULL, created DOUBLE PRECISION NOT NULL,
            updated DOUBLE PRECISION NOT NULL)""",
        "CREATE INDEX ix_tasks_account_id ON tasks (account_id)",
        "CREATE INDEX ix_tasks_state ON tasks (state)",
    ),
)

# Any number that nothing else in the same server uses as an advisory lock.
_LOCK = 0x5374_6163_6B


class NewerSchema(Exception):
    """The tables were made by a later version of the stack."""


async def migrate(connection: AsyncConnection, steps: tuple[tuple[str, ...], ...] = STEPS) -> int:
    """Do the steps that the database has not seen, and return its version: how many it has seen now.

    Args:
        connection: in a transaction. On SQLite it holds the write lock, so that two backends that start together take turns.
        steps: all there are, in order.

    Raises:
        NewerSchema: the database has seen more steps than there are.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    await connection.execute(
        text("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, applied DOUBLE PRECISION NOT NULL)")
    )
    seen = int((await connection.execute(text("SELECT COALESCE(MAX(version), 0) FROM schema_version"))).scalar_one())
    if seen > len(steps):
        raise NewerSchema(f"its tables have version {seen}, this backend knows {len(steps)}: start a newer backend")
    for version, statements in enumerate(steps[seen:], start=seen + 1):
        for statement in statements:
            await connection.execute(text(statement))
        mark = text("INSERT INTO schema_version (version, applied) VALUES (:version, :applied)")
        await connection.execute(mark, {"version": version, "applied": time.time()})
    return len(steps)
