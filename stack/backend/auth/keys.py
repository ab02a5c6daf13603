"""The keys that sign access tokens: a ring of Ed25519 keys in a file, each with an id, the newest one signing."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from stack.common.log import Log

log = Log("stack.backend.auth.keys")

ROTATE_AFTER = 30 * 24 * 3600.0
"""Seconds after which a key is replaced without being asked."""

# Old keys kept at most. Each stays while a token that it signed may live: only somebody who rotates all the time meets this.
_MAX_OLD = 20


@dataclass(frozen=True, slots=True)
class Key:
    """A signing key.

    Attributes:
        kid: its id, in the header of what it signed.
        private: the key.
        created: Unix seconds.
        retired: when a newer one took its place; None while it signs.
    """

    kid: str
    private: Ed25519PrivateKey
    created: float
    retired: float | None = None

    @property
    def public(self) -> Ed25519PublicKey:
        """What checks its signatures."""
        return self.private.public_key()


class KeyRing:
    """The keys in a file, which is made when it is missing and readable for its owner alone. Another backend may rotate them.

    Args:
        path: the file.
        token_lifetime: seconds for which a retired key still checks what it signed.
        clock: Unix seconds.

    Raises:
        OSError: the file can neither be read nor made.
        ValueError: it holds no keys.
    """

    def __init__(self, path: Path, token_lifetime: float, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._token_lifetime = token_lifetime
        self._clock = clock
        with self._alone():
            if not path.exists():
                self._write(secrets.token_bytes(32), (self._new(),))
        self._read()

    def signing(self) -> Key:
        """The key that signs now."""
        return self._keys[0]

    def checking(self, kid: str) -> Key | None:
        """The key with this id, if it may still check signatures."""
        if all(key.kid != kid for key in self._keys) and self._stamp() != self._read_at:
            self._read()
        return next((key for key in self._keys if key.kid == kid and self._usable(key)), None)

    def rotate(self, *, older_than: float = 0.0) -> Key:
        """Let a new key sign from now on and return the one that does. What was signed before stays good until it ends by itself.

        Args:
            older_than: seconds; a younger key goes on signing.
        """
        with self._alone():
            self._read()
            current = self._keys[0]
            if self._clock() - current.created < older_than:
                return current
            retired = Key(current.kid, current.private, current.created, self._clock())
            old = [key for key in (retired, *self._keys[1:]) if self._usable(key)]
            self._write(self._secret, (self._new(), *old[:_MAX_OLD]))
            self._read()
        log.info("A new key signs access tokens", kid=self._keys[0].kid, was=current.kid)
        return self._keys[0]

    def derive(self, purpose: str, text: str = "") -> bytes:
        """32 bytes that only this ring can make from `text`, other ones for each purpose. Rotation leaves them as they are."""
        return hmac.new(self._secret, f"{purpose}\0{text}".encode(), hashlib.sha256).digest()

    def _usable(self, key: Key) -> bool:
        return key.retired is None or self._clock() - key.retired < self._token_lifetime

    def _new(self) -> Key:
        return Key(secrets.token_hex(8), Ed25519PrivateKey.generate(), self._clock())

    def _stamp(self) -> tuple[int, int]:
        found = self._path.stat()
        return found.st_mtime_ns, found.st_ino

    def _read(self) -> None:
        stamp = self._stamp()
        try:
            document = json.loads(self._path.read_text(encoding="ascii"))
            secret = _bytes(document["secret"])
            keys = tuple(_key(item) for item in document["keys"])
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{self._path} holds no keys; delete it, and the next start makes some") from error
        if not keys:
            raise ValueError(f"{self._path} holds no keys; delete it, and the next start makes some")
        self._secret, self._keys, self._read_at = secret, keys, stamp

    def _write(self, secret: bytes, keys: tuple[Key, ...]) -> None:
        document = {"secret": _text(secret), "keys": [_item(key) for key in keys]}
        draft = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            json.dump(document, file)
            file.flush()
            # A key that is lost in a power cut ends everybody's session.
            os.fsync(file.fileno())
        draft.replace(self._path)

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """No other process changes the file inside the block. The lock ends with its holder, however that dies."""
        descriptor = os.open(self._path.with_name(f"{self._path.name}.lock"), os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _key(item: dict[str, object]) -> Key:
    private = Ed25519PrivateKey.from_private_bytes(_bytes(item["private"]))
    retired = item["retired"]
    return Key(str(item["kid"]), private, float(str(item["created"])), None if retired is None else float(str(retired)))


def _item(key: Key) -> dict[str, object]:
    private = _text(key.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption()))
    return {"kid": key.kid, "private": private, "created": key.created, "retired": key.retired}


def _bytes(text: object) -> bytes:
    return base64.b64decode(str(text), validate=True)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode("ascii")
