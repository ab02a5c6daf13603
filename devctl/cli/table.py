"""Every command's name, module and one line of help: all that `devctl --help` needs, so that no command is imported for it.

A command's module has two functions: `configure(parser, name)` declares its options, `run(args, where)` does it and returns the
exit status. Both are imported only when that command is called or completed.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One row of `devctl --help`. `module` is below devctl.cli."""

    module: str
    help: str


GROUPS: dict[str, dict[str, Command]] = {
    "Run": {
        "up": Command("up", "start the stack, in order, and open the dashboard"),
        "down": Command("down", "stop it all, and prove that nothing is left"),
        "start": Command("operate", "start services"),
        "stop": Command("operate", "stop services"),
        "restart": Command("operate", "restart services"),
        "run": Command("oneoff", "run a service's command once, its dependencies ready first"),
        "exec": Command("oneoff", "run any command in a service's environment"),
    },
    "Look": {
        "dashboard": Command("dashboard", "see and steer it: services, logs, details (also: ui)"),
        "status": Command("status", "what runs, and how it is (also: ps)"),
        "logs": Command("logs", "what the services wrote"),
        "why": Command("ask", "why a service is not ready, in one sentence"),
        "wait": Command("ask", "block until services are ready (or stopped, …)"),
        "events": Command("history", "the history of this run"),
        "timeline": Command("history", "the start-up as a Gantt, with its critical path"),
        "ls": Command("stacks", "every stack of yours, anywhere on this machine"),
    },
    "Manifest": {
        "check": Command("manifest", "validate services.yaml"),
        "config": Command("manifest", "print it as resolved, secrets masked"),
        "graph": Command("manifest", "print who depends on whom"),
        "schema": Command("manifest", "print the JSON Schema for editors"),
        "export": Command("export", "print it as another tool's file: docker-compose"),
    },
    "House": {
        "reap": Command("stacks", "kill what crashed runs left behind"),
        "clean": Command("stacks", "remove logs and state of stopped stacks"),
        "doctor": Command("doctor", "check this machine"),
        "mcp": Command("mcp", "the stack as MCP tools on stdin and stdout, for coding agents"),
        "completion": Command("completion", "print the completion script for bash, zsh or fish"),
    },
}

COMMANDS: dict[str, Command] = {name: command for group in GROUPS.values() for name, command in group.items()}

ALIASES = {"ps": "status", "ui": "dashboard"}

HIDDEN = {"__complete": Command("completion", "")}

LATER = frozenset({"attach", "init", "import"})
"""Commands of the contract that this version does not have."""


def find(name: str) -> Command | None:
    """The command called `name`, aliases and hidden ones included; None when there is none."""
    return COMMANDS.get(ALIASES.get(name, name)) or HIDDEN.get(name)


def help_text() -> str:
    """What `devctl --help` prints."""
    width = max(len(name) for name in COMMANDS) + 2
    lines = ["usage: devctl [-f FILE]… [-C DIR] [--profile NAME]… COMMAND …", ""]
    lines.append("Runs the services of services.yaml: in order, gated on readiness, and back to nothing.")
    for group, commands in GROUPS.items():
        lines += ["", f"{group}:"]
        lines += [f"  {name:<{width}}{command.help}" for name, command in commands.items()]
    lines += [
        "",
        "Everywhere:",
        "  -f, --file FILE       a manifest; again to merge another over it (default: the nearest services.yaml)",
        "  -C, --directory DIR   as if devctl was called there",
        "  --profile NAME        also what is in this profile; may be repeated",
        "  --version             print the version",
        "  -h, --help            this, or with a command: its options",
    ]
    return "\n".join(lines)
