"""`devctl config`: the manifest as resolved, secrets masked."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from devctl.manifest.config import render_config
from devctl.manifest.secrets import MASK, mask_argv, mask_environment, mask_text

if TYPE_CHECKING:
    from tests.manifest.conftest import Workspace

MANIFEST = """
name: one
logging: {max_size: 1500B}
services:
  db: {command: sleep 1, port: 5432, ports: {admin: auto}, labels: {a: "no"}, profiles: []}
  web:
    command: sleep 1 && echo "$$HOME ${services.db.port}"
    working_dir: bin
    environment: {TOKEN: hush, PRICE: 5$$, EMPTY: "", DB: "postgres://me:hush@db:5432/x", URL: "${services.db.url}"}
    depends_on: {db: {condition: service_started}}
    healthcheck:
      http: {url: "http://127.0.0.1:${services.db.port}", headers: {Authorization: hush}, body: ^x$$}
      start_interval: 20ms
    restart: on-failure:3
    restart_backoff: {initial: 1s, factor: 1.5}
    stop_signal: INT
    stop_command: [sleep, --password=hush, --api-key, hush, "x"]
    success_exit_codes: 3
  task: {command: sleep 1, oneshot: yes, port: 1, stop_grace_period: 250ms}
  quiet: {command: sleep 1, port: 2, healthcheck: {disable: true}, on_unhealthy: restart, logging: {max_files: 1}}
  logs: {command: sleep 1, healthcheck: {log: "a b"}}
  said: {command: sleep 1, healthcheck: {notify: true}}
  asked: {command: sleep 1, healthcheck: {exec: "sleep 0 && true"}}
"""


@pytest.mark.parametrize("form", ["yaml", "json"])
def test_config_loads_again(workspace: Workspace, form: str) -> None:
    """Unmasked, it is a manifest that gives the same plan."""
    plan = workspace.load(MANIFEST)
    text = render_config(plan, form=form, mask=False)
    again = workspace.load(text)
    for name, spec in plan.services.items():
        assert dataclasses.replace(again.services[name], command=spec.command) == spec
    assert (again.name, again.logging, list(again.services)) == (plan.name, plan.logging, list(plan.services))


def test_secrets_are_masked(workspace: Workspace) -> None:
    """No secret is printed, in either form; the rest is."""
    plan = workspace.load(MANIFEST)
    for form in ("yaml", "json"):
        text = render_config(plan, form=form)
        assert "hush" not in text
        assert f"postgres://me:{MASK}@db:5432/x" in text
        assert "${services.db.url}" in text
    environment = yaml.safe_load(render_config(plan))["services"]["web"]["environment"]
    assert environment == json.loads(render_config(plan, form="json"))["services"]["web"]["environment"]
    assert (environment["TOKEN"], environment["PRICE"], environment["EMPTY"]) == (MASK, "5$$", "")


def test_unknown_form(workspace: Workspace) -> None:
    """Another form is a programmer's error."""
    with pytest.raises(ValueError, match="toml"):
        render_config(workspace.load(MANIFEST), form="toml")


@pytest.mark.parametrize(
    "name", ["API_KEY", "token", "MySecret", "DB_PASSWORD", "PASSWD", "GOOGLE_CREDENTIALS", "SENTRY_DSN", "Authorization"]
)
def test_secret_names(name: str) -> None:
    """Secrets are known by name in any case."""
    assert mask_environment({name: "x"}) == {name: MASK}


@pytest.mark.parametrize("name", ["PATH", "LOG_LEVEL", "KEYBOARD_LAYOUT", "HOST"])
def test_plain_names(name: str) -> None:
    """Other variables are shown."""
    assert mask_environment({name: "x"}) == {name: "x"}


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgres://u:p@h/d", f"postgres://u:{MASK}@h/d"),
        ("redis://:p@h", f"redis://:{MASK}@h"),
        ("a http://u:p@h b amqp://x:y@z c", f"a http://u:{MASK}@h b amqp://x:{MASK}@z c"),
        ("http://h:80/@x", "http://h:80/@x"),
        ("http://user@h", "http://user@h"),
        ("a:b@c", "a:b@c"),
    ],
)
def test_passwords_in_urls(text: str, masked: str) -> None:
    """A URL is shown without its password."""
    assert mask_text(text) == masked


@pytest.mark.parametrize(
    ("argv", "masked"),
    [
        (["x", "--token", "t", "y"], ["x", "--token", MASK, "y"]),
        (["x", "--token=t"], ["x", f"--token={MASK}"]),
        (["x", "--token", "--y"], ["x", "--token", "--y"]),
        (["env", "API_KEY=k", "x"], ["env", f"API_KEY={MASK}", "x"]),
        (["sh", "-c", "exec x  --password p TOKEN=t"], ["sh", "-c", f"exec x  --password {MASK} TOKEN={MASK}"]),
        (["x", "PASSWORD=with spaces in it"], ["x", f"PASSWORD={MASK}"]),
        (["keytool://a"], ["keytool://a"]),
    ],
)
def test_secrets_in_commands(argv: list[str], masked: list[str]) -> None:
    """Options and assignments named like secrets are masked."""
    assert mask_argv(argv) == masked


@given(st.lists(st.text(max_size=20), max_size=6))
def test_masking_keeps_the_number_of_words(argv: list[str]) -> None:
    """Masking replaces words and never adds or removes one."""
    assert len(mask_argv(argv)) == len(argv)
