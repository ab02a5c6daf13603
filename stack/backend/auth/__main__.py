"""`python -m stack.backend.auth`: accounts, for whoever runs the stack. It needs no token: it reads the database itself."""

from __future__ import annotations

import argparse
import asyncio
import getpass
import os
import re
import sys
import time

from stack.backend.auth import accounts
from stack.backend.auth.accounts import NAME, NameTaken
from stack.backend.auth.passwords import LONGEST, SHORTEST, Passwords
from stack.backend.database.database import Database
from stack.common.errors import ApiError
from stack.common.settings import SettingError
from stack.common.state_dir import state_dir


class Refused(Exception):
    """What was asked for cannot be done; the message says why."""


async def add(database: Database, name: str, password: str, *, admin: bool) -> None:
    """Make an account.

    Raises:
        Refused: the name or the password cannot be used.
        ApiError: the database is away.
    """
    if not re.fullmatch(NAME, name):
        raise Refused(f"{name!r}: a name has up to 64 letters, digits and any of . _ @ + -")
    if not SHORTEST <= len(password) <= LONGEST:
        raise Refused(f"A password has {SHORTEST} characters at least, and {LONGEST} at most.")
    hashed = await Passwords().hash(password)
    try:
        async with database.transaction("auth.register") as connection:
            await accounts.add(connection, name, hashed, time.time())
            if admin:
                await accounts.set_admin(connection, name, True)
    except NameTaken as error:
        raise Refused(f"There is an account {name} already.") from error


async def promote(database: Database, name: str, *, admin: bool) -> None:
    """Make an account an admin, or no admin any more. It shows with its next access token.

    Raises:
        Refused: there is no such account.
        ApiError: the database is away.
    """
    async with database.transaction("auth.admin") as connection:
        if not await accounts.set_admin(connection, name, admin):
            raise Refused(f"There is no account {name}.")


async def run(words: argparse.Namespace) -> None:
    """Do what the command line says."""
    # Before the database is opened: somebody types it.
    password = _password() if words.command == "add" else ""
    database = Database(os.environ.get("DATABASE_URL", "").strip() or None, state_dir())
    await database.start()
    try:
        if words.command == "add":
            await add(database, words.name, password, admin=words.admin)
        else:
            await promote(database, words.name, admin=not words.revoke)
    finally:
        await database.stop()


def main() -> int:
    """The command; returns its exit status: 0, or 1 when it could not be done, or 2 for wrong words."""
    parser = argparse.ArgumentParser(prog="python -m stack.backend.auth", description="Accounts of the stack in STACK_STATE.")
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="make an account; the password is read from the terminal or the standard input")
    adding.add_argument("name")
    adding.add_argument("--admin", action="store_true", help="one that may change what concerns everybody")
    promoting = commands.add_parser("admin", help="make an account an admin")
    promoting.add_argument("name")
    promoting.add_argument("--revoke", action="store_true", help="make it no admin any more")
    try:
        asyncio.run(run(parser.parse_args()))
    except (Refused, SettingError) as error:
        print(error, file=sys.stderr)
        return 1
    except ApiError as error:
        print(error.detail, file=sys.stderr)
        return 1
    return 0


def _password() -> str:
    if sys.stdin.isatty():
        return getpass.getpass("Password: ")
    return sys.stdin.readline().rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
