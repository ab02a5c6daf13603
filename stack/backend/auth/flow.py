"""A sign-in at a provider of OpenID Connect that is under way: what the browser keeps until it comes back."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from dataclasses import asdict, dataclass

from cryptography.fernet import Fernet, InvalidToken

FLOW_LIFETIME = 600
"""Seconds for somebody to sign in at the provider."""


class OidcError(Exception):
    """A sign-in at the provider came to nothing.

    Args:
        code: for the page: denied, expired, invalid or unavailable.
        detail: for the log.
    """

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code


@dataclass(frozen=True, slots=True)
class Flow:
    """A sign-in that has begun; the browser keeps it, sealed, until it comes back.

    Attributes:
        state: comes back with the browser: the answer belongs to a question of this browser.
        nonce: comes back in the ID token: it was made for this question.
        verifier: what the challenge was made from: whoever only saw the code cannot use it.
    """

    state: str
    nonce: str
    verifier: str

    @classmethod
    def new(cls) -> Flow:
        """A flow of random values."""
        return cls(secrets.token_urlsafe(24), secrets.token_urlsafe(24), secrets.token_urlsafe(48))

    @property
    def challenge(self) -> str:
        """The verifier's hash (RFC 7636, section 4.2)."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()

    def seal(self, key: bytes, now: float) -> str:
        """The flow, encrypted and signed with 32 bytes of key at a time in Unix seconds, for a cookie."""
        return _box(key).encrypt_at_time(json.dumps(asdict(self)).encode(), int(now)).decode()

    @classmethod
    def unseal(cls, text: str, key: bytes, now: float) -> Flow:
        """The flow in a cookie.

        Raises:
            OidcError: it is none, or older than FLOW_LIFETIME.
        """
        try:
            return cls(**json.loads(_box(key).decrypt_at_time(text.encode(), FLOW_LIFETIME, int(now))))
        except (InvalidToken, ValueError) as error:
            raise OidcError("expired", "the sign-in was not begun in this browser, or too long ago") from error


def _box(key: bytes) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(key))
