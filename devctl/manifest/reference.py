"""docs/manifest.md, written from the tables: python -m devctl.manifest.reference > docs/manifest.md"""

from __future__ import annotations

from collections.abc import Iterator

from devctl.manifest.forms import Key, Table
from devctl.manifest.probes import HEALTHCHECK, HTTP
from devctl.manifest.relations import EDGE, ENV_FILE
from devctl.manifest.table import BACKOFF, LOGGING, MANIFEST, SERVICE

_INTRODUCTION = """\
# services.yaml: every key

Written by `python -m devctl.manifest.reference`; edit the tables in `devctl/manifest/`, not this page.

The words are Docker Compose's where Compose has one. `x-…` keys are yours, at the top and in a service; YAML anchors, aliases
and `<<` merges work. Unknown and duplicate keys are errors. `devctl schema` prints the JSON Schema for editors, `devctl
check` all errors.
"""

_NOTES = """\
## Values

| form | examples |
|---|---|
| duration | `500ms`, `1.5s`, `1m30s`, `2h`, `1d` |
| size | `500kB`, `20MB` (decimal), `512KiB` (binary) |
| bool | `true`, `false`; `yes`, `no`, `on`, `off` are taken too |

A value is read for its key, not by YAML's guesses: `restart: no` is the word no, an unquoted `1.10` in `environment` stays
`1.10`.

### Variables

| form | becomes |
|---|---|
| `${VAR}`, `$VAR` | its value; an empty text, with a warning, when it is not set |
| `${VAR:-default}`, `${VAR-default}` | the default when it is unset or empty; when it is unset |
| `${VAR:?message}`, `${VAR?message}` | an error with the message when it is unset or empty; when it is unset |
| `${VAR:+alternate}`, `${VAR+alternate}` | the alternate when it is set and not empty; when it is set |
| `$$` | a dollar |
| `${services.NAME.port}`, `${services.NAME.ports.X}`, `${services.NAME.url}` | where a service of the stack is, `auto` too |
| `${stack.name}`, `${stack.dir}` | the stack's name, the manifest's directory |

Variables come from the environment of devctl, then from `.env` beside the manifest. Defaults and messages may hold variables.
References to services can stand in `command`, `environment`, `url`, `healthcheck`, `stop_command` and `labels`.

## Commands

A text is split and executed directly unless it has shell syntax; then it is run by `/bin/sh -c`, with `exec` in front when it
is one simple command, so that signals reach the program and not a shell. Lists are executed as they are. The program must be
on PATH, on the service's own if it sets one; a path is taken from `working_dir`. What a `oneshot` before it may build is
looked for only when it starts.

## Ready

1. With a `healthcheck`: when its probe passes.
2. A `oneshot`: when it has exited with success.
3. With a `port` and no `healthcheck`: when the port accepts connections. `healthcheck: {disable: true}` turns that off.
4. Otherwise, with named `ports` only too: as soon as it is started.

A `healthcheck` with times but no probe keeps the default probe of the `port`.

## Environment of a service

From the weakest to the strongest: the environment devctl was started in; the stack's `env_file`, then the service's; the
stack's `environment`, then the service's.

## Profiles

A service without `profiles` is always part of the stack. One with profiles is part of it when one of them is active
(`--profile`, `DEVCTL_PROFILES`; `*` is all), or when it is named; naming it activates its profiles for its own dependencies.
A required dependency on a service that is not part of the stack is an error; with `required: false` it is left out.
In values, `${DEVCTL_PROFILES}` is the active ones, `--profile` included: `${DEVCTL_PROFILES:+…}` is empty without any.

## Labels for containers

devctl runs commands and no containers. Where a service can be had as a container too, its labels say how, and
`devctl export docker-compose` writes that down.

| label | example | meaning |
|---|---|---|
| `container.image` | `redis:8-alpine` | with it, the service is exported |
| `container.command` | `redis-server --appendonly yes` | its command, split as a shell does; else the image's |
| `container.port` | `6379` | the port inside, published on 127.0.0.1 at the service's fixed `port`, else at the same number |
| `container.ports` | `monitoring:8222, admin:9000` | the same for named `ports` |
| `container.volumes` | `data:/data, ./conf:/etc/x:ro` | named volumes, and paths beside the manifest |
| `container.environment` | `MODE=fast, "HOSTS=a,b", TOKEN` | its variables; one without a value has that of whoever calls Compose |
| `container.health` | `redis-cli PING` | its check, a command for the container's shell; times are those of `healthcheck` |
| `container.network` | `host` | `host`, `bridge` or `none`; else one that all containers share |

A reference to a port in them becomes the number on this machine. Nothing else goes into the export but conditions between
exported services, restart policy and stop settings: no environment of the service, and no value that is masked by `config`.

## Several files

`services.override.yaml` beside the manifest is laid over it; `-f a.yaml -f b.yaml` merges left to right. Maps merge by key,
lists are appended, single values and commands are replaced, a new probe ousts the old one. `!reset` on a value removes what
the earlier file had, `!override` replaces it whole. Relative paths start at the first file's directory.

## Limits

A file has at most 1 MB in UTF-8, 60 levels and 250,000 values; a stack at most 10,000 services. A name has at most 63
letters, digits, `_`, `.` and `-`.
"""

_SECTIONS: tuple[tuple[str, str, Table], ...] = (
    ("The manifest", "", MANIFEST),
    ("A service", "`services: {NAME: …}`", SERVICE),
    ("healthcheck", "Exactly one of `http`, `tcp`, `exec`, `log` and `notify`.", HEALTHCHECK),
    ("healthcheck: http", "A URL, or a map:", HTTP),
    ("depends_on", "A list of names, or a map of name to:", EDGE),
    ("env_file", "A path, or a list of paths and maps:", ENV_FILE),
    ("restart_backoff", "Waits grow from restart to restart, with some jitter.", BACKOFF),
    ("logging", "", LOGGING),
)


def reference() -> str:
    """The page, the same every time."""
    return "\n".join([_INTRODUCTION, *_tables(), _NOTES])


def _tables() -> Iterator[str]:
    for title, text, table in _SECTIONS:
        yield f"## {title}\n"
        if text:
            yield f"{text}\n"
        yield "| key | form | default | meaning |\n|---|---|---|---|"
        yield from (_row(key) for key in table.keys if not key.not_yet)
        later = ", ".join(f"`{key.name}`" for key in table.keys if key.not_yet)
        yield f"\nKnown, but not supported yet: {later}.\n" if later else ""


def _row(key: Key) -> str:
    return f"| `{key.name}` | {key.form.label()} | {key.default} | {key.description} |".replace("|  |", "| |")


if __name__ == "__main__":
    print(reference(), end="")
