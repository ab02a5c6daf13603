"""No input breaks the loader: it gives a plan, or a ManifestError with problems, in time."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devctl.errors import ManifestError
from devctl.manifest.config import render_config
from devctl.manifest.draw import FORMS, draw
from devctl.manifest.load import load
from devctl.manifest.schema import json_schema
from devctl.plan import from_json, to_json

# One second of CPU time, so that a busy machine does not count; typical inputs take a few milliseconds.
DEADLINE = 1.0
FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

VALID = """
name: assistant
environment: {LOG_LEVEL: "${LEVEL:-info}"}
x-base: &base {restart: on-failure, restart_backoff: {initial: 200ms}}
services:
  router:
    <<: *base
    command: python -m stack.router > log
    port: 8888
    healthcheck: {http: "http://127.0.0.1:${services.router.port}/health", start_period: 30s}
  backend:
    command: [python, -m, stack.backend]
    ports: {web: auto}
    depends_on: {router: {condition: service_healthy, restart: true}}
    environment: [A=1, "R=${services.router.url}"]
"""


def check(directory: Path, content: bytes) -> None:
    """Loads `content`; a plan must survive JSON, rendering and drawing."""
    (directory / "services.yaml").write_bytes(content)
    started = time.process_time()
    try:
        plan = load(None, directory=directory, environ={"PATH": "/nonexistent", "A": "$ {"}, check_commands=False)
    except ManifestError as error:
        refusal: ManifestError | None = error
    else:
        refusal = None
        assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
        for form in FORMS:
            draw(plan, form)
        render_config(plan)
    assert time.process_time() - started < DEADLINE
    assert refusal is None or (refusal.problems and "\x1b" not in str(refusal))


@FUZZ
@given(st.binary(max_size=400))
def test_bytes(tmp_path: Path, content: bytes) -> None:
    """Arbitrary bytes."""
    check(tmp_path, content)


@FUZZ
@given(st.text(alphabet="abcs:-[]{}&*!|>'\"%@`#,?<= \n\t$0\x00é~.", max_size=200))
def test_yaml_like_text(tmp_path: Path, content: str) -> None:
    """Texts made of YAML's own characters."""
    check(tmp_path, content.encode())


@FUZZ
@given(st.data())
def test_mutations(tmp_path: Path, data: st.DataObject) -> None:
    """A valid manifest with pieces cut, doubled, moved and replaced."""
    content = bytearray(VALID.encode())
    for _ in range(data.draw(st.integers(1, 6))):
        start = data.draw(st.integers(0, len(content)))
        end = data.draw(st.integers(start, min(len(content), start + 30)))
        piece = data.draw(st.one_of(st.just(bytes(content[start:end]) * 2), st.just(b""), st.binary(max_size=8)))
        content[start:end] = piece
    check(tmp_path, bytes(content))


def _keys(schema: Any) -> set[str]:
    if isinstance(schema, list):
        return {key for item in schema for key in _keys(item)}
    if not isinstance(schema, dict):
        return set()
    return {*schema.get("properties", {}), *(key for item in schema.values() for key in _keys(item))}


MEANINGFUL = [
    *(
        "auto",
        "1s",
        "20MB",
        "a",
        "b",
        "no",
        "always",
        "on-failure:2",
        "restart",
        "SIGTERM",
        "service_started",
        "http://a",
        "a:1",
        "2xx",
    ),
    *("${A}", "${services.a.port}", "${services.b.url}", "${X:?}", "python -m x | y", "'", "K=v", "../..", "(", "~/x", "a.env"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-2, 70000),
    st.floats(allow_nan=True),
    st.text(max_size=12),
    st.sampled_from(MEANINGFUL),
)
KEYS = st.one_of(st.sampled_from([*sorted(_keys(json_schema())), "a", "b", "tty", "x-y", "<<"]), st.text(max_size=6))
VALUES = st.recursive(
    SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(KEYS, inner, max_size=4)), max_leaves=12
)
SERVICE = st.dictionaries(KEYS, VALUES, max_size=8).map(lambda keys: {"command": "true", **keys})
MANIFEST = st.fixed_dictionaries(
    {"services": st.dictionaries(st.sampled_from(["a", "b", "c.d"]), SERVICE, min_size=1)}, optional={"x": VALUES}
)


@FUZZ
@given(st.one_of(VALUES, MANIFEST))
def test_structures(tmp_path: Path, value: Any) -> None:
    """Well-formed YAML of any shape, with the keys that mean something."""
    check(tmp_path, yaml.safe_dump(value, allow_unicode=True).encode())


def _duration(milliseconds: int) -> str:
    return f"{milliseconds}ms"


NAMES = ["a", "b", "c.d", "e-f"]
DURATIONS = st.integers(1, 100_000).map(_duration)
TEXTS = st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=15).map(
    lambda text: text.replace("$", "$$")
)
WORDS = TEXTS.filter(lambda text: text.strip() != "")
GOOD_SERVICE = st.fixed_dictionaries(
    {"command": st.lists(WORDS, min_size=1, max_size=3)},
    optional={
        "description": TEXTS,
        "environment": st.dictionaries(st.sampled_from(["A", "B"]), TEXTS | st.just("${services.a.port}")),
        "url": st.just("http://x:${services.a.port}"),
        "oneshot": st.booleans(),
        "restart": st.sampled_from(["no", "on-failure", "on-failure:3"]),
        "restart_backoff": st.fixed_dictionaries({}, optional={"factor": st.integers(1, 9), "reset_after": DURATIONS}),
        "stop_grace_period": DURATIONS,
        "stop_signal": st.sampled_from(["SIGINT", "QUIT", 9]),
        "stop_command": st.lists(WORDS, min_size=1, max_size=3),
        "success_exit_codes": st.lists(st.integers(0, 255), min_size=1, max_size=3),
        "labels": st.dictionaries(st.sampled_from(["x", "y"]), TEXTS),
    },
)


@FUZZ
@given(st.dictionaries(st.sampled_from(NAMES), GOOD_SERVICE), GOOD_SERVICE, st.sampled_from([80, "auto"]))
def test_valid_manifests(tmp_path: Path, services: dict[str, Any], first: dict[str, Any], port: int | str) -> None:
    """What should be accepted is accepted, survives JSON, and its unmasked config gives the same plan again."""
    manifest = {"services": {**services, "a": {**first, "port": port}}}
    path = tmp_path / "services.yaml"
    path.write_text(yaml.safe_dump(manifest, allow_unicode=True), encoding="utf-8")
    plan = load(None, directory=tmp_path, environ={}, check_commands=False)
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan
    path.write_text(render_config(plan, mask=False), encoding="utf-8")
    again = load(None, directory=tmp_path, environ={}, check_commands=False)
    assert to_json(again) == to_json(plan)


@pytest.mark.parametrize(
    "content",
    [
        b"[" * 999_999,
        b"- " * 499_999,
        b"? " * 499_999,
        b"{a: " * 249_000,
        b"a: [" + b"a," * 240_000 + b"]",
        b"a: '" + b"x" * 999_000 + b"'",
        b"services:\n" + b"".join(b" s%d: {z: 1}\n" % i for i in range(9_999)),
        b"services:\n" + b"".join(b" s%d: {command: nope%d}\n" % (i, i) for i in range(9_999)),
        b"services:\n" + b"".join(b" s%d: {command: x, depends_on: [s%d]}\n" % (i, (i + 1) % 9_999) for i in range(9_999)),
        b"services: {a: {command: x, environment: {A: '" + b"${A}" * 240_000 + b"'}}}",
        b"services: {a: {command: x, environment: {A: '" + b"${B:-" * 190_000 + b"'}}}",
        b'services: {a: {command: "' + b"'" * 900_000 + b'"}}',
        b"x-a: &a {" + b",".join(b"k%d: v" % i for i in range(20_000)) + b"}\nb: [" + b"{<<: *a}," * 40 + b"]",
        b"\x85" * 400_000,
        b"# \n" * 300_000,
        b"&a " * 300_000,
        b"!t " * 300_000,
        b"a" * 900_000,
        b"a:\n" + b" " * 900_000 + b"b",
        b'"' + b"\\n" * 400_000 + b'"',
    ],
    ids=range(20),
)
def test_hostile_megabytes(tmp_path: Path, content: bytes) -> None:
    """Files made to be slow, at the size limit: a plan or an error, within a guard that allows for a slow machine."""
    (tmp_path / "services.yaml").write_bytes(content)
    started = time.process_time()
    with pytest.raises(ManifestError):
        load(None, directory=tmp_path, environ={"PATH": "/usr/bin:/bin", "A": "x" * 100})
    assert time.process_time() - started < 10 * DEADLINE
