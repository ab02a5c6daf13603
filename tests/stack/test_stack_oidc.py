"""Signing in at a provider of OpenID Connect: the whole way by real HTTP, and every way in which it must come to nothing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import jwt
import pytest

from stack.backend.auth.settings import AuthSettings, OidcSettings
from tests.stack.auth_server import AuthServer, auth_server
from tests.stack.oidc_provider import CLIENT_ID, CLIENT_SECRET, Key, OidcProvider, oidc_provider

PAGE = "http://127.0.0.1:3000"


class Parties:
    """The provider and the stack that trusts it."""

    def __init__(self, provider: OidcProvider, server: AuthServer) -> None:
        self.provider = provider
        self.server = server

    def leave(self, browser: httpx.Client) -> str:
        """The way there, up to the address to which the provider sends the browser back, as a path of the backend."""
        start = browser.get("/api/auth/oidc/start")
        assert start.status_code == 303, start.text
        back = httpx.get(start.headers["location"], trust_env=False).headers["location"]
        # The page's address is not served in these tests: its proxy would hand this on to the backend.
        assert back.startswith(f"{PAGE}/api/auth/oidc/callback?")
        return back.removeprefix(PAGE)

    def sign_in(self, browser: httpx.Client) -> str:
        """The whole way; returns where the browser ends: `/`, or `/?sign_in=` and the reason."""
        answer = browser.get(self.leave(browser))
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"]).removeprefix(PAGE)


@pytest.fixture(scope="module")
def _parties(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parties]:
    with oidc_provider() as provider:
        settings = AuthSettings(required=True, oidc=OidcSettings(provider.url, CLIENT_ID, CLIENT_SECRET, "Example"))
        with auth_server(tmp_path_factory.mktemp("oidc"), settings) as server:
            yield Parties(provider, server)


@pytest.fixture
def parties(_parties: Parties) -> Iterator[Parties]:
    """Provider and stack; what a test changes of the provider is undone."""
    provider = _parties.provider
    before = provider.subject, provider.name, provider.deny, provider.alter, provider.sign
    yield _parties
    provider.subject, provider.name, provider.deny, provider.alter, provider.sign = before


def test_a_sign_in_at_the_provider_signs_in_here(parties: Parties) -> None:
    """The browser comes back to the page with a session, and its refresh cookie brings an access token."""
    with parties.server.client(page=True) as browser:
        assert parties.sign_in(browser) == "/"
        tokens = browser.post("/api/auth/refresh").json()
        me = browser.get("/api/auth/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()
        assert me["account"]["name"] == "Grace"
        assert [session["method"] for session in _sessions(browser, tokens["access_token"])] == ["oidc"]


def test_the_same_person_gets_the_same_account(parties: Parties) -> None:
    """Who somebody is goes by issuer and subject; a new name at the provider makes no new account."""
    parties.provider.subject = "same"
    accounts = []
    for name in ("Joan", "Joan Clarke"):
        parties.provider.name = name
        with parties.server.client(page=True) as browser:
            parties.sign_in(browser)
            accounts.append(browser.post("/api/auth/refresh").json()["account"])
    assert accounts[0] == accounts[1]


def test_a_name_at_the_provider_takes_over_no_account_here(parties: Parties) -> None:
    """Somebody whom the provider calls like an account here gets one of their own, with another name."""
    with parties.server.client() as client:
        local = client.post("/api/auth/register", json={"name": "Alan", "password": "enigma machine"}).json()["account"]
    parties.provider.subject, parties.provider.name = "mallory", "alan"
    with parties.server.client(page=True) as browser:
        assert parties.sign_in(browser) == "/"
        account = browser.post("/api/auth/refresh").json()["account"]
    assert account["id"] != local["id"]
    assert account["name"] == "alan-2"


def test_a_no_at_the_provider_is_told(parties: Parties) -> None:
    """Somebody who declines there comes back to the page, signed out, and the page can say why."""
    parties.provider.deny = True
    with parties.server.client(page=True) as browser:
        assert parties.sign_in(browser) == "/?sign_in=denied"
        assert browser.post("/api/auth/refresh").status_code == 401


def test_a_code_works_once(parties: Parties) -> None:
    """The way back, used a second time, signs nobody in."""
    with parties.server.client(page=True) as browser:
        back = parties.leave(browser)
        sealed = dict(browser.cookies)
        assert browser.get(back).headers["location"] == f"{PAGE}/"
    with parties.server.client(page=True) as thief:
        thief.cookies.update(sealed)
        assert thief.get(back).headers["location"] == f"{PAGE}/?sign_in=invalid"


def test_the_way_back_belongs_to_the_browser_that_left(parties: Parties) -> None:
    """A link with somebody else's code signs a browser in to nothing: neither without a flow of its own nor with another one."""
    with parties.server.client(page=True) as attacker, parties.server.client(page=True) as victim:
        back = parties.leave(attacker)
        assert victim.get(back).headers["location"] == f"{PAGE}/?sign_in=expired"
        parties.leave(victim)
        assert victim.get(back).headers["location"] == f"{PAGE}/?sign_in=invalid"


def test_a_flow_ends_after_ten_minutes(parties: Parties) -> None:
    """Somebody who takes longer at the provider has to begin again."""
    with parties.server.client(page=True) as browser:
        back = parties.leave(browser)
        parties.server.clock.ahead += 601
        assert browser.get(back).headers["location"] == f"{PAGE}/?sign_in=expired"


def test_a_code_is_bound_to_the_challenge(parties: Parties) -> None:
    """A code put into another flow, with its state, is refused by the provider: the verifier does not fit."""
    with parties.server.client(page=True) as attacker, parties.server.client(page=True) as victim:
        stolen = parse_qs(urlsplit(parties.leave(victim)).query)["code"][0]
        own = parse_qs(urlsplit(parties.leave(attacker)).query)["state"][0]
        answer = attacker.get("/api/auth/oidc/callback", params={"code": stolen, "state": own})
        assert answer.headers["location"] == f"{PAGE}/?sign_in=invalid"


@pytest.mark.parametrize(
    ("claim", "value"),
    [
        ("nonce", "another"),
        ("aud", "another-client"),
        ("iss", "https://elsewhere.example"),
        ("exp", 1),
        ("azp", "another-client"),
        ("sub", ""),
        ("sub", "a\x00b"),
    ],
)
def test_an_id_token_for_something_else_is_refused(parties: Parties, claim: str, value: object) -> None:
    """One claim that does not fit is enough."""
    parties.provider.alter = lambda claims: claims | {claim: value}
    with parties.server.client(page=True) as browser:
        assert parties.sign_in(browser) == "/?sign_in=invalid"


def _with_no_signature(claims: dict[str, object]) -> str:
    return jwt.encode(claims, "", "none")


def _with_the_clients_secret(claims: dict[str, object]) -> str:
    return jwt.encode(claims, CLIENT_SECRET.ljust(32, "."), "HS256")


def _with_a_key_of_nobody(claims: dict[str, object]) -> str:
    key = Key()
    return jwt.encode(claims, key.private, "RS256", headers={"kid": key.kid})


def _as_nonsense(claims: dict[str, object]) -> str:
    return "no.token\x00"


@pytest.mark.parametrize("forge", [_with_no_signature, _with_the_clients_secret, _with_a_key_of_nobody, _as_nonsense])
def test_a_forged_id_token_is_refused(parties: Parties, forge: object) -> None:
    """No signature, one with a shared secret, one with a strange key, no token at all: none signs in."""
    parties.provider.sign = forge  # type: ignore[assignment]
    with parties.server.client(page=True) as browser:
        assert parties.sign_in(browser) == "/?sign_in=invalid"


def test_the_description_is_fetched_once(parties: Parties) -> None:
    """Several sign-ins ask the provider once for its description, and not each time for its keys."""
    with parties.server.client(page=True) as browser:
        parties.sign_in(browser)
        before = parties.provider.counts["jwks"]
        parties.sign_in(browser)
    assert parties.provider.counts["description"] == 1
    assert parties.provider.counts["jwks"] == before


def test_a_rotated_key_is_fetched(tmp_path: Path) -> None:
    """A provider that signs with a new key is asked for it, but not again and again for a key that nobody has."""
    with oidc_provider() as provider:
        settings = AuthSettings(oidc=OidcSettings(provider.url, CLIENT_ID, CLIENT_SECRET))
        with auth_server(tmp_path, settings) as server, server.client(page=True) as browser:
            parties = Parties(provider, server)
            assert parties.sign_in(browser) == "/"
            provider.rotate()
            # Fetched a moment ago, so that an unknown key is not looked for yet.
            assert parties.sign_in(browser) == "/?sign_in=invalid"
            assert provider.counts["jwks"] == 1
            server.clock.ahead += 60
            assert parties.sign_in(browser) == "/"
            assert provider.counts["jwks"] == 2


def test_a_provider_that_is_away_or_someone_else_is_told(tmp_path: Path) -> None:
    """Nothing at the address, or something that calls itself otherwise: the page is told that the provider is unavailable."""
    with oidc_provider() as provider:
        provider.issuer = "https://elsewhere.example"
        gone = AuthSettings(oidc=OidcSettings(provider.url, CLIENT_ID, CLIENT_SECRET))
        with auth_server(tmp_path, gone) as server, server.client(page=True) as browser:
            assert browser.get("/api/auth/oidc/start").headers["location"] == f"{PAGE}/?sign_in=unavailable"
    # Its socket is closed by now.
    with auth_server(tmp_path, gone) as server, server.client(page=True) as browser:
        assert browser.get("/api/auth/oidc/start").headers["location"] == f"{PAGE}/?sign_in=unavailable"


def test_without_a_provider_there_is_no_way_there(tmp_path: Path) -> None:
    """Unconfigured, both addresses answer 404 in the one shape of errors."""
    with auth_server(tmp_path) as server, server.client() as client:
        for path in ("/api/auth/oidc/start", "/api/auth/oidc/callback"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_provider")


def _sessions(browser: httpx.Client, token: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = browser.get("/api/auth/sessions", headers={"Authorization": f"Bearer {token}"}).json()
    return found
