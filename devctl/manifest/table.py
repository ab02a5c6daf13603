"""Every key of services.yaml: name, form, meaning, default. The loader, the JSON Schema and docs/manifest.md come from here."""

from __future__ import annotations

from devctl.manifest.command import CommandForm
from devctl.manifest.forms import Key, ListOf, MapOf, Table
from devctl.manifest.probes import HEALTHCHECK
from devctl.manifest.relations import DependsOn, EnvFiles, Environment, Port, Restart, Shell, Signal
from devctl.manifest.scalars import Choice, Duration, Flag, Number, Size, Text

NAME_PATTERN = r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}"  # a file name and a label everywhere; 63 as in a DNS label
NAME_RULE = "a name has at most 63 letters, digits, `_`, `.` and `-`, and starts with a letter or digit"
PORT_NAME_RULE = "a port's name has at most 32 letters, digits, `_` and `-`, starts with a letter, and is not port, url or default"

NAME = Text("a name", pattern=NAME_PATTERN, rule=NAME_RULE)
PATH = Text("a path", max_length=4096)  # PATH_MAX, limits.h

LOGGING = Table(
    "logging",
    (
        Key("dir", PATH, "Folder of the log files, relative to the manifest.", default="`logs`"),
        Key("max_size", Size(), "A log file is rotated at this size.", default="`20MB`"),
        Key("max_files", Number(1, 1000), "How many files are kept for a service, the current one included.", default="`5`"),
    ),
    ref="logging",
    elsewhere={
        "driver": "devctl writes files; remove it",
        "options": "write max_size and max_files directly",
        "path": "write `dir`",
    },
)

BACKOFF = Table(
    "restart_backoff",
    (
        Key("initial", Duration(), "Wait before the first restart.", default="`200ms`"),
        Key("factor", Number(1, 100, "a number", whole=False), "What each further wait is multiplied by.", default="`2`"),
        Key("max", Duration(), "The longest wait.", default="`30s`"),
        Key("reset_after", Duration(), "After running this long, the next wait is the first again.", default="`60s`"),
    ),
)

SERVICE = Table(
    "a service",
    (
        Key(
            "command",
            CommandForm(),
            "What is run. A text without shell syntax is split and executed directly, else by `/bin/sh`; a list is argv.",
        ),
        Key("shell", Shell(), "Run `command` under this shell: `bash`, `zsh`, `[fish, -c]`."),
        Key("description", Text("a description", empty=True), "Shown by `status` and the dashboard."),
        Key("working_dir", PATH, "Where it runs, relative to the manifest.", default="the manifest's directory"),
        Key("environment", Environment(), "Its variables. A bare `KEY` passes the caller's value through.", merge="names"),
        Key("env_file", EnvFiles(), "Files of variables, read again at every start. `environment` wins over them.", merge="append"),
        Key("port", Port(), "Its port, given to it as `PORT`; `auto` takes a free one and keeps it for the stack's life."),
        Key(
            "ports",
            MapOf(
                Port(),
                r"(?!(port|url|default)$)[A-Za-z][A-Za-z0-9_-]{0,31}",
                PORT_NAME_RULE,
                what="ports",
                help="write ports: {name: number}, or for one port `port: 3000`; there are no containers to map from",
            ),
            "More than one port, by name; given to it as `PORT_<NAME>`.",
            merge="map",
        ),
        Key("url", Text("a URL", references=True), "What people open.", default="`http://127.0.0.1:<port>`"),
        Key("depends_on", DependsOn(), "Services that must be ready, started or completed before this one starts.", merge="names"),
        Key("healthcheck", HEALTHCHECK, "How to tell that it is ready.", merge="table", default="its `port` accepts connections"),
        Key("oneshot", Flag(), "A task that is done when it exits 0; *ready* means completed.", default="`false`"),
        Key("restart", Restart(), "What happens when it ends by itself.", default="`no`"),
        Key("restart_backoff", BACKOFF, "How long to wait between restarts.", merge="table"),
        Key("stop_signal", Signal(), "What asks it to end.", default="`SIGTERM`"),
        Key(
            "stop_grace_period",
            Duration(zero=True),
            "How long it may take to end; then everything it ever started is killed.",
            default="`10s`",
        ),
        Key("stop_command", CommandForm(), "Run to end it, before the signal."),
        Key(
            "success_exit_codes",
            ListOf(Number(0, 255), single=True, unique=True),
            "Exit statuses that count as success.",
            merge="append",
            default="`[0]`",
        ),
        Key(
            "profiles",
            ListOf(NAME, single=True, unique=True),
            "Started only when one of these is asked for, or by name.",
            merge="append",
        ),
        Key("reuse", Flag(), "Use an instance that is healthy already, and never stop it.", default="`false`"),
        Key("on_unhealthy", Choice(("none", "restart")), "What a failing check does after it was ready.", default="`none`"),
        Key("logging", LOGGING, "Its own log settings, over the stack's.", merge="table"),
        Key("labels", Environment(labels=True), "For people and tools; shown by `config`.", merge="names"),
        Key("tty", Flag(), "Gives it a pseudo-terminal.", not_yet=True),
        Key("replicas", Number(1, 1000), "How many of it run.", not_yet=True),
        Key("watch", Flag(), "Paths that restart it when they change.", not_yet=True),
        Key("schedule", Flag(), "When a oneshot runs again.", not_yet=True),
        Key("extends", Flag(), "A service to start from.", not_yet=True),
    ),
    ref="service",
    free=True,
    elsewhere={
        "image": "devctl runs commands, not containers: write what to run as `command`",
        "build": "devctl runs commands, not containers: make it a service with `oneshot: true`",
        "entrypoint": "write all of it as `command`",
        "cmd": "write `command`",
        "run": "write `command`",
        "args": "write them in `command`",
        "cwd": "write `working_dir`",
        "dir": "write `working_dir`",
        "directory": "write `working_dir`",
        "env": "write `environment`",
        "needs": "write `depends_on`",
        "readiness": "write `healthcheck`",
        "readiness_probe": "write `healthcheck`",
        "liveness_probe": "write `healthcheck`",
        "container_name": "there are no containers; remove it",
        "volumes": "there are no containers: the service sees your files; remove it",
        "networks": "there are no containers: services meet on 127.0.0.1; remove it",
        "expose": "write `port`",
        "scale": "`replicas` is not supported yet",
        "deploy": "there are no containers; remove it",
        "disabled": "put it into a profile: profiles: [name]",
    },
)

SERVICES = MapOf(SERVICE, NAME_PATTERN, NAME_RULE, what="services")

MANIFEST = Table(
    "the manifest",
    (
        Key("name", NAME, "The stack's name.", default="the directory's name"),
        Key("env_file", EnvFiles(), "Files of variables for every service; a service's own are read after them.", merge="append"),
        Key("environment", Environment(), "Variables for every service; a service's own win.", merge="names"),
        Key("logging", LOGGING, "Where logs go and how much is kept.", merge="table"),
        Key("services", SERVICES, "The services by name.", merge="table"),
        Key("include", Flag(), "Other manifests.", not_yet=True),
    ),
    free=True,
    elsewhere={
        "version": "it means nothing any more; remove it",
        "networks": "there are no containers: services meet on 127.0.0.1; remove it",
        "volumes": "there are no containers: services see your files; remove it",
        "processes": "write `services`",
        "env": "write `environment`",
    },
)
