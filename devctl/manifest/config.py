"""The manifest as it was resolved, for `devctl config`: a manifest again, secrets masked."""

from __future__ import annotations

import json
from typing import Any

from devctl.manifest.secrets import mask_argv, mask_environment, mask_text, mask_value
from devctl.manifest.values import format_duration, format_size
from devctl.plan import (
    REFERENCE,
    ExecProbe,
    HealthCheck,
    HttpProbe,
    LogProbe,
    LogSettings,
    Plan,
    RestartMode,
    RestartPolicy,
    ServiceSpec,
    TcpProbe,
)


def resolved(plan: Plan, *, mask: bool = True) -> dict[str, Any]:
    """The plan as the values of a manifest: defaults left out, paths absolute, references and dollars as they are written.

    Without `mask` it can be loaded again and gives an equal plan, but for `command`, which is argv.
    """
    config: dict[str, Any] = {
        "name": plan.name,
        "logging": _logging(plan.logging),
        "services": {name: _service(spec, plan, mask) for name, spec in plan.services.items()},
    }
    written: dict[str, Any] = _written(config)
    return written


def render_config(plan: Plan, *, form: str = "yaml", mask: bool = True) -> str:
    """`resolved` as YAML or JSON text, ending in a newline. Raises ValueError for another form."""
    config = resolved(plan, mask=mask)
    if form == "json":
        return json.dumps(config, indent=2, ensure_ascii=False) + "\n"
    if form != "yaml":
        raise ValueError(form)
    import yaml

    text: str = yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=120)
    return text


def _service(spec: ServiceSpec, plan: Plan, mask: bool) -> dict[str, Any]:
    plain = ServiceSpec(name="", argv=(), command="", working_dir="")
    config: dict[str, Any] = {
        "description": spec.description or None,
        "command": mask_argv(spec.argv) if mask else list(spec.argv),
        "working_dir": spec.working_dir if spec.working_dir != plan.directory else None,
        "environment": mask_environment(spec.environment) if mask else dict(spec.environment),
        "env_file": [{"path": file.path, "required": file.required} for file in spec.env_files],
        "port": _port(spec.ports["default"]) if "default" in spec.ports else None,
        "ports": {name: _port(number) for name, number in spec.ports.items() if name != "default"},
        "url": _masked(spec.url or "", mask) or None,
        "depends_on": {
            edge.service: {"condition": edge.condition.value, "restart": edge.restart, "required": edge.required}
            for edge in spec.depends_on
        },
        "healthcheck": _healthcheck(spec, mask),
        "oneshot": spec.oneshot or None,
        "restart": _restart(spec.restart),
        "restart_backoff": _backoff(spec.restart),
        "stop_signal": spec.stop_signal if spec.stop_signal != plain.stop_signal else None,
        "stop_grace_period": _unless(plain.stop_grace_period, spec.stop_grace_period),
        "stop_command": None if spec.stop_command is None else mask_argv(spec.stop_command) if mask else list(spec.stop_command),
        "success_exit_codes": list(spec.success_exit_codes) if spec.success_exit_codes != plain.success_exit_codes else None,
        "profiles": list(spec.profiles),
        "reuse": spec.reuse or None,
        "on_unhealthy": spec.on_unhealthy if spec.on_unhealthy != plain.on_unhealthy else None,
        "logging": _logging(spec.logging) if spec.logging != plan.logging else None,
        "labels": mask_environment(spec.labels) if mask else dict(spec.labels),
    }
    return {key: value for key, value in config.items() if value not in (None, {}, [])}


def _healthcheck(spec: ServiceSpec, mask: bool) -> dict[str, Any] | None:
    check = spec.healthcheck
    if check is None:
        return {"disable": True} if "default" in spec.ports and not spec.oneshot else None
    plain = HealthCheck(check.probe)
    return {
        check.probe.kind: _probe(check, mask),
        "interval": format_duration(check.interval),
        "timeout": format_duration(check.timeout),
        "retries": check.retries,
        "start_period": format_duration(check.start_period),
        "start_interval": "auto" if check.start_interval == plain.start_interval else format_duration(check.start_interval or 0),
    }


def _probe(check: HealthCheck, mask: bool) -> Any:
    probe = check.probe
    if isinstance(probe, HttpProbe):
        config: dict[str, Any] = {
            "url": _masked(probe.url, mask),
            "method": probe.method if probe.method != "GET" else None,
            "headers": {name: mask_value(name, value) if mask else value for name, value in probe.headers},
            "status": [f"{low}-{high}" if low != high else low for low, high in probe.status],
            "body": probe.body,
        }
        return {key: value for key, value in config.items() if value not in (None, {})}
    if isinstance(probe, TcpProbe):
        return probe.address
    if isinstance(probe, ExecProbe):
        return mask_argv(probe.argv) if mask else list(probe.argv)
    return probe.pattern if isinstance(probe, LogProbe) else True


def _restart(policy: RestartPolicy) -> str | None:
    if policy.mode is RestartMode.NO:
        return None
    return f"{policy.mode.value}:{policy.max_attempts}" if policy.max_attempts else policy.mode.value


def _backoff(policy: RestartPolicy) -> dict[str, Any]:
    plain = RestartPolicy()
    config = {
        "initial": _unless(plain.initial, policy.initial),
        "factor": policy.factor if policy.factor != plain.factor else None,
        "max": _unless(plain.max, policy.max),
        "reset_after": _unless(plain.reset_after, policy.reset_after),
    }
    return {key: value for key, value in config.items() if value is not None}


def _logging(settings: LogSettings) -> dict[str, Any]:
    return {"dir": settings.dir, "max_size": format_size(settings.max_size), "max_files": settings.max_files}


def _port(number: int | None) -> int | str:
    return "auto" if number is None else number


def _unless(default: float, seconds: float) -> str | None:
    return None if seconds == default else format_duration(seconds)


def _masked(text: str, mask: bool) -> str:
    return mask_text(text) if mask else text


def _written(value: Any) -> Any:
    """Texts as a manifest has them: `$$` for a dollar, `${services.…}` for a reference."""
    if isinstance(value, str):
        return REFERENCE.sub(r"${\1}", value.replace("$", "$$"))
    if isinstance(value, dict):
        return {key: _written(item) for key, item in value.items()}
    return [_written(item) for item in value] if isinstance(value, list) else value
