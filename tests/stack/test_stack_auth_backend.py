"""The real backend with AUTH=required: everything but the way in is closed, and no secret gets into its log."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stack.common.internal import InternalKey
from tests.stack.conftest import GUARD, Launcher, Service

# What works without a sign-in: the way in, and what asks for a token of its own kind.
OPEN = {
    ("get", "/health"),
    ("get", "/api/auth/options"),
    ("post", "/api/auth/register"),
    ("post", "/api/auth/login"),
    ("post", "/api/auth/demo"),
    ("post", "/api/auth/refresh"),
    ("post", "/api/auth/logout"),
    ("get", "/api/auth/oidc/start"),
    ("get", "/api/auth/oidc/callback"),
}

METRICS_TOKEN = "metrics-0123456789"


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def backend(state: Path) -> Iterator[Service]:
    """A backend of its own, without a router: what is closed answers before it is asked."""
    launcher = Launcher()
    try:
        yield launcher.start(
            "backend", AUTH="required", STACK_STATE=str(state), METRICS_TOKEN=METRICS_TOKEN, LOG_LEVEL="debug", MCP_SERVERS="{}"
        )
    finally:
        launcher.close()


def test_every_route_needs_a_sign_in(backend: Service) -> None:
    """Each operation that the backend describes, called without a token or with a bad one, answers 401."""
    paths = backend.get("/openapi.json").json()["paths"]
    operations = {(method, path) for path, methods in paths.items() for method in methods}
    assert operations > OPEN
    with httpx.Client(base_url=backend.url, timeout=GUARD, trust_env=False) as client:
        for method, path in sorted(operations - OPEN):
            called = path.replace("{", "").replace("}", "")
            for headers in ({}, {"Authorization": "Bearer e30.e30."}, {"Authorization": "Internal router.99999999999.00"}):
                answer = client.request(method, called, headers=headers)
                assert answer.status_code == 401, (method, path, answer.status_code)
                assert answer.json()["error"]["code"] in ("not_signed_in", "invalid_token")


def test_the_metrics_need_their_token(backend: Service, state: Path) -> None:
    """METRICS_TOKEN and the other services may read them, others may not."""
    right = {"Authorization": f"Bearer {METRICS_TOKEN}"}
    inside = InternalKey(state / "internal.key").headers("prometheus")
    found = [
        httpx.get(f"{backend.url}/metrics", headers=headers, timeout=GUARD, trust_env=False).status_code
        for headers in ({}, right, inside)
    ]
    assert found == [401, 200, 200]


def test_no_secret_gets_into_the_log(backend: Service) -> None:
    """Neither passwords nor tokens, good or bad, in the backend's own lines or the libraries', even at level debug."""
    secrets = ["correct horse battery", "wrong horse battery", METRICS_TOKEN, "$argon2"]
    account = {"name": "ada", "password": secrets[0]}
    tokens = backend.post("/api/auth/register", account).json()
    backend.post("/api/auth/login", {"name": "ada", "password": secrets[1]})
    backend.post("/api/auth/register", account | {"colour": "blue"})
    first = tokens["refresh_token"]
    second = backend.post("/api/auth/refresh", {"refresh_token": first}).json()
    for _ in range(2):
        backend.post("/api/auth/refresh", {"refresh_token": first})
    last = {"Authorization": f"Bearer {second['access_token']}", "X-Request-ID": "the-last-one"}
    httpx.get(f"{backend.url}/api/auth/me", headers=last, timeout=GUARD, trust_env=False)
    backend.wait_line("the-last-one")
    secrets += [first, second["refresh_token"], tokens["access_token"], second["access_token"]]
    output = "\n".join(backend.lines)
    assert "Signed in" in output
    assert [secret for secret in secrets if secret in output] == []
