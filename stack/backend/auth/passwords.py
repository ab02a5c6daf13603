"""Passwords: kept as Argon2id hashes (RFC 9106), checked in a thread, two at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import Argon2Error, InvalidHashError

T = TypeVar("T")

SHORTEST = 8
"""Characters of a new password (NIST SP 800-63B, section 3.1.1.2). There are no rules on their kind."""

LONGEST = 256
"""Characters, to bound what hashing costs."""

# OWASP's smallest recommended cost: 19 MiB, two passes, one lane. 25 ms: unnoticed at a sign-in, dear at a billion guesses.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)

# Hashes at once. More would not be faster on a small machine, and 19 MiB each add up.
_AT_ONCE = 2


class Passwords:
    """Makes and checks hashes."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash of a password, with its salt and cost, as text."""
        return await self._in_turn(lambda: _HASHER.hash(password))

    async def matches(self, hashed: str | None, password: str) -> bool:
        """Whether `hashed` was made from `password`.

        Without a hash (there is no such account) it takes as long as with one: how long an answer takes tells no names.
        """
        if hashed is None:
            if self._nobody is None:
                self._nobody = await self.hash("nobody's")
            await self._verify(self._nobody, password)
            return False
        return await self._verify(hashed, password)

    def outdated(self, hashed: str) -> bool:
        """Whether the hash was made at another cost than today's."""
        return _HASHER.check_needs_rehash(hashed)

    async def _verify(self, hashed: str, password: str) -> bool:
        def verify() -> bool:
            try:
                return _HASHER.verify(hashed, password)
            except (Argon2Error, InvalidHashError):
                return False

        return await self._in_turn(verify)

    async def _in_turn(self, work: Callable[[], T]) -> T:
        async with self._turns:
            return await asyncio.to_thread(work)
