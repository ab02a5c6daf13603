"""What a service finds in its environment."""

from __future__ import annotations

import re
from collections.abc import Mapping

from devctl.plan import ServiceSpec

# Ours, and nobody's business.
PRIVATE = ("DEVCTL_LAUNCH",)
# Output that is read line by line, in colour, though it goes to a pipe.
DEFAULTS = {"PYTHONUNBUFFERED": "1"}
COLOURS = {"FORCE_COLOR": "1", "CLICOLOR_FORCE": "1"}


def service_environment(
    spec: ServiceSpec,
    *,
    caller: Mapping[str, str],
    from_files: Mapping[str, str],
    stack: str,
    run_id: str,
    notify_socket: str | None = None,
) -> dict[str, str]:
    """The whole environment of a service. What is nearer to the service wins: the manifest, its env files, devctl, the caller.

    Args:
        spec: with ports filled in.
        caller: the environment devctl was started in.
        from_files: the variables of its env files, as read just now.
    """
    given = {**from_files, **spec.environment}
    environment = {name: value for name, value in caller.items() if name not in PRIVATE}
    defaults = {**DEFAULTS}
    if "NO_COLOR" not in environment and "NO_COLOR" not in given:
        defaults.update(COLOURS)
    for name, value in defaults.items():
        environment.setdefault(name, value)
    environment.pop("NOTIFY_SOCKET", None)
    for name, port in spec.ports.items():
        key = "PORT" if name == "default" else "PORT_" + re.sub(r"[^A-Z0-9_]", "_", name.upper())
        environment[key] = str(port)
    environment.update(given)
    environment.update(DEVCTL_STACK=stack, DEVCTL_SERVICE=spec.name, DEVCTL_RUN_ID=run_id)
    if notify_socket is not None:
        environment["NOTIFY_SOCKET"] = notify_socket
    return environment
