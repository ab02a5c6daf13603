"""Accounts, tokens and sessions over real HTTP, and the ways in which somebody could try to get in."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from stack.backend.auth import sessions
from stack.backend.auth.tokens import LIFETIME
from tests.stack.auth_server import PASSWORD, AuthServer, Json, auth_server, code, protected, refresh, register, show


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


# -- Signing in and out


def test_a_new_account_is_signed_in(client: httpx.Client) -> None:
    """Who registers gets an access token for themselves."""
    tokens = register(client, "Ada")
    assert protected(client, tokens["access_token"]).json()["name"] == "Ada"
    assert tokens["expires_in"] == LIFETIME


def test_a_password_signs_in_whatever_the_case_of_the_name(client: httpx.Client) -> None:
    """Two ways of writing a name are one account."""
    account = register(client, "Straße")["account"]
    answer = client.post("/api/auth/login", json={"name": "STRASSE", "password": PASSWORD})
    assert answer.json()["account"] == account


def test_a_name_is_given_once(client: httpx.Client) -> None:
    """A name that looks like another one, and the demo account's, are taken."""
    register(client, "Bob")
    for name in ("bob", "Demo"):
        assert code(client.post("/api/auth/register", json={"name": name, "password": PASSWORD})) == (409, "name_taken")


def test_wrong_password_and_unknown_name_look_the_same(client: httpx.Client) -> None:
    """An answer tells nobody which names there are."""
    register(client, "carol")
    wrong = client.post("/api/auth/login", json={"name": "carol", "password": "wrong"})
    unknown = client.post("/api/auth/login", json={"name": "nobody", "password": "wrong"})
    assert code(wrong) == (401, "wrong_credentials")
    assert wrong.json() == unknown.json()


def test_without_a_token_nothing_is_shown(client: httpx.Client) -> None:
    """A protected route says how to get in."""
    answer = client.get("/api/protected")
    assert code(answer) == (401, "not_signed_in")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_the_demo_account_needs_no_password_in_development(page: httpx.Client) -> None:
    """The page may sign in as demo; the refresh token goes into a cookie that scripts and other sites cannot use."""
    answer = page.post("/api/auth/demo", json={})
    assert answer.json()["account"] == {"id": "demo", "name": "demo", "admin": False}
    assert answer.json()["refresh_token"] is None
    cookie = answer.headers["set-cookie"].lower()
    assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/api/auth"))
    assert answer.headers["cache-control"] == "no-store"


def test_many_demo_sign_ins_at_once_make_one_account(server: AuthServer) -> None:
    """Pages that open together all get in."""
    answers: list[int] = []

    def open_page() -> None:
        with server.client(page=True) as browser:
            answers.append(browser.post("/api/auth/demo").status_code)

    threads = [threading.Thread(target=open_page) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 8


def test_signing_out_ends_the_session_at_once(page: httpx.Client, server: AuthServer) -> None:
    """The access token is worth nothing from then on, though its time is not up, and the cookie is gone."""
    tokens = page.post("/api/auth/demo").json()
    assert page.post("/api/auth/logout", json={}).status_code == 204
    assert code(protected(page, tokens["access_token"])) == (401, "session_ended")
    assert not page.cookies
    assert tokens["session_id"] in server.revoked


# -- Refresh tokens


def test_a_refresh_token_is_good_for_one_use(client: httpx.Client, server: AuthServer) -> None:
    """Shown again, it ends the session that a thief and its owner share: nobody's tokens work any more."""
    first = register(client, "dora")
    second = refresh(client, first["refresh_token"]).json()
    assert protected(client, second["access_token"]).status_code == 200
    assert code(refresh(client, first["refresh_token"])) == (401, "token_reused")
    assert code(protected(client, second["access_token"])) == (401, "session_ended")
    assert code(refresh(client, second["refresh_token"])) == (401, "session_ended")
    assert first["session_id"] in server.revoked


def test_of_many_uses_at_once_one_gets_through(client: httpx.Client, server: AuthServer) -> None:
    """A token shown by several at the same moment brings one of them a next one, and ends their session."""
    token = register(client, "erin")["refresh_token"]
    answers: list[int] = []

    def use() -> None:
        with server.client() as thief:
            answers.append(refresh(thief, token).status_code)

    threads = [threading.Thread(target=use) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 401, 401, 401, 401]


def test_a_page_that_lost_the_answer_gets_the_same_token_again(server: AuthServer, page: httpx.Client) -> None:
    """Reloaded in mid-refresh, the page shows a used token: within seconds it gets the next one again, later that is a theft."""
    page.post("/api/auth/demo")
    before = dict(page.cookies)
    assert page.post("/api/auth/refresh").status_code == 200
    after = dict(page.cookies)
    again = show(server, before)
    assert again.status_code == 200
    assert dict(again.cookies) == after != before
    server.clock.ahead = sessions.REPEAT + 1
    try:
        assert code(show(server, before)) == (401, "token_reused")
    finally:
        server.clock.ahead = 0.0


def test_a_used_token_is_a_theft_once_its_successor_was_used(server: AuthServer, page: httpx.Client) -> None:
    """However soon: somebody went on from there already."""
    page.post("/api/auth/demo")
    before = dict(page.cookies)
    page.post("/api/auth/refresh")
    page.post("/api/auth/refresh")
    assert code(show(server, before)) == (401, "token_reused")


def test_a_session_ends_when_it_is_not_used(client: httpx.Client, server: AuthServer) -> None:
    """After a week without a refresh, and after a month in any case."""
    token = register(client, "faye")["refresh_token"]
    try:
        while server.clock.ahead < sessions.LONGEST:
            server.clock.ahead += sessions.IDLE - 60
            answer = refresh(client, token)
            if answer.status_code != 200:
                break
            token = answer.json()["refresh_token"]
        assert server.clock.ahead > sessions.LONGEST
        assert code(answer) == (401, "session_ended")
    finally:
        server.clock.ahead = 0.0


# -- Sessions


def test_sessions_are_listed_and_ended_one_by_one(client: httpx.Client) -> None:
    """An account sees where it is signed in, and ends what it does not know."""
    first = register(client, "gail")
    second = client.post("/api/auth/login", json={"name": "gail", "password": PASSWORD}, headers={"User-Agent": "phone"}).json()
    header = {"Authorization": f"Bearer {first['access_token']}"}
    listed = client.get("/api/auth/sessions", headers=header).json()
    assert {(session["id"], session["current"]) for session in listed} == {
        (first["session_id"], True),
        (second["session_id"], False),
    }
    assert "phone" in [session["user_agent"] for session in listed]
    assert protected(client, second["access_token"]).status_code == 200
    assert client.delete(f"/api/auth/sessions/{second['session_id']}", headers=header).status_code == 204
    assert code(protected(client, second["access_token"])) == (401, "session_ended")
    assert code(refresh(client, second["refresh_token"])) == (401, "session_ended")
    assert protected(client, first["access_token"]).status_code == 200


def test_nobody_ends_the_sessions_of_others(client: httpx.Client) -> None:
    """They do not even learn that there is one."""
    victim, other = register(client, "hana"), register(client, "igor")
    header = {"Authorization": f"Bearer {other['access_token']}"}
    assert code(client.delete(f"/api/auth/sessions/{victim['session_id']}", headers=header)) == (404, "unknown_session")
    assert protected(client, victim["access_token"]).status_code == 200


def test_accounts_outlive_the_process(tmp_path: Path) -> None:
    """A backend that starts again knows its accounts, sessions and keys."""
    with auth_server(tmp_path) as server, server.client() as client:
        tokens = register(client, "jane")
    with auth_server(tmp_path) as server, server.client() as client:
        assert protected(client, tokens["access_token"]).status_code == 200
        assert refresh(client, tokens["refresh_token"]).status_code == 200
    assert oct((tmp_path / "auth-keys.json").stat().st_mode)[-3:] == "600"


@pytest.mark.parametrize(
    "body",
    [
        {"name": "", "password": PASSWORD},
        {"name": "a b", "password": PASSWORD},
        {"name": "x" * 65, "password": PASSWORD},
        {"name": "kim\x00", "password": PASSWORD},
        {"name": "kim", "password": "short"},
        {"name": "kim", "password": "x" * 257},
        {"name": "kim", "password": PASSWORD, "admin": True},
    ],
)
def test_unusable_registrations_are_refused(client: httpx.Client, body: Json) -> None:
    """Names and passwords are bounded, and nobody makes themselves an admin."""
    assert client.post("/api/auth/register", json=body).status_code == 422


def test_a_password_that_is_no_text_is_refused(client: httpx.Client) -> None:
    """JSON can say half of a surrogate pair; no hash can be made of it."""
    body = b'{"name": "odd", "password": "correct \\ud800 horse"}'
    answer = client.post("/api/auth/register", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422, answer.text


# -- Guessing


def test_guessing_is_stopped(tmp_path: Path) -> None:
    """Five wrong passwords lock an account for whoever guesses, right password or not, but not for its owner elsewhere."""
    with auth_server(tmp_path) as server, server.client() as client:
        register(client, "lena")
        guess = {"name": "Lena", "password": "wrong"}
        for _ in range(5):
            assert code(client.post("/api/auth/login", json=guess)) == (401, "wrong_credentials")
        answer = client.post("/api/auth/login", json={"name": "lena", "password": PASSWORD})
        assert code(answer) == (429, "too_many_attempts")
        assert 0 < int(answer.headers["Retry-After"]) <= 180
        elsewhere = {"X-Forwarded-For": "203.0.113.7"}
        owner = client.post("/api/auth/login", json={"name": "lena", "password": PASSWORD}, headers=elsewhere)
        assert owner.status_code == 200


def test_guessing_at_many_accounts_is_stopped(tmp_path: Path) -> None:
    """An address that tries one password on name after name is stopped as well."""
    with auth_server(tmp_path) as server, server.client() as client:
        answers = [
            client.post("/api/auth/login", json={"name": f"name{number}", "password": "wrong"}).status_code for number in range(31)
        ]
    assert answers == [401] * 30 + [429]
