"""Access tokens and who else is let in: forged tokens, keys that change, other services, other origins."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from stack.backend.auth.settings import AuthSettings
from stack.backend.auth.tokens import LIFETIME
from stack.common.internal import InternalKey
from tests.stack.auth_server import PASSWORD, AuthServer, Json, auth_server, code, protected, register


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AuthServer]:
    """A server in development mode; each test registers an account of its own."""
    with auth_server(tmp_path_factory.mktemp("auth")) as made:
        yield made


@pytest.fixture
def client(server: AuthServer) -> Iterator[httpx.Client]:
    """A program."""
    with server.client() as made:
        yield made


@pytest.fixture
def page(server: AuthServer) -> Iterator[httpx.Client]:
    """The page in a browser."""
    with server.client(page=True) as made:
        yield made


# -- Access tokens


def test_an_expired_token_is_refused(client: httpx.Client, server: AuthServer) -> None:
    """Its signature is good, its time is up."""
    server.clock.ahead = -LIFETIME - 10
    try:
        tokens = register(client, "early")
    finally:
        server.clock.ahead = 0.0
    assert code(protected(client, tokens["access_token"])) == (401, "token_expired")


def _unsigned(token: str, server: AuthServer) -> str:
    header = jwt.get_unverified_header(token)
    return jwt.encode(_claims(token), "", "none", headers={"kid": header["kid"], "typ": header["typ"]})


def _signed_by_somebody_else(token: str, server: AuthServer) -> str:
    return jwt.encode(_claims(token), Ed25519PrivateKey.generate(), "EdDSA", headers=jwt.get_unverified_header(token))


def _signed_with_the_public_key_as_secret(token: str, server: AuthServer) -> str:
    header = jwt.get_unverified_header(token)
    secret = server.auth.ring.signing().public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return jwt.encode(_claims(token), secret, "HS256", headers={"kid": header["kid"], "typ": header["typ"]})


def _made_admin(token: str, server: AuthServer) -> str:
    head, _, signature = token.split(".")
    claims = json.dumps(_claims(token) | {"admin": True}).encode()
    return f"{head}.{base64.urlsafe_b64encode(claims).rstrip(b'=').decode()}.{signature}"


def _of_another_kind(token: str, server: AuthServer) -> str:
    key = server.auth.ring.signing()
    return jwt.encode(_claims(token), key.private, "EdDSA", headers={"kid": key.kid})


def _for_somebody_else(token: str, server: AuthServer) -> str:
    key = server.auth.ring.signing()
    return jwt.encode(_claims(token) | {"aud": "other"}, key.private, "EdDSA", headers=jwt.get_unverified_header(token))


def _without_an_end(token: str, server: AuthServer) -> str:
    key = server.auth.ring.signing()
    claims = {name: value for name, value in _claims(token).items() if name != "exp"}
    return jwt.encode(claims, key.private, "EdDSA", headers=jwt.get_unverified_header(token))


def _with_a_key_id_of_another_type(token: str, server: AuthServer) -> str:
    head = base64.urlsafe_b64encode(json.dumps({"alg": "EdDSA", "kid": ["x"]}).encode()).rstrip(b"=").decode()
    return f"{head}.{token.split('.')[1]}.{token.split('.')[2]}"


def _claims(token: str) -> Json:
    claims: Json = jwt.decode(token, options={"verify_signature": False})
    return claims


FORGERIES = [
    _unsigned,
    _signed_by_somebody_else,
    _signed_with_the_public_key_as_secret,
    _made_admin,
    _of_another_kind,
    _for_somebody_else,
    _without_an_end,
    _with_a_key_id_of_another_type,
]


@pytest.mark.parametrize("forge", FORGERIES, ids=lambda forge: forge.__name__.strip("_"))
def test_a_forged_token_is_refused(server: AuthServer, client: httpx.Client, forge: Any) -> None:
    """Whatever is wrong with it, the answer is 401."""
    tokens = client.post("/api/auth/demo").json()
    assert code(protected(client, forge(tokens["access_token"], server))) == (401, "invalid_token")


@pytest.mark.parametrize("token", [".", "a.b.c", "x" * 5000, "eyJhbGciOiJFZERTQSJ9.e30.", "..\u00e9"])
def test_nonsense_is_no_token(client: httpx.Client, token: str) -> None:
    """Nor is it a reason to fail."""
    answer = client.get("/api/protected", headers=[(b"Authorization", f"Bearer {token}".encode())])
    assert answer.status_code == 401


def test_a_new_key_leaves_the_signed_in_signed_in(client: httpx.Client, server: AuthServer) -> None:
    """Tokens of before and after a rotation are good; an old key is forgotten when no token of it can be left."""
    before = client.post("/api/auth/demo").json()["access_token"]
    old = jwt.get_unverified_header(before)["kid"]
    server.auth.ring.rotate()
    after = client.post("/api/auth/demo").json()["access_token"]
    assert jwt.get_unverified_header(after)["kid"] != old
    assert protected(client, before).status_code == protected(client, after).status_code == 200
    server.clock.ahead += LIFETIME + 1
    try:
        assert server.auth.ring.checking(old) is None
        assert code(protected(client, before)) == (401, "invalid_token")
    finally:
        server.clock.ahead = 0.0


def test_only_admins_rotate_keys(client: httpx.Client, server: AuthServer) -> None:
    """Everybody else is told so."""
    token = register(client, "ordinary")["access_token"]
    assert code(client.post("/api/auth/keys/rotate", headers={"Authorization": f"Bearer {token}"})) == (403, "admins_only")


# -- Who else may ask


def test_another_service_is_let_in(client: httpx.Client, server: AuthServer, tmp_path: Path) -> None:
    """With the key of the stack, and not with another one."""
    answer = client.get("/api/protected", headers=server.internal.headers("router"))
    assert answer.json() == {"account_id": "internal", "name": "router", "internal": True}
    stranger = InternalKey(tmp_path / "other.key")
    assert client.get("/api/protected", headers=stranger.headers("router")).status_code == 401


def test_other_origins_sign_nobody_in(client: httpx.Client, page: httpx.Client) -> None:
    """What a browser sends for another page is refused, and a cookie without the page's mark is not taken."""
    for site in ("cross-site", "same-site"):
        assert code(client.post("/api/auth/demo", headers={"Sec-Fetch-Site": site})) == (403, "other_origin")
    page.post("/api/auth/demo")
    client.cookies.update(dict(page.cookies))
    assert code(client.post("/api/auth/refresh")) == (401, "not_signed_in")
    assert page.post("/api/auth/refresh").status_code == 200


def test_a_strange_name_of_this_machine_gets_no_demo_account(client: httpx.Client) -> None:
    """A page whose own name suddenly leads here (DNS rebinding) is of our origin to the browser; its Host gives it away."""
    for host in ("evil.example:3002", "evil_too.example", "127.0.0.1:80@evil.example", "localhost.evil.example", "[", ""):
        assert code(client.post("/api/auth/demo", headers={"Host": host})) == (403, "unknown_host")
    for host in ("localhost:3002", "127.0.0.1", "[::1]:3002"):
        assert client.post("/api/auth/demo", headers={"Host": host}).status_code == 200


def test_what_is_required_is_required(tmp_path: Path) -> None:
    """With AUTH=required there is no demo account, closed registration is closed, and metrics need their token."""
    settings = AuthSettings(required=True, registration=False, metrics_token="0123456789abcdef")
    with auth_server(tmp_path, settings) as server, server.client() as client:
        assert client.get("/api/auth/options").json() == {"demo": False, "registration": False, "oidc": None}
        assert code(client.post("/api/auth/demo")) == (403, "demo_off")
        answer = client.post("/api/auth/register", json={"name": "kim", "password": PASSWORD})
        assert code(answer) == (403, "registration_closed")
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/metrics", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200
        assert client.get("/metrics", headers=server.internal.headers("monitor")).status_code == 200
