"""Which MCP servers there are: MCP_SERVERS, in the form that other MCP clients have, or `devctl mcp` when there is a devctl."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from stack.common.contract import first_problem
from stack.common.settings import SettingError

# Each is a process.
_MAX_SERVERS = 16

# What a server gets of our environment, beside what the SDK passes on (HOME, PATH and such): where to find a running stack.
# Not all of it: it holds the providers' keys.
_PASSED = ("TMPDIR", "LANG", "LC_ALL", "XDG_RUNTIME_DIR")
_PASSED_PREFIX = "DEVCTL_"

_EXAMPLE = '{"devctl": {"command": "devctl", "args": ["mcp"]}}'


@dataclass(frozen=True, slots=True)
class ServerConfig:
    """An MCP server that is started as a process and spoken to over its standard streams.

    Attributes:
        name: what its tools' names begin with.
        environment: what it gets beside HOME, PATH and such.
        directory: where it runs; None for our own.
    """

    name: str
    command: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict, repr=False)
    directory: str | None = None


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    command: Annotated[str, StringConstraints(min_length=1)]
    args: tuple[str, ...] = ()
    env: dict[str, str] = {}
    cwd: str | None = None


_Name = Annotated[str, StringConstraints(pattern="^[a-z0-9_-]{1,32}$")]
_ENTRIES = TypeAdapter(Annotated[dict[_Name, _Entry], Field(max_length=_MAX_SERVERS)])


def servers_of_environment() -> tuple[ServerConfig, ...]:
    """The servers that MCP_SERVERS names, `{}` for none; `devctl mcp` when it is unset and a devctl is there.

    Raises:
        SettingError: it does not hold what it should.
    """
    text = os.environ.get("MCP_SERVERS", "").strip()
    passed = {name: value for name, value in os.environ.items() if name in _PASSED or name.startswith(_PASSED_PREFIX)}
    if not text:
        devctl = _devctl()
        return () if devctl is None else (ServerConfig("devctl", devctl, ("mcp",), passed),)
    try:
        entries = _ENTRIES.validate_json(text)
    except ValidationError as error:
        # Not the value: its `env` may hold a secret.
        raise SettingError(f"MCP_SERVERS: {first_problem(error)}; give something like {_EXAMPLE}") from error
    return tuple(
        ServerConfig(name, entry.command, entry.args, {**passed, **entry.env}, entry.cwd) for name, entry in entries.items()
    )


def _devctl() -> str | None:
    """The devctl beside our interpreter (the environment may not be activated), else the one on PATH."""
    beside = Path(sys.executable).with_name("devctl")
    return str(beside) if beside.is_file() else shutil.which("devctl")
