"""What a manifest means: values, defaults, variables, profiles, files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devctl.errors import UnknownService
from devctl.plan import (
    Condition,
    Dependency,
    EnvFile,
    ExecProbe,
    HealthCheck,
    HttpProbe,
    LogProbe,
    LogSettings,
    NotifyProbe,
    Probe,
    RestartMode,
    RestartPolicy,
    TcpProbe,
    from_json,
    reference,
    to_json,
)

if TYPE_CHECKING:
    from tests.manifest.conftest import Workspace

EVERYTHING = """
name: assistant
env_file: [.env, {path: .env.local, required: false}]
environment: {LOG_LEVEL: info, PASSED: }
logging: {dir: var/log, max_size: 1MiB, max_files: 3}
x-base: &base
  working_dir: bin
services:
  migrate: {command: [python, migrate.py], oneshot: yes, restart: "on-failure:3"}
  router:
    <<: *base
    command: python -m stack.router --name '${stack.name}'
    description: understands
    environment: [A=1, "PORT_OF_ME=${services.router.port}", NOT_SET]
    env_file: router.env
    port: 8888
    ports: {admin: auto, web-ui: 81}
    depends_on: {migrate: {condition: service_completed_successfully, restart: true}, ghost: {required: false}}
    healthcheck:
      http:
        {url: "http://127.0.0.1:${services.router.port}/h", method: head, headers: {A: b}, status: [200, 3xx, 400-404], body: ok}
      interval: 2s
      timeout: 500ms
      retries: 5
      start_period: 1m30s
      start_interval: 50ms
    restart: unless-stopped
    restart_backoff: {initial: 1s, factor: 1.5, max: 2s, reset_after: 3s}
    stop_signal: int
    stop_grace_period: 0s
    stop_command: python stop.py
    success_exit_codes: [0, 143]
    reuse: true
    on_unhealthy: restart
    logging: {max_files: 1}
    labels: {team: core}
    x-mine: [1]
"""


def test_everything(workspace: Workspace) -> None:
    """Every key arrives in the plan as it was written."""
    workspace.write(".env", "FROM_FILE=1")
    workspace.write("router.env", "B=2")
    plan = workspace.load(EVERYTHING, environ={"PASSED": "p"})
    home = str(workspace.directory)
    assert (plan.name, plan.directory, plan.files) == ("assistant", home, (f"{home}/services.yaml",))
    assert plan.logging == LogSettings(f"{home}/var/log", 1_048_576, 3)
    assert list(plan.services) == ["migrate", "router"]
    migrate, router = plan.services.values()
    assert migrate.oneshot
    assert migrate.restart == RestartPolicy(RestartMode.ON_FAILURE, max_attempts=3)
    assert migrate.healthcheck is None
    port = reference("services.router.port")
    assert router.argv == ("python", "-m", "stack.router", "--name", "assistant")
    assert router.command == "python -m stack.router --name 'assistant'"
    assert router.working_dir == f"{home}/bin"
    assert router.description == "understands"
    assert router.environment == {"LOG_LEVEL": "info", "PASSED": "p", "A": "1", "PORT_OF_ME": port}
    assert router.env_files == (
        EnvFile(f"{home}/.env"),
        EnvFile(f"{home}/.env.local", required=False),
        EnvFile(f"{home}/router.env"),
    )
    assert router.ports == {"default": 8888, "admin": None, "web-ui": 81}
    assert router.url == f"http://127.0.0.1:{port}"
    assert router.depends_on == (Dependency("migrate", Condition.COMPLETED, restart=True),)
    assert router.healthcheck == HealthCheck(
        HttpProbe(f"http://127.0.0.1:{port}/h", "HEAD", (("A", "b"),), ((200, 200), (300, 399), (400, 404)), "ok"),
        2,
        0.5,
        5,
        90,
        0.05,
    )
    assert router.restart == RestartPolicy(RestartMode.UNLESS_STOPPED, None, 1, 1.5, 2, 3)
    assert (router.stop_signal, router.stop_grace_period, router.stop_command) == ("SIGINT", 0, ("python", "stop.py"))
    assert router.success_exit_codes == (0, 143)
    assert (router.reuse, router.on_unhealthy) == (True, "restart")
    assert router.logging == LogSettings(f"{home}/var/log", 1_048_576, 1)
    assert router.labels == {"team": "core"}
    assert from_json(json.loads(json.dumps(to_json(plan)))) == plan


@pytest.mark.parametrize(
    ("written", "mode"),
    [("no", RestartMode.NO), ("'no'", RestartMode.NO), ("false", RestartMode.NO), ("always", RestartMode.ALWAYS)],
)
def test_restart_no_is_a_word(workspace: Workspace, written: str, mode: RestartMode) -> None:
    """`restart: no` means no, whatever YAML 1.1 thinks of it."""
    assert workspace.service(f"command: sleep 1, restart: {written}").services["web"].restart.mode is mode


@pytest.mark.parametrize("text", ["yes", "1.10", "0123", "22:22", "2001-01-01", "0x1F", "1_000", "on", "true", "1e3"])
def test_environment_keeps_what_was_written(workspace: Workspace, text: str) -> None:
    """A plain value stays the text it is."""
    assert workspace.service(f"command: sleep 1, environment: {{A: {text}}}").services["web"].environment["A"] == text


def test_keys_are_texts(workspace: Workspace) -> None:
    """A service may be called on or 1.0."""
    assert set(workspace.load("services: {on: {command: sleep 1}, 1.0: {command: sleep 1}}").services) == {"on", "1.0"}


@pytest.mark.parametrize(
    ("body", "probe"),
    [
        ("port: 80", TcpProbe("127.0.0.1:" + reference("services.web.port"))),
        ("port: auto", TcpProbe("127.0.0.1:" + reference("services.web.port"))),
        ("port: 80, healthcheck: {interval: 1s}", TcpProbe("127.0.0.1:" + reference("services.web.port"))),
        ("port: 80, healthcheck: {disable: true}", None),
        ("port: 80, oneshot: true", None),
        ("ports: {a: 80}", None),
        ("description: x", None),
        ("healthcheck: {}", None),
        ("healthcheck: {tcp: 'localhost:5432'}", TcpProbe("localhost:5432")),
        ("healthcheck: {tcp: '[::1]:5432'}", TcpProbe("[::1]:5432")),
        ("healthcheck: {exec: 'python -c x'}", ExecProbe(("python", "-c", "x"))),
        ("healthcheck: {exec: 'test -f a && b'}", ExecProbe(("/bin/sh", "-c", "test -f a && b"))),
        ("healthcheck: {log: 'listening on \\d+'}", LogProbe("listening on \\d+")),
        ("healthcheck: {notify: true}", NotifyProbe()),
        ("port: 80, healthcheck: {notify: no, log: x}", LogProbe("x")),
        ("healthcheck: {http: 'https://localhost'}", HttpProbe("https://localhost")),
        ("port: 1, healthcheck: {http: '${services.web.url}/h'}", HttpProbe(reference("services.web.url") + "/h")),
    ],
)
def test_probe(workspace: Workspace, body: str, probe: Probe | None) -> None:
    """How a service is known to be ready follows from its keys."""
    check = workspace.service(f"command: sleep 1, {body}").services["web"].healthcheck
    assert (check.probe if check else None) == probe


def test_name_is_the_directory(tmp_path: Path, workspace: Workspace) -> None:
    """Without `name` it is the directory's, made of the characters a name may have."""
    assert workspace.load("services: {a: {command: sleep 1}}").name == "stack"
    workspace.write("ä b ü/x.yaml", "services: {a: {command: sleep 1}}")
    assert workspace.load(files=["ä b ü/x.yaml"]).name == "b"
    workspace.write("ää/x.yaml", "services: {a: {command: sleep 1}}")
    assert workspace.load(files=["ää/x.yaml"]).name == "stack"


def test_variables_come_from_environ_then_dotenv(workspace: Workspace) -> None:
    """The caller's variables win over .env, which wins over defaults."""
    workspace.write(".env", "A=file\nB=file\n")
    plan = workspace.service("command: sleep 1, environment: {X: '${A}-${B}-${C:-default}', B: }", environ={"A": "caller"})
    assert plan.services["web"].environment == {"X": "caller-file-default", "B": "file"}


def test_numbers_from_variables(workspace: Workspace) -> None:
    """Any value may come from a variable."""
    spec = workspace.service("command: sleep 1, port: '${P}', oneshot: $O", environ={"P": "81", "O": "true"}).services["web"]
    assert (spec.ports, spec.oneshot) == ({"default": 81}, True)


def test_unset_variable_warns(workspace: Workspace) -> None:
    """A variable that is not set becomes empty, as in Compose, and is told with its place."""
    assert workspace.service("command: sleep 1, environment: {X: 'a${PROT}'}").services["web"].environment == {"X": "a"}
    [warning] = workspace.warnings
    assert "`PROT` is not set" in warning.message
    assert (warning.line, warning.source[warning.column - 1 :]) == (2, "${PROT}'}}")


def test_users_own_keys_are_not_looked_into(workspace: Workspace) -> None:
    """`x-…` keys may hold anything, dollars too."""
    workspace.load("x-a: ['$(b)', '${']\nservices: {a: {command: sleep 1}}")


def test_names_with_dots_can_be_referred_to(workspace: Workspace) -> None:
    """A dot in a name does not confuse references."""
    plan = workspace.load("services: {a.b: {command: sleep 1, port: 1, environment: {P: '${services.a.b.port}'}}}")
    assert plan.services["a.b"].environment["P"] == reference("services.a.b.port")


def test_order_is_dependencies_first(workspace: Workspace) -> None:
    """Services stand in starting order, else as written."""
    plan = workspace.load("services:\n  c: {command: sleep 1, depends_on: [a]}\n  b: {command: sleep 1}\n  a: {command: sleep 1}")
    assert list(plan.services) == ["a", "c", "b"]


PROFILES = """
services:
  web: {command: sleep 1}
  db-ui: {command: sleep 1, profiles: [debug], depends_on: [probe]}
  probe: {command: sleep 1, profiles: debug}
  other: {command: sleep 1, profiles: [debug, extra]}
"""


@pytest.mark.parametrize(
    ("profiles", "services", "environ", "expected"),
    [
        ([], [], {}, {"web"}),
        (["debug"], [], {}, {"web", "db-ui", "probe", "other"}),
        (["extra"], [], {}, {"web", "other"}),
        (["*"], [], {}, {"web", "db-ui", "probe", "other"}),
        ([], [], {"DEVCTL_PROFILES": "extra,nope"}, {"web", "other"}),
        ([], ["other"], {}, {"web", "other"}),
        ([], ["db-ui"], {}, {"web", "db-ui", "probe"}),
    ],
)
def test_profiles(
    workspace: Workspace, profiles: list[str], services: list[str], environ: dict[str, str], expected: set[str]
) -> None:
    """A service with profiles is there when one is active, or when it or what shares its profile is named."""
    plan = workspace.load(PROFILES, profiles=profiles, services=services, environ=environ)
    assert set(plan.services) == expected
    assert set(plan.available) == {"web", "db-ui", "probe", "other"} - expected


def test_what_is_not_started_may_name_its_own_port(workspace: Workspace) -> None:
    """A service of an inactive profile refers to automatic ports that nobody has chosen: its own, its neighbours'."""
    text = """
services:
  db: {command: "sleep ${services.db.port} ${services.cache.port}", port: auto, profiles: [full]}
  cache: {command: sleep 1, port: auto, profiles: [full]}
  a: {command: sleep 1}
"""
    assert list(workspace.load(text).services) == ["a"]


DB = "at " + reference("services.db.port")


@pytest.mark.parametrize(
    ("profiles", "environ", "expected"),
    [([], {}, ""), (["full"], {}, DB), ([], {"DEVCTL_PROFILES": "full"}, DB)],
)
def test_a_value_for_a_profile(workspace: Workspace, profiles: list[str], environ: dict[str, str], expected: str) -> None:
    """A value can depend on whether a profile is active, however it was asked for."""
    text = """
services:
  db: {command: sleep 1, port: 80, profiles: [full]}
  a: {command: sleep 1, environment: {DB: "${DEVCTL_PROFILES:+at ${services.db.port}}"}}
"""
    assert workspace.load(text, profiles=profiles, environ=environ).services["a"].environment["DB"] == expected


def test_dependency_in_inactive_profile(workspace: Workspace) -> None:
    """A required dependency that no profile starts is an error with the mend; an optional one is left out."""
    text = "services: {a: {command: sleep 1, profiles: [x]}, b: {command: sleep 1, depends_on: {a: {required: %s}}}}"
    [problem] = workspace.problems(text % "true")
    assert "`b` depends on `a`, which starts with profile x" in problem.message
    assert "--profile x" in problem.help
    assert workspace.load(text % "false").services["b"].depends_on == ()


def test_ports_of_inactive_services_are_free(workspace: Workspace) -> None:
    """Two services of different profiles may have one port."""
    text = "services: {a: {command: sleep 1, port: 80, profiles: [x]}, b: {command: sleep 1, port: 80}}"
    assert set(workspace.load(text).services) == {"b"}
    [problem] = workspace.problems(text, profiles=["x"])
    assert "port 80 is taken by `a`" in problem.message


def test_reference_to_inactive_service(workspace: Workspace) -> None:
    """The fixed port of a service that is not started is known; an automatic one is not."""
    text = (
        "services: {a: {command: sleep 1, port: %s, profiles: [x]}, b: {command: sleep 1, environment: {P: '${services.a.url}'}}}"
    )
    assert workspace.load(text % "80").services["b"].environment["P"] == "http://127.0.0.1:80"
    [problem] = workspace.problems(text.replace("url", "port") % "auto")
    assert "`a` is not started, so its port is not known" in problem.message


def test_unknown_service_asked_for(workspace: Workspace) -> None:
    """A name on the command line that is in no manifest is an error of its own."""
    with pytest.raises(UnknownService) as caught:
        workspace.load("services: {router: {command: sleep 1}}", services=["rooter"])
    assert "did you mean `router`?" in caught.value.mend


def test_found_from_below(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest is found from a directory below it."""
    workspace.write("services.yml", "services: {a: {command: sleep 1}}")
    (workspace.directory / "x" / "y").mkdir(parents=True)
    home, workspace.directory = workspace.directory, workspace.directory / "x" / "y"
    assert workspace.load().directory == str(home)


def test_unchecked_commands(workspace: Workspace) -> None:
    """Without check_commands programs and directories are not looked for."""
    plan = workspace.service("command: nosuch, working_dir: nosuch", check_commands=False)
    assert plan.services["web"].argv == ("nosuch",)


@pytest.mark.parametrize(
    "body",
    [
        "command: tool, environment: {PATH: tools}",
        "command: ./tool, working_dir: tools",
        "command: tools/tool",
        "command: ~/tools/tool",
        "command: 'tools/tool > log'",
        "command: tool, env_file: path.env",
    ],
)
def test_programs_are_found_where_the_service_finds_them(workspace: Workspace, body: str) -> None:
    """PATH is the service's own, and paths start at its working_dir."""
    workspace.write("tools/tool", "").chmod(0o755)
    workspace.write("path.env", f"PATH={workspace.directory}/tools")
    workspace.service(body)


def test_what_a_oneshot_builds_is_not_missing(workspace: Workspace) -> None:
    """Behind a oneshot, paths and directories may not exist yet."""
    workspace.load("""
services:
  build: {command: python build.py, oneshot: true}
  lib: {command: sleep 1, depends_on: [build]}
  web: {command: ./dist/server, working_dir: dist, depends_on: [lib]}
""")


def test_program_beside_the_manifest(workspace: Workspace) -> None:
    """For a program that is in the working directory, the mend says to write ./ before it."""
    workspace.write("serve", "").chmod(0o755)
    [problem] = workspace.problems("services: {a: {command: serve}}")
    assert "write ./serve" in problem.help


def test_crlf_and_bom(workspace: Workspace) -> None:
    """Files from Windows editors are read, and located rightly."""
    assert set(workspace.load(b"\xef\xbb\xbfservices:\r\n  a: {command: sleep 1}\r\n").services) == {"a"}
    [problem] = workspace.problems(b"\xef\xbb\xbfservices:\r\n  a: {command: sleep 1, x: 1}\r\n")
    assert (problem.line, problem.column, problem.source) == (2, 25, "  a: {command: sleep 1, x: 1}")


def test_merge_key_precedence(workspace: Workspace) -> None:
    """A service's own keys win over merged ones, and the first of several bases over the next."""
    spec = workspace.load("""
x-a: &a {command: sleep a, description: a}
x-b: &b {command: sleep b, description: b, url: b}
services: {web: {command: sleep own, <<: [*a, *b]}}
""").services["web"]
    assert (spec.argv[1], spec.description, spec.url) == ("own", "a", "b")


def test_ten_thousand_services(workspace: Workspace) -> None:
    """The biggest stack loads, in its order, without recursion."""
    text = (
        "services:\n"
        + "".join(f"  s{i}: {{command: sleep 1, depends_on: [s{i + 1}]}}\n" for i in range(9_999))
        + "  s9999: {command: sleep 1}\n"
    )
    plan = workspace.load(text)
    assert len(plan.services) == 10_000
    assert next(iter(plan.services)) == "s9999"


def test_loading_imports_no_pydantic() -> None:
    """`up` pays for YAML only."""
    code = "import sys, devctl.manifest.load; print([m for m in ('pydantic', 'dotenv', 'asyncio', 'rich') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
