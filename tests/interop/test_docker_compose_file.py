"""The docker-compose.yml of this repository: what services.yaml exports, and by the rules of Compose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from devctl.interop.compose import render
from devctl.manifest.load import load
from devctl.plan import Plan

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docker-compose.yml"

TEXTS = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
DURATION = {"type": "string", "pattern": r"^([0-9]+(\.[0-9]+)?(us|ms|s|m|h))+$"}
SERVICE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["image"],
    "properties": {
        "image": {"type": "string", "pattern": r"^[a-z0-9._/-]+:[A-Za-z0-9._-]+$"},
        "command": {"type": "array", "items": {"type": "string"}},
        "environment": {"type": "object", "additionalProperties": {"type": ["string", "null"]}},
        "ports": {**TEXTS, "items": {"type": "string", "pattern": r"^127\.0\.0\.1:[0-9]{1,5}:[0-9]{1,5}$"}},
        "volumes": {**TEXTS, "items": {"type": "string", "pattern": r"^[^:]+:/[^:]+(:ro)?$"}},
        "network_mode": {"enum": ["host", "bridge", "none"]},
        "depends_on": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": False,
                "required": ["condition"],
                "properties": {
                    "condition": {"enum": ["service_started", "service_healthy", "service_completed_successfully"]},
                    "restart": {"type": "boolean"},
                    "required": {"type": "boolean"},
                },
            },
        },
        "healthcheck": {
            "type": "object",
            "additionalProperties": False,
            "required": ["test"],
            "properties": {
                "test": {"type": "array", "prefixItems": [{"const": "CMD-SHELL"}, {"type": "string"}], "items": False},
                "retries": {"type": "integer", "minimum": 1},
                **dict.fromkeys(("interval", "timeout", "start_period", "start_interval"), DURATION),
            },
        },
        "restart": {"type": "string", "pattern": "^(no|always|unless-stopped|on-failure(:[0-9]+)?)$"},
    },
    # Docker refuses to publish ports of a container that has the machine's own.
    "not": {"required": ["ports", "network_mode"], "properties": {"network_mode": {"const": "host"}}},
}
COMPOSE = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name", "services"],
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z0-9][a-z0-9_-]*$"},
        "services": {"type": "object", "propertyNames": {"pattern": "^[A-Za-z0-9._-]+$"}, "additionalProperties": SERVICE},
        "volumes": {"type": "object", "additionalProperties": {"type": "object", "maxProperties": 0}},
    },
}
"""What an export may hold, of the Compose Specification: https://github.com/compose-spec/compose-spec"""


def content() -> Any:
    """The committed file."""
    return yaml.safe_load(FILE.read_text())


def plan(*profiles: str) -> Plan:
    """services.yaml with these profiles, whatever is set or installed here."""
    return load([ROOT / "services.yaml"], directory=ROOT, environ={"PATH": ""}, profiles=profiles, check_commands=False)


def test_it_is_what_is_exported() -> None:
    """`make docs` writes it again. Nothing of this machine is in it, so every machine exports the same."""
    command = "devctl --profile full --profile grafana export docker-compose"
    assert FILE.read_text() == render(plan("full", "grafana"), command)
    assert str(ROOT) not in FILE.read_text()


def test_compose_knows_all_of_it() -> None:
    """Every key and every form of a value is the Specification's."""
    assert [error.message for error in Draft202012Validator(COMPOSE).iter_errors(content())] == []


def test_it_has_the_servers() -> None:
    """Those of the profiles that are not the project's own code, each with a check."""
    services = content()["services"]
    assert set(services) == {"redis", "nats", "prometheus", "grafana"}
    assert all("healthcheck" in service for service in services.values())


def test_what_it_mentions_is_there() -> None:
    """Volumes are declared, mounted directories exist, and who waits, waits for a service of the file that has a check."""
    file = content()
    for service in file["services"].values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            assert source in file["volumes"] if "/" not in source else (ROOT / source).is_dir()
        for name, edge in service.get("depends_on", {}).items():
            assert edge["condition"] != "service_healthy" or "healthcheck" in file["services"][name]


def test_prometheus_finds_its_configuration() -> None:
    """In the directory that is mounted, at the path its command names; Grafana finds its folders likewise."""
    services = content()["services"]
    inside = {}
    for name in ("prometheus", "grafana"):
        for volume in services[name]["volumes"]:
            source, target, *_ = volume.split(":")
            inside[target] = ROOT / source
    paths = [word.partition("=")[2] for word in services["prometheus"]["command"] if word.startswith("--config.file=")]
    paths += [services["grafana"]["environment"][name] for name in ("DASHBOARDS", "GF_PATHS_PROVISIONING")]
    for path in paths:
        target = next(target for target in inside if path.startswith(f"{target}/"))
        assert (inside[target] / path.removeprefix(f"{target}/")).exists()


def test_grafana_is_started_only_when_asked_for() -> None:
    """Its profile is `full` and Grafana; without it, nothing else is started than before there was one."""
    assert set(plan().services) == {"router", "backend", "frontend"}
    assert set(plan("full").services) == set(plan().services) | {"prepare", "redis", "nats", "exporter", "prometheus"}
    assert set(plan("grafana").services) == set(plan("full").services) | {"grafana"}
