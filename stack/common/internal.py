"""How the services recognise each other: a token made with a key that all of them can read, and nobody else.

The key lies in the state directory; whoever starts first makes it. A token names who made it and ends after a minute, so that one
found in a log or a dump is soon worth nothing.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import hmac
import os
import secrets
import time
from pathlib import Path

from stack.common.settings import SettingError
from stack.common.state_dir import state_dir

SCHEME = "Internal"

LIFETIME = 60
"""Seconds that a token is good for."""

# Seconds by which the clock may have jumped between making and checking.
_SKEW = 5
_KEY_BYTES = 32


class InternalKey:
    """Makes and checks tokens.

    Args:
        path: the key's file. It is made when it is missing.

    Raises:
        OSError: it can neither be read nor made.
        ValueError: it holds no key.
    """

    def __init__(self, path: Path) -> None:
        self._key = _read_or_make(path)

    def headers(self, name: str) -> dict[str, str]:
        """The header that proves that service `name` asks. Make it anew for each request."""
        claim = f"{name}.{int(time.time()) + LIFETIME}"
        return {"Authorization": f"{SCHEME} {claim}.{self._sign(claim)}"}

    def verify(self, header: str | None) -> str | None:
        """The name of the service that made an Authorization header, or None when none of ours did, or too long ago."""
        scheme, _, token = (header or "")[:500].partition(" ")
        claim, _, signature = token.rpartition(".")
        name, _, expiry = claim.rpartition(".")
        if scheme != SCHEME or not hmac.compare_digest(self._sign(claim).encode(), signature.encode("utf-8", "replace")):
            return None
        # Signed by us, so it is a number.
        left = int(expiry) - time.time()
        return name if 0 < left <= LIFETIME + _SKEW else None

    def _sign(self, claim: str) -> str:
        return hmac.new(self._key, claim.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


@functools.cache
def stack_key() -> InternalKey:
    """The key in the state directory, read once.

    Raises:
        SettingError: it can neither be read nor made.
    """
    try:
        return InternalKey(state_dir() / "internal.key")
    except (OSError, ValueError) as error:
        raise SettingError(f"STACK_STATE: the services' common key cannot be read there: {error}") from error


def headers(name: str) -> dict[str, str]:
    """`InternalKey.headers` with the stack's key."""
    return stack_key().headers(name)


def verify(header: str | None) -> str | None:
    """`InternalKey.verify` with the stack's key."""
    return stack_key().verify(header)


def _read_or_make(path: Path) -> bytes:
    with contextlib.suppress(FileNotFoundError):
        return _read(path)
    draft = path.with_name(f"{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_hex(_KEY_BYTES))
        # A link fails where a rename would replace: of several services that start at once, one wins and all read its key.
        with contextlib.suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    return _read(path)


def _read(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text(encoding="ascii").strip())
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(f"{path} holds no key; delete it, and the next start makes one")
    return key
