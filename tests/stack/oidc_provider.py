"""A small provider of OpenID Connect: discovery, keys, authorization, token, over a real socket.

Whoever comes to its authorization page is `subject` and agrees at once. It is strict where the standard lets it be: exact redirect
address, PKCE with S256, codes good for one use, a client that proves who it is. A test can have it lie in the ways that matter.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from tests.stack.auth_server import serving

CLIENT_ID = "assistant-stack"
CLIENT_SECRET = "s3cret:with/odd characters"

Claims = dict[str, Any]


@dataclass(frozen=True)
class Grant:
    """What a code stands for."""

    redirect_uri: str
    challenge: str
    nonce: str
    subject: str


@dataclass
class Key:
    """A signing key with its id."""

    kid: str = field(default_factory=lambda: secrets.token_hex(4))
    private: rsa.RSAPrivateKey = field(default_factory=lambda: rsa.generate_private_key(65537, 2048))

    def jwk(self) -> dict[str, Any]:
        return {**jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True), "kid": self.kid, "use": "sig"}


class OidcProvider:
    """The provider.

    Attributes:
        subject: who signs in.
        name: what it says they are called.
        deny: whether they say no.
        alter: changes the claims of the next ID tokens.
        sign: makes the token of claims; by default with the newest key.
        keys: the newest last.
        counts: requests by path.
        issuer: what it calls itself.
    """

    def __init__(self) -> None:
        self.url = ""
        self.issuer = ""
        self.subject = "248289761001"
        self.name = "Grace"
        self.deny = False
        self.alter: Callable[[Claims], Claims] = dict
        self.sign: Callable[[Claims], str] = self.honest
        self.keys = [Key()]
        self.counts: Counter[str] = Counter()
        self._grants: dict[str, Grant] = {}

    def honest(self, claims: Claims) -> str:
        """The token of claims, signed with the newest key."""
        key = self.keys[-1]
        return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid})

    def rotate(self) -> None:
        """Sign with a new key from now on, and forget the old one."""
        self.keys = [Key()]

    def application(self) -> Starlette:
        """The provider's endpoints."""
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._describe),
                Route("/jwks", self._jwks),
                Route("/authorize", self._authorize),
                Route("/token", self._token, methods=["POST"]),
            ]
        )

    async def _describe(self, request: Request) -> Response:
        self.counts["description"] += 1
        return JSONResponse(
            {
                "issuer": self.issuer,
                "authorization_endpoint": f"{self.url}/authorize",
                "token_endpoint": f"{self.url}/token",
                "jwks_uri": f"{self.url}/jwks",
                "response_types_supported": ["code"],
                "code_challenge_methods_supported": ["S256"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )

    async def _jwks(self, request: Request) -> Response:
        self.counts["jwks"] += 1
        return JSONResponse({"keys": [key.jwk() for key in self.keys]})

    async def _authorize(self, request: Request) -> Response:
        query = request.query_params
        expected = {"response_type": "code", "client_id": CLIENT_ID, "code_challenge_method": "S256"}
        if any(query.get(name) != value for name, value in expected.items()) or "openid" not in query["scope"].split():
            return JSONResponse({"error": "invalid_request"}, 400)
        answer = {"state": query["state"], "iss": self.issuer}
        if self.deny:
            answer["error"] = "access_denied"
        else:
            answer["code"] = secrets.token_urlsafe(16)
            self._grants[answer["code"]] = Grant(query["redirect_uri"], query["code_challenge"], query["nonce"], self.subject)
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(answer)}", 302)

    async def _token(self, request: Request) -> Response:
        self.counts["token"] += 1
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if _basic(request.headers.get("Authorization", "")) != (CLIENT_ID, CLIENT_SECRET):
            return JSONResponse({"error": "invalid_client"}, 401)
        grant = self._grants.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        if grant is None or form.get("redirect_uri") != grant.redirect_uri or challenge != grant.challenge:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": grant.subject, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": grant.nonce}
        token = self.sign(self.alter(claims | {"preferred_username": self.name}))
        return JSONResponse({"access_token": secrets.token_urlsafe(16), "token_type": "Bearer", "id_token": token})


def _basic(header: str) -> tuple[str, str] | None:
    """Who a client says it is (RFC 6749, section 2.3.1: both halves are form-encoded)."""
    scheme, _, encoded = header.partition(" ")
    if scheme != "Basic":
        return None
    name, _, secret = base64.b64decode(encoded).decode().partition(":")
    return unquote(name), unquote(secret)


@contextlib.contextmanager
def oidc_provider() -> Iterator[OidcProvider]:
    """A provider that runs until the block ends."""
    made = OidcProvider()
    with serving(made.application()) as made.url:
        made.issuer = made.url
        yield made
