"""Signing in at a provider of OpenID Connect: the code flow with PKCE (OpenID Connect Core 1.0, RFC 7636, RFC 9700)."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx
import jwt

from stack.backend.auth.flow import Flow, OidcError
from stack.backend.auth.settings import OidcSettings, on_this_machine
from stack.common.log import Log

log = Log("stack.backend.auth.oidc")

# Signatures with public keys only: the client's secret must never do as a key.
_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")

# Seconds for each step of a request to the provider; somebody watches an empty page meanwhile.
_TIMEOUT = 5.0

# Seconds for everything that one step of a sign-in needs from the provider.
_PATIENCE = 10.0

# Bytes of an answer that are read. Metadata and keys have a few thousand.
_MAX_ANSWER = 256 * 1024

# Seconds that the provider's description and keys are taken from memory.
_CACHED = 3600.0

# Seconds between two fetches of the keys because a token names one that is not there: anybody can send such tokens.
_REFETCH = 30.0

# Seconds by which the provider's clock may differ from ours.
_LEEWAY = 30


@dataclass(frozen=True, slots=True)
class Identity:
    """Somebody whom the provider knows.

    Attributes:
        issuer: the provider.
        subject: who it is there, for ever.
        name: as they are called there today.
    """

    issuer: str
    subject: str
    name: str


@dataclass(slots=True)
class _Cached:
    document: dict[str, Any]
    fetched: float


class Provider:
    """The provider. Nothing is asked of it before somebody signs in there.

    Args:
        settings: where it is and what we are called there.
        clock: seconds.
    """

    def __init__(self, settings: OidcSettings, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        # A company's proxy leads to a provider outside, not to one on this machine.
        self._client = httpx.AsyncClient(trust_env=not on_this_machine(settings.issuer), timeout=_TIMEOUT)
        self._lock = asyncio.Lock()
        self._metadata: _Cached | None = None
        self._keys: _Cached | None = None

    def __repr__(self) -> str:
        return f"<Provider {self._settings.issuer}>"

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def address(self, flow: Flow, redirect_uri: str) -> str:
        """Where the browser goes to sign in.

        Raises:
            OidcError: the provider cannot be reached or makes no sense.
        """
        async with _patience():
            endpoint = _endpoint(await self._describe(), "authorization_endpoint")
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile email",
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": flow.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    async def identity(self, flow: Flow, code: str, redirect_uri: str, issuer: str = "") -> Identity:
        """Who signed in, for the code that the browser brought back.

        Args:
            flow: how it began.
            code: what the browser brought.
            redirect_uri: as in `address`.
            issuer: who the browser says it comes from, if it does (RFC 9207).

        Raises:
            OidcError: the code or the ID token is no good, or the provider cannot be reached.
        """
        if issuer and issuer != self._settings.issuer:
            raise OidcError("invalid", "the answer is another provider's")
        async with _patience():
            claims = await self._claims(flow, code, redirect_uri)
        subject = claims["sub"]
        if not isinstance(subject, str) or not 0 < len(subject) <= 255 or not subject.isprintable():
            raise OidcError("invalid", "the ID token names nobody")
        names = (claims.get(key) for key in ("preferred_username", "name", "email"))
        name = next((name for name in names if isinstance(name, str) and name), "somebody")
        return Identity(self._settings.issuer, subject, name)

    async def _claims(self, flow: Flow, code: str, redirect_uri: str) -> dict[str, Any]:
        """What the provider says in exchange for a code, checked."""
        metadata = await self._describe()
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": redirect_uri, "code_verifier": flow.verifier}
        headers = self._credentials(metadata, form)
        answer = await self._fetch("POST", _endpoint(metadata, "token_endpoint"), form, headers)
        return await self._verified(answer.get("id_token"), flow.nonce)

    def _credentials(self, metadata: dict[str, Any], form: dict[str, str]) -> dict[str, str]:
        """Headers that prove who we are; where the provider wants that in the form, it goes there."""
        client_id, secret = self._settings.client_id, self._settings.client_secret
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        if secret and "client_secret_basic" in methods:
            pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
            return {"Authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
        form["client_id"] = client_id
        if secret:
            form["client_secret"] = secret
        return {}

    async def _verified(self, token: object, nonce: str) -> dict[str, Any]:
        """The claims of an ID token (OpenID Connect Core 1.0, section 3.1.3.7)."""
        if not isinstance(token, str):
            raise OidcError("invalid", "the provider sent no ID token")
        try:
            header = jwt.get_unverified_header(token)
            algorithm = header.get("alg")
            if algorithm not in _ALGORITHMS:
                raise OidcError("invalid", "the ID token is signed in a way that is not accepted")
            key = await self._key(header.get("kid"))
            claims: dict[str, Any] = jwt.decode(
                token,
                key.key,
                algorithms=[algorithm],
                audience=self._settings.client_id,
                issuer=self._settings.issuer,
                leeway=_LEEWAY,
                options={"require": ["exp", "iat", "sub", "aud", "iss"]},
            )
        # A key of another kind than the algorithm's is a TypeError.
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise OidcError("invalid", f"the ID token is no good: {error}") from error
        if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), nonce.encode()):
            raise OidcError("invalid", "the ID token was made for another sign-in")
        if claims.get("azp", self._settings.client_id) != self._settings.client_id:
            raise OidcError("invalid", "the ID token was made for another client")
        return claims

    async def _key(self, kid: object) -> jwt.PyJWK:
        """The provider's key with this id; without an id, its only one."""
        async with self._lock:
            if self._keys is None or self._clock() - self._keys.fetched > _CACHED:
                self._keys = await self._fetch_keys()
            found = _pick(self._keys.document, kid)
            # A new key is what a rotation looks like from here.
            if found is None and self._clock() - self._keys.fetched > _REFETCH:
                self._keys = await self._fetch_keys()
                found = _pick(self._keys.document, kid)
        if found is None:
            raise OidcError("invalid", "the ID token is signed with a key that the provider does not have")
        return found

    async def _fetch_keys(self) -> _Cached:
        document = await self._fetch("GET", _endpoint(await self._described(), "jwks_uri"))
        return _Cached(document, self._clock())

    async def _describe(self) -> dict[str, Any]:
        async with self._lock:
            return await self._described()

    async def _described(self) -> dict[str, Any]:
        """The provider's description of itself (OpenID Connect Discovery 1.0, section 4)."""
        if self._metadata is None or self._clock() - self._metadata.fetched > _CACHED:
            document = await self._fetch("GET", f"{self._settings.issuer.rstrip('/')}/.well-known/openid-configuration")
            if document.get("issuer") != self._settings.issuer:
                raise OidcError("unavailable", "the provider calls itself something else than OIDC_ISSUER")
            self._metadata = _Cached(document, self._clock())
        return self._metadata.document

    async def _fetch(
        self, method: str, url: str, form: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> dict[str, Any]:
        """The JSON object that the provider answers with."""
        body = b""
        try:
            everything = {"Accept": "application/json", **(headers or {})}
            async with self._client.stream(method, url, data=form, headers=everything) as response:
                async for block in response.aiter_bytes():
                    body += block
                    if len(body) > _MAX_ANSWER:
                        raise OidcError("unavailable", f"the answer of {url} is too long")
        except httpx.HTTPError as error:
            raise OidcError("unavailable", f"{url} does not answer: {error or type(error).__name__}") from error
        if response.status_code in (400, 401) and method == "POST":
            # Such as a code that was used before. What the provider says stays out of the log: it may repeat what we sent.
            raise OidcError("invalid", f"the provider refused the code or our credentials ({response.status_code})")
        try:
            document = json.loads(body) if response.status_code == 200 else None
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise OidcError("unavailable", f"{url} answers {response.status_code} without the JSON object expected")
        return document


@contextlib.asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    """Gives up on the provider after _PATIENCE, waiting for others who ask the same included."""
    try:
        async with asyncio.timeout(_PATIENCE):
            yield
    except TimeoutError as error:
        raise OidcError("unavailable", f"the provider took longer than {_PATIENCE:g} s") from error


def _pick(document: dict[str, Any], kid: object) -> jwt.PyJWK | None:
    try:
        keys = jwt.PyJWKSet.from_dict(document).keys
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    if kid is None:
        return keys[0] if len(keys) == 1 else None
    return next((key for key in keys if key.key_id == kid), None)


def _endpoint(metadata: dict[str, Any], name: str) -> str:
    """An address from the provider's description: encrypted, unless all of it happens on this machine."""
    url = metadata.get(name)
    try:
        if isinstance(url, str) and (urlsplit(url).scheme == "https" or (url.startswith("http://") and on_this_machine(url))):
            return url
    except ValueError as error:
        raise OidcError("unavailable", f"the provider's {name} is no address") from error
    raise OidcError("unavailable", f"the provider's {name} is no usable address")
