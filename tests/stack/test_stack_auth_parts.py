"""The parts of the sign-in service by themselves: attempts, keys, passwords, settings, and the command for who runs the stack."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stack.backend.auth.__main__ import Refused, add, promote
from stack.backend.auth.keys import KeyRing
from stack.backend.auth.limits import Attempts
from stack.backend.auth.passwords import Passwords
from stack.backend.auth.service import Auth
from stack.backend.auth.settings import AuthSettings, OidcSettings, from_environment
from stack.backend.database.database import Database
from stack.common.errors import ApiError
from stack.common.internal import InternalKey
from stack.common.settings import SettingError
from tests.stack.auth_server import auth_server
from tests.stack.conftest import PROJECT


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# -- Attempts


def take(attempts: Attempts, key: str) -> int | None:
    """None when the try was let through, else the seconds to wait."""
    try:
        attempts.take(key)
    except ApiError as error:
        return int((error.headers or {})["Retry-After"])
    return None


@given(st.lists(st.floats(0, 500), max_size=60), st.integers(1, 10))
def test_no_more_attempts_get_through_than_agreed(waits: list[float], limit: int) -> None:
    """However they are spread, any stretch of time sees the limit and what leaked away meanwhile, and no more."""
    clock = Clock()
    attempts = Attempts(limit, 600.0, clock=clock)
    through: list[float] = []
    for wait in waits:
        clock.now += wait
        if take(attempts, "a") is None:
            through.append(clock.now)
    for first in range(len(through)):
        for last in range(first, len(through)):
            assert last - first + 1 <= limit + (through[last] - through[first]) * limit / 600.0 + 1e-6


@given(st.integers(1, 50), st.floats(1, 10_000))
def test_who_waits_as_long_as_told_is_let_through(limit: int, seconds: float) -> None:
    """And a second before, is not told zero."""
    clock = Clock()
    attempts = Attempts(limit, seconds, clock=clock)
    while (wait := take(attempts, "a")) is None:
        pass
    assert wait > 0
    clock.now += wait
    assert take(attempts, "a") is None


def test_a_success_is_not_counted() -> None:
    """What is given back may be taken again; others are not concerned."""
    attempts = Attempts(1, 600.0, clock=Clock())
    assert take(attempts, "a") is None
    attempts.give_back("a")
    assert take(attempts, "a") is None
    assert take(attempts, "a") is not None
    assert take(attempts, "b") is None


def test_the_memory_of_attempts_is_bounded() -> None:
    """Names without end make no more buckets than agreed."""
    attempts = Attempts(1, 600.0, max_keys=10)
    for number in range(100):
        attempts.take(str(number))
    assert len(attempts) == 10


# -- Keys


def test_backends_that_start_at_once_share_one_ring(tmp_path: Path) -> None:
    """One makes the keys, the others read them."""
    rings: list[KeyRing] = []
    threads = [threading.Thread(target=lambda: rings.append(KeyRing(tmp_path / "keys.json", 900))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({ring.signing().kid for ring in rings}) == 1
    assert len({ring.derive("purpose") for ring in rings}) == 1
    assert oct((tmp_path / "keys.json").stat().st_mode)[-3:] == "600"


def test_a_key_that_another_backend_made_is_found(tmp_path: Path) -> None:
    """A rotation there is noticed here with the first token that it signed."""
    here, there = (KeyRing(tmp_path / "keys.json", 900) for _ in range(2))
    fresh = there.rotate()
    found = here.checking(fresh.kid)
    assert found is not None
    assert found.public == fresh.public
    assert here.signing().kid == fresh.kid


def test_a_young_key_is_not_rotated_by_age(tmp_path: Path) -> None:
    """The housekeeping replaces a key when it is old enough, once."""
    clock = Clock()
    ring = KeyRing(tmp_path / "keys.json", 900, clock)
    first = ring.signing().kid
    assert ring.rotate(older_than=100).kid == first
    clock.now += 101
    assert (second := ring.rotate(older_than=100).kid) != first
    assert ring.rotate(older_than=100).kid == second


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"secret": "eA==", "keys": []}', '{"secret": "eA==", "keys": [{"kid": 1}]}'])
def test_a_damaged_key_file_is_named(tmp_path: Path, content: str) -> None:
    """It says which file, and what to do; it is not replaced unasked."""
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(ValueError, match=r"keys\.json holds no keys; delete it"):
        KeyRing(tmp_path / "keys.json", 900)
    assert (tmp_path / "keys.json").read_text() == content


def test_a_backend_without_usable_keys_does_not_start(tmp_path: Path) -> None:
    """It says which file as a setting that is wrong, and makes no other keys in its place."""
    (tmp_path / "auth-keys.json").write_text("{}")
    with pytest.raises(SettingError, match=r"auth-keys\.json holds no keys"):
        Auth(Database(None, tmp_path), AuthSettings(), tmp_path, InternalKey(tmp_path / "internal.key"))


def test_derived_secrets_differ_by_purpose_and_outlive_rotation(tmp_path: Path) -> None:
    """One secret in the file does for several uses that know nothing of each other."""
    ring = KeyRing(tmp_path / "keys.json", 900)
    before = ring.derive("refresh", "token")
    assert before != ring.derive("refresh", "token2") != ring.derive("oidc", "token")
    ring.rotate()
    assert ring.derive("refresh", "token") == before
    assert "private" in json.loads((tmp_path / "keys.json").read_text())["keys"][0]


# -- Passwords


def test_hashes_are_argon2id_with_a_salt() -> None:
    """Two hashes of one password differ, and both match it alone."""

    async def scene() -> None:
        passwords = Passwords()
        one, two = await asyncio.gather(passwords.hash("secret"), passwords.hash("secret"))
        assert one.startswith("$argon2id$")
        assert one != two
        assert await passwords.matches(one, "secret")
        assert not await passwords.matches(two, "Secret")
        assert not await passwords.matches(None, "secret")
        assert not await passwords.matches("no hash", "secret")

    asyncio.run(scene())


def test_hashes_of_another_cost_are_outdated() -> None:
    """They are renewed at the next sign-in, when the password is at hand."""
    cheap = "$argon2id$v=19$m=8,t=1,p=1$c29tZXNhbHQ$dmFsdWU"
    assert Passwords().outdated(cheap)
    assert not Passwords().outdated(asyncio.run(Passwords().hash("secret")))


# -- Settings


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that can be set, and no secret in what is printed of it."""
    for name, value in {
        "AUTH": "required",
        "AUTH_REGISTRATION": "closed",
        "PUBLIC_URL": "https://stack.example/",
        "METRICS_TOKEN": "0123456789abcdef",
        "OIDC_ISSUER": "https://accounts.example.org",
        "OIDC_CLIENT_ID": "stack",
        "OIDC_CLIENT_SECRET": "hunter2",
        "OIDC_LABEL": "Example",
    }.items():
        monkeypatch.setenv(name, value)
    found = from_environment()
    oidc = OidcSettings("https://accounts.example.org", "stack", "hunter2", "Example")
    assert found == AuthSettings(True, False, "https://stack.example", "0123456789abcdef", oidc)
    assert found.secure
    assert found.port == 443
    assert "hunter2" not in repr(found)
    assert "0123456789abcdef" not in repr(found)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AUTH", "on"),
        ("AUTH_REGISTRATION", "maybe"),
        ("PUBLIC_URL", "stack.example"),
        ("METRICS_TOKEN", "short"),
        ("OIDC_ISSUER", "https://accounts.example.org"),
        ("OIDC_CLIENT_ID", "stack"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """The backend does not start with half of a configuration, or with a mode that it does not know."""
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingError, match=name):
        from_environment()


def test_a_provider_elsewhere_needs_https(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens do not cross a network in the clear."""
    monkeypatch.setenv("OIDC_CLIENT_ID", "stack")
    monkeypatch.setenv("OIDC_ISSUER", "http://accounts.example.org")
    with pytest.raises(SettingError, match="https"):
        from_environment()


# -- The command


def command(directory: Path, *words: str, answer: str = "") -> subprocess.CompletedProcess[str]:
    """`python -m stack.backend.auth` over the state in `directory`."""
    return subprocess.run(
        [sys.executable, "-m", "stack.backend.auth", *words],
        cwd=PROJECT,
        env={key: value for key, value in os.environ.items() if key != "DATABASE_URL"} | {"STACK_STATE": str(directory)},
        input=answer,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_who_runs_the_stack_makes_accounts_and_admins(tmp_path: Path) -> None:
    """With registration closed there is a way in for whoever can read the state directory; an admin rotates keys."""
    made = command(tmp_path, "add", "root", "--admin", answer="correct horse\n")
    assert (made.returncode, made.stderr) == (0, ""), made
    with auth_server(tmp_path, AuthSettings(required=True, registration=False)) as server, server.client() as client:
        signed_in = client.post("/api/auth/login", json={"name": "root", "password": "correct horse"}).json()
        assert signed_in["account"]["admin"] is True
        rotated = client.post("/api/auth/keys/rotate", headers={"Authorization": f"Bearer {signed_in['access_token']}"})
        assert rotated.json()["kid"] == server.auth.ring.signing().kid


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    """A short password, a strange name, a name that is taken, a name that nobody has."""

    async def scene() -> None:
        database = Database(None, tmp_path)
        await database.start()
        try:
            with pytest.raises(Refused, match="8 characters"):
                await add(database, "root", "short", admin=False)
            with pytest.raises(Refused, match="a name has"):
                await add(database, "r t", "correct horse", admin=False)
            await add(database, "root", "correct horse", admin=False)
            with pytest.raises(Refused, match="already"):
                await add(database, "ROOT", "correct horse", admin=True)
            with pytest.raises(Refused, match="no account"):
                await promote(database, "nobody", admin=True)
        finally:
            await database.stop()

    asyncio.run(scene())
