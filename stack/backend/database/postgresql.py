"""PostgreSQL: a server, a few connections, and what its errors mean."""

from __future__ import annotations

from typing import Any

import psycopg
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

# As many as the queue works on at a time; a server allows a hundred.
_CONNECTIONS = 10

# Seconds to connect, the least that libpq takes.
_CONNECT = 2

# Classes of SQLSTATE (the manual's appendix A) that say that the server is away, full, or about to go.
_AWAY = ("08", "53", "57", "58", "XX")


class _Impatient(psycopg.AsyncConnection[Any]):
    """A connection whose user may give up at any time.

    psycopg's own first asks the server to cancel the statement and waits up to 10 s for it; one that hangs is why we give up.
    """

    async def cancel_safe(self, *, timeout: float = 0.0) -> None:
        """Close the connection: the server undoes what was begun, when it notices."""
        self.pgconn.finish()


def engine(url: URL, limit: float) -> AsyncEngine:
    """The way to a server.

    Args:
        url: names it, with `postgresql+psycopg` as its scheme.
        limit: seconds to wait for a connection, and for a statement.
    """
    options = {
        "connect_timeout": _CONNECT,
        "application_name": "stack",
        "options": f"-c statement_timeout={int(limit * 1000)}",
        "async_creator_fn": _Impatient.connect,
    }
    # Pinged before use: one that a restart of the server has ended is replaced unnoticed.
    return create_async_engine(
        url,
        pool_size=_CONNECTIONS,
        max_overflow=0,
        pool_timeout=limit,
        pool_pre_ping=True,
        hide_parameters=True,
        connect_args=options,
    )


def away(error: DBAPIError) -> bool:
    """Whether the server cannot be used now, or did not get round to it; not, when the statement is wrong."""
    if error.connection_invalidated:
        return True
    state = getattr(error.orig, "sqlstate", None)
    if state is None:
        # The server did not answer: no connection, or none any more.
        return isinstance(error.orig, psycopg.OperationalError | psycopg.InterfaceError)
    return str(state).startswith(_AWAY)
