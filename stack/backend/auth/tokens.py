"""Access tokens: JWTs (RFC 7519) that say who signed in, signed with the ring's keys, good for 15 minutes."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

import jwt

from stack.backend.auth.guard import Principal, unknown
from stack.backend.auth.keys import KeyRing

LIFETIME = 15 * 60
"""Seconds that a token is good for: as long as a key must be kept, and as a lost token does harm at most."""

ALGORITHM = "EdDSA"

# Ours have about 500 characters.
_LONGEST = 4096

_TYPE = "at+jwt"
_WHO = "assistant"

# Seconds by which the clocks of two backends may differ.
_LEEWAY = 5


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Makes and reads tokens.

    Args:
        ring: the keys.
        clock: Unix seconds, for making. Reading goes by the real time.
    """

    ring: KeyRing
    clock: Callable[[], float] = time.time

    def make(self, principal: Principal) -> str:
        """A token for `principal`."""
        key = self.ring.signing()
        now = int(self.clock())
        claims = {
            "iss": _WHO,
            "aud": _WHO,
            "sub": principal.account_id,
            "name": principal.name,
            "sid": principal.session_id,
            "admin": principal.admin,
            "iat": now,
            "exp": now + LIFETIME,
            "jti": secrets.token_hex(8),
        }
        return jwt.encode(claims, key.private, ALGORITHM, headers={"kid": key.kid, "typ": _TYPE})

    def read(self, token: str) -> Principal:
        """Who a token is for. It may belong to a session that has ended since.

        Raises:
            ApiError: 401 `token_expired`, or `invalid_token` when it was not made here, was changed, or is none.
        """
        try:
            if len(token) > _LONGEST:
                raise jwt.DecodeError("too long")
            header = jwt.get_unverified_header(token)
            key = self.ring.checking(str(header.get("kid")))
            if key is None or header.get("typ") != _TYPE:
                raise jwt.InvalidKeyError("signed with no key of ours")
            claims = jwt.decode(
                token,
                key.public,
                # Ours alone, whatever the token's header asks for (RFC 8725, section 3.1).
                algorithms=[ALGORITHM],
                audience=_WHO,
                issuer=_WHO,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "sub", "sid", "name", "admin"]},
            )
            return Principal(str(claims["sub"]), str(claims["name"]), str(claims["sid"]), claims["admin"] is True)
        except jwt.ExpiredSignatureError as error:
            raise unknown("token_expired", "The access token has expired; refresh it.") from error
        # A text that is no token at all can fail in ways that are no PyJWTError, such as UnicodeEncodeError (a ValueError).
        except (jwt.PyJWTError, ValueError) as error:
            raise unknown("invalid_token", "The access token is not one of this stack; sign in again.") from error
