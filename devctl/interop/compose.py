"""A plan as a file of Docker Compose: the services that have a container.

Source: the Compose Specification, https://github.com/compose-spec/compose-spec/blob/main/spec.md
"""

from __future__ import annotations

import re
from typing import Any

from devctl.errors import StackError
from devctl.interop.container import Container, containers
from devctl.plan import Condition, Dependency, Plan, RestartMode, RestartPolicy, ServiceSpec

MEND = "a service has a container when its labels name an image, such as container.image: redis:8-alpine"

# What YAML 1.2 reads as a number though YAML 1.1, which PyYAML writes for, does not: 1e3, 0o7. Quoted, as Compose wants its ports.
_NUMBER = re.compile(r"[-+.]?[0-9][0-9a-fA-FoxX_.:+-]*$")


def compose(plan: Plan) -> dict[str, Any]:
    """The file's content: texts are what the container gets, so dollars are not doubled yet.

    Raises:
        ManifestError: a label cannot be used.
        StackError: no service has a container.
    """
    found = containers(plan)
    if not found:
        outside = f"; or add --profile: {', '.join(plan.available)} are in profiles" if plan.available else ""
        raise StackError("no service of this stack has a container, so there is nothing to export", f"{MEND}{outside}")
    volumes = dict.fromkeys(name for container in found.values() for name in container.volume_names)
    content: dict[str, Any] = {
        "name": _project(plan.name),
        "services": {name: _service(plan.services[name], container, found) for name, container in found.items()},
        "volumes": {name: {} for name in volumes},
    }
    return {key: value for key, value in content.items() if value}


def remarks(plan: Plan) -> list[str]:
    """What the user should know of the export: what was left out, and what is not as in the plan. Raises ManifestError."""
    found = containers(plan)
    said = []
    if left := [name for name in plan.services if name not in found]:
        said.append(f"left out: {', '.join(left)}\n  {MEND}")
    for name, container in found.items():
        for variable in container.withheld:
            said.append(f"{name}: the value of {variable} is not written\n  set it where docker compose is called, or in its .env")
    waited = {edge.service for name in found for edge in plan.services[name].depends_on if edge.condition is Condition.HEALTHY}
    for name in found:
        if name in waited and found[name].health is None:
            said.append(f"{name}: who depends on it waits for its start only\n  with the label container.health until it is ready")
    return said


def render(plan: Plan, command: str) -> str:
    """docker-compose.yml, the same every time; its first line says that `command` made it. Raises as `compose`."""
    import yaml

    class Dumper(yaml.SafeDumper):
        """Quotes what somebody might take for a number."""

    Dumper.add_implicit_resolver("tag:yaml.org,2002:float", _NUMBER, list("-+.0123456789"))
    text: str = yaml.dump(_escaped(compose(plan)), Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)
    return f"# Made by `{' '.join(command.split())}` from the labels of the manifest\n{text}"


def _service(spec: ServiceSpec, container: Container, found: dict[str, Container]) -> dict[str, Any]:
    content: dict[str, Any] = {
        "image": container.image,
        "command": list(container.command),
        "environment": dict(container.environment),
        # On this machine only, as everything that devctl starts.
        "ports": [f"127.0.0.1:{container.published[name]}:{number}" for name, number in container.ports.items()],
        "volumes": list(container.volumes),
        "network_mode": container.network,
        "depends_on": {edge.service: _edge(edge, found[edge.service]) for edge in spec.depends_on if edge.service in found},
        "healthcheck": _healthcheck(spec, container),
        "restart": _restart(spec.restart),
        "stop_signal": spec.stop_signal if spec.stop_signal != "SIGTERM" else None,
        "stop_grace_period": _seconds(spec.stop_grace_period) if spec.stop_grace_period != 10.0 else None,
    }
    return {key: value for key, value in content.items() if value not in (None, [], {})}


def _edge(edge: Dependency, other: Container) -> dict[str, Any]:
    # Compose refuses to wait for the health of a container without a check.
    unchecked = edge.condition is Condition.HEALTHY and other.health is None
    content: dict[str, Any] = {"condition": (Condition.STARTED if unchecked else edge.condition).value}
    if edge.restart:
        content["restart"] = True
    if not edge.required:
        content["required"] = False
    return content


def _healthcheck(spec: ServiceSpec, container: Container) -> dict[str, Any] | None:
    if container.health is None:
        return None
    content: dict[str, Any] = {"test": ["CMD-SHELL", container.health]}
    if (check := spec.healthcheck) is not None:
        content["interval"] = _seconds(check.interval)
        content["timeout"] = _seconds(check.timeout)
        content["retries"] = check.retries
        content["start_period"] = _seconds(check.start_period)
        if check.start_interval is not None:
            content["start_interval"] = _seconds(check.start_interval)
    return content


def _restart(policy: RestartPolicy) -> str | None:
    if policy.mode is RestartMode.NO:
        return None
    limited = policy.mode is RestartMode.ON_FAILURE and policy.max_attempts
    return f"{policy.mode.value}:{policy.max_attempts}" if limited else policy.mode.value


def _seconds(value: float) -> str:
    """Compose knows no days, so all of it in seconds, with at most milliseconds: `30s`, `0.5s`."""
    return f"{value:.3f}".rstrip("0").rstrip(".") + "s"


def _project(name: str) -> str:
    """The stack's name as Compose allows one: small letters, digits, `_` and `-`."""
    return re.sub(r"[^a-z0-9_-]", "-", name.lower()).lstrip("-_") or "stack"


def _escaped(value: Any) -> Any:
    """Compose fills in variables in every text; a doubled dollar is a dollar."""
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, list) else value
