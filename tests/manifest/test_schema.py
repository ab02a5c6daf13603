"""The JSON Schema and the reference: both from the tables, both held to the loader."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from devctl.manifest.reference import reference
from devctl.manifest.schema import json_schema

if TYPE_CHECKING:
    from tests.manifest.conftest import Workspace

ROOT = Path(__file__).parents[2]
VALIDATOR = Draft202012Validator(json_schema())

VALID = [
    "services: {a: {command: x}}",
    "services: {a: {command: [x, 1], port: auto, ports: {x: 80}, depends_on: [b]}, b: {command: x}}",
    "services: {a: {command: x, restart: no}, b: {command: x, restart: 'on-failure:3'}}",
    "services: {a: {command: x, port: '${P:-80}', oneshot: '${O:-yes}', stop_grace_period: '${G:-1s}'}}",
    "name: x\nx-y: {a: b}\nenvironment: [A=1, B]\nenv_file: []\nlogging: {max_size: 20MB}\nservices: {a: {command: x, x-z: 1}}",
    "services: {a: {command: x, environment: {A: 1, B: true, C: null, D: x}, labels: [a=b], profiles: x}}",
    "services: {a: {command: x, healthcheck: {http: 'http://x', start_interval: auto, retries: 1}}}",
    "services: {a: {command: x, healthcheck: {http: {url: 'http://x', status: [200, 2xx, 200-299]}}}}",
    "services: {a: {command: x, healthcheck: {exec: [a], interval: 1m30s}}, b: {command: x, healthcheck: {tcp: 'a:1'}}}",
    "services: {a: {command: x, depends_on: {b: {condition: service_started, restart: on}, c: {}}}, b: &b {command: x}, c: *b}",
    "services: {a: {command: x, stop_signal: SIGINT, success_exit_codes: [0, 3], restart_backoff: {initial: 1s, factor: 1.5}}}",
    "services: {a: {command: x, shell: [x, -c]}, b: {command: x, shell: x, env_file: [{path: y, required: false}]}}",
]

INVALID = [
    "servces: {}",
    "services: {a: {comand: x}}",
    "services: {a: {command: sleep 1, port: 70000}}",
    "services: {a: {command: sleep 1, port: [1]}}",
    "services: {a: {command: sleep 1, ports: ['80:80']}}",
    "services: {a: {command: sleep 1, ports: {url: 1}}}",
    "services: {a: {command: {}}}",
    "services: {a b: {command: sleep 1}}",
    "services: {a: {command: sleep 1, tty: true}}",
    "services: {a: {command: sleep 1, oneshot: maybe}}",
    "services: {a: {command: sleep 1, restart: sometimes}}",
    "services: {a: {command: sleep 1, stop_grace_period: 10 bananas}}",
    "services: {a: {command: sleep 1, depends_on: {b: {condition: healthy}}}}",
    "services: {a: {command: sleep 1, healthcheck: {test: x}}}",
    "services: {a: {command: sleep 1, healthcheck: {http: {method: GET}}}}",
    "services: {a: {command: sleep 1, env_file: {required: true}}}",
    "logging: {max_size: lots}\nservices: {a: {command: sleep 1}}",
    "name: a b\nservices: {a: {command: sleep 1}}",
]

CONTRACT_SERVICE = {
    "command",
    "shell",
    "description",
    "working_dir",
    "environment",
    "env_file",
    "port",
    "ports",
    "url",
    "depends_on",
    "healthcheck",
    "oneshot",
    "restart",
    "restart_backoff",
    "stop_signal",
    "stop_grace_period",
    "stop_command",
    "success_exit_codes",
    "profiles",
    "reuse",
    "on_unhealthy",
    "logging",
    "labels",
}
CONTRACT_HEALTHCHECK = {
    "http",
    "tcp",
    "exec",
    "log",
    "notify",
    "interval",
    "timeout",
    "retries",
    "start_period",
    "start_interval",
    "disable",
}


def test_schema_is_valid() -> None:
    """The schema is one of draft 2020-12, with a description on every key."""
    schema = json_schema()
    Draft202012Validator.check_schema(schema)
    undescribed = [path for path, item in _properties(schema, "") if not item.get("description")]
    assert undescribed == []


@pytest.mark.parametrize("text", VALID)
def test_accepted_by_both(workspace: Workspace, text: str) -> None:
    """What the loader takes, the schema takes."""
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(text))] == []
    workspace.load(text, check_commands=False)


@pytest.mark.parametrize("text", INVALID)
def test_refused_by_both(workspace: Workspace, text: str) -> None:
    """What the schema refuses, the loader refuses."""
    assert not VALIDATOR.is_valid(yaml.safe_load(text))
    assert workspace.problems(text)


@pytest.mark.parametrize("path", sorted(ROOT.glob("*.yaml")) + sorted(ROOT.glob("examples/**/*.yaml")), ids=str)
def test_examples_are_valid(path: Path) -> None:
    """The manifests of this repository please their own schema."""
    assert [error.message for error in VALIDATOR.iter_errors(yaml.safe_load(path.read_text()))] == []


def test_schema_and_loader_know_the_same_keys(workspace: Workspace) -> None:
    """Each key of the schema is known to the loader at its place, and each key of the contract is in the schema."""
    schema = json_schema()
    service = schema["$defs"]["service"]["properties"]
    text = "services: {a: {command: sleep 1, " + ", ".join(f"{key}: {{zz: {{}}}}" for key in service if key != "command") + "}}\n"
    text += "".join(f"{key}: {{zz: {{}}}}\n" for key in schema["properties"] if key != "services")
    messages = [problem.message for problem in workspace.problems(text)]
    assert not [message for message in messages if "unknown key" in message and "`zz`" not in message]
    assert set(service) == CONTRACT_SERVICE
    assert set(service["healthcheck"]["properties"]) == CONTRACT_HEALTHCHECK
    assert set(schema["properties"]) == {"name", "env_file", "environment", "logging", "services"}


def test_reference_is_current() -> None:
    """docs/manifest.md is what the tables give; `python -m devctl.manifest.reference > docs/manifest.md` renews it."""
    assert (ROOT / "docs" / "manifest.md").read_text() == reference()


def _properties(schema: Any, path: str) -> list[tuple[str, dict[str, Any]]]:
    found: list[tuple[str, dict[str, Any]]] = []
    if isinstance(schema, dict):
        for name, item in schema.get("properties", {}).items():
            found.append((f"{path}/{name}", item))
        for key, item in schema.items():
            found += _properties(item, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, item in enumerate(schema):
            found += _properties(item, f"{path}/{index}")
    return found
