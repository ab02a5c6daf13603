"""Accounts in the database: with a password, or known by a provider of OpenID Connect."""

from __future__ import annotations

import re
import unicodedata
import uuid
from dataclasses import dataclass

from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from stack.backend.database.tables import accounts, identities

DEMO = "demo"
"""Id and name of the account that development signs in without a password."""

NAME = re.compile(r"[\w.@+-]{1,64}")
"""What a name may look like: letters and digits of any script, and what e-mail addresses have."""

# Names tried for somebody whose own is taken.
_SUFFIXES = 100


@dataclass(frozen=True, slots=True)
class Account:
    """Somebody who can sign in.

    Attributes:
        account_id: stays the same for ever.
        name: unique, and two that look alike are one.
        admin: whether it may change what concerns everybody.
        password_hash: None when it signs in elsewhere only.
    """

    account_id: str
    name: str
    admin: bool
    password_hash: str | None = None


class NameTaken(Exception):
    """Another account has this name."""


def key_of(name: str) -> str:
    """The form of a name that is compared: neither case nor the way of writing a letter makes a difference."""
    return unicodedata.normalize("NFKC", name).casefold()


async def by_name(connection: AsyncConnection, name: str) -> Account | None:
    """The account with this name."""
    return await _one(connection, accounts.c.name_key == key_of(name))


async def by_id(connection: AsyncConnection, account_id: str) -> Account | None:
    """The account with this id."""
    return await _one(connection, accounts.c.id == account_id)


async def _one(connection: AsyncConnection, condition: object) -> Account | None:
    query = select(accounts.c.id, accounts.c.name, accounts.c.admin, accounts.c.password_hash).where(condition)  # type: ignore[arg-type]
    row = (await connection.execute(query)).one_or_none()
    return None if row is None else Account(row.id, row.name, row.admin, row.password_hash)


async def add(
    connection: AsyncConnection, name: str, password_hash: str | None, now: float, *, account_id: str | None = None
) -> Account:
    """Make an account.

    Raises:
        NameTaken: there is one with this name.
    """
    made = Account(account_id or uuid.uuid4().hex, unicodedata.normalize("NFKC", name), False, password_hash)
    row = {"id": made.account_id, "name": made.name, "name_key": key_of(name), "password_hash": password_hash}
    try:
        # A savepoint: on PostgreSQL a refused statement would spoil the whole transaction.
        async with connection.begin_nested():
            await connection.execute(insert(accounts).values(**row, admin=False, created=now))
    except IntegrityError as error:
        raise NameTaken(name) from error
    return made


async def demo(connection: AsyncConnection, now: float) -> Account:
    """The demo account, made when it is missing."""
    if (found := await by_id(connection, DEMO)) is not None:
        return found
    try:
        return await add(connection, DEMO, None, now, account_id=DEMO)
    except NameTaken:
        # Two asked at once, and the other was first.
        found = await by_id(connection, DEMO)
        assert found is not None
        return found


async def set_password(connection: AsyncConnection, account_id: str, password_hash: str) -> None:
    """Replace the account's hash."""
    await connection.execute(update(accounts).where(accounts.c.id == account_id).values(password_hash=password_hash))


async def set_admin(connection: AsyncConnection, name: str, admin: bool) -> bool:
    """Make an account an admin, or no admin any more. False when there is no such account."""
    changed = await connection.execute(update(accounts).where(accounts.c.name_key == key_of(name)).values(admin=admin))
    return changed.rowcount == 1


async def of_identity(connection: AsyncConnection, issuer: str, subject: str, name: str, now: float) -> Account:
    """The account of somebody whom a provider knows, made at the first sign-in.

    It is never an account that was there already: a provider's word on a name or an e-mail address proves nothing about ours.

    Args:
        connection: in a transaction.
        issuer: the provider.
        subject: who it is, as the provider calls them for ever.
        name: as the provider calls them today; a number is added when it is taken.
        now: Unix seconds.
    """
    query = select(identities.c.account_id).where(identities.c.issuer == issuer, identities.c.subject == subject)
    if (known := (await connection.execute(query)).scalar_one_or_none()) is not None:
        account = await by_id(connection, known)
        assert account is not None
        return account
    account = await _add_near(connection, name, now)
    row = {"issuer": issuer, "subject": subject, "account_id": account.account_id, "created": now}
    await connection.execute(insert(identities).values(**row))
    return account


async def _add_near(connection: AsyncConnection, name: str, now: float) -> Account:
    usable = re.sub(r"[^\w.@+-]+", "-", unicodedata.normalize("NFKC", name))[:56].strip("-") or "somebody"
    for suffix in range(_SUFFIXES):
        try:
            return await add(connection, f"{usable}-{suffix + 1}" if suffix else usable, None, now)
        except NameTaken:
            continue
    return await add(connection, f"{usable[:30]}-{uuid.uuid4().hex}", None, now)
