"""Every error of a manifest: that it is found, where its caret stands, and what it says would mend it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from devctl.errors import ManifestError

if TYPE_CHECKING:
    from tests.manifest.conftest import Workspace

# (name, manifest with ‸ before the character the caret must stand under, part of the message, part of the help)
CASES: list[tuple[str, str, str, str]] = [
    ("unknown top key", "‸servces: {}\nservices: {a: {command: sleep 1}}", "unknown key `servces`", "did you mean `services`?"),
    ("unknown service key", "services:\n  a:\n    ‸comand: sleep 1\n    command: sleep 1", "unknown key `comand`", "`command`"),
    ("far-off key", "services: {a: {command: sleep 1, ‸zzzz: 1}}", "unknown key `zzzz`", "known are command"),
    ("compose's word", "services: {a: {command: sleep 1, ‸image: redis}}", "unknown key `image`", "devctl runs commands"),
    ("a top key of compose", "‸version: '3'\nservices: {a: {command: sleep 1}}", "unknown key `version`", "remove it"),
    (
        "unknown dependency",
        "services:\n  router: {command: sleep 1}\n  a: {command: sleep 1, depends_on: [‸roter]}",
        "unknown service `roter`",
        "did you mean `router`?",
    ),
    ("self-dependency", "services: {a: {command: sleep 1, depends_on: [‸a]}}", "depends on itself", "remove"),
    (
        "cycle",
        """services:
 a: {command: sleep, depends_on: [b]}
 b: {command: sleep, depends_on: [c]}
 c: {command: sleep, depends_on: [‸a]}""",
        "a → b → c → a",
        "remove one",
    ),
    (
        "waits for what never completes",
        """services:
 a: {command: sleep 1, restart: always}
 b:
  command: sleep 1
  depends_on: {‸a: {condition: service_completed_successfully}}""",
        "waits for `a` to complete, which its `restart: always` prevents",
        "make `a` a oneshot",
    ),
    ("dependency twice", "services: {b: {command: sleep 1}, a: {command: sleep 1, depends_on: [b, ‸b]}}", "listed twice", "remove"),
    (
        "dependency as text",
        "services: {b: {command: sleep 1}, a: {command: sleep 1, depends_on: ‸b}}",
        "expected a list of services",
        "[b]",
    ),
    (
        "bad condition",
        "services: {b: {command: sleep 1}, a: {command: sleep 1, depends_on: {b: {condition: ‸healthy}}}}",
        "`healthy`",
        "service_healthy",
    ),
    ("duplicate key", "services:\n  a:\n    command: sleep 1\n    ‸command: sleep 2", "duplicate key `command`", "line 3"),
    ("duplicate service", "services:\n  a: {command: sleep 1}\n  ‸a: {command: sleep 1}", "duplicate key `a`", "line 2"),
    (
        "one port twice",
        "services:\n  a: {command: sleep 1, port: 3000}\n  b: {command: sleep 1, port: ‸3000}",
        "port 3000 is taken by `a` (services.yaml:2)",
        "auto",
    ),
    ("one port twice in one", "services:\n  a: {command: sleep 1, port: 3000, ports: {x: ‸3000}}", "`a` itself", "auto"),
    ("port out of range", "services: {a: {command: sleep 1, port: ‸70000}}", "70000 is no port", "1 to 65535"),
    ("port zero", "services: {a: {command: sleep 1, port: ‸0}}", "expected a port, found `0`", "auto"),
    ("port in base 60", "services: {a: {command: sleep 1, port: ‸22:22}}", "expected a port, found `22:22`", "number"),
    ("ports as a list", "services: {a: {command: sleep 1, ports: ‸['80:80']}}", "ports must be a map, found a list", "port: 3000"),
    (
        "port named default",
        "services: {a: {command: sleep 1, ports: {‸default: 80}}}",
        "`default` cannot be used",
        "not port, url or default",
    ),
    ("ports exported alike", "services: {a: {command: sleep 1, ports: {x-y: 1, ‸x_y: 2}}}", "both exported as PORT_X_Y", "rename"),
    ("not on PATH", "services: {a: {command: ‸pyton -m x}}", "`pyton` is not on PATH", "did you mean `python`?"),
    ("not on PATH, in a list", "services: {a: {command: ‸[pyton, -m]}}", "`pyton` is not on PATH", "`python`"),
    ("not on PATH, in a shell", "services: {a: {command: ‸pyton > log}}", "`pyton` is not on PATH", "`python`"),
    ("path does not exist", "services: {a: {command: ‸./serve}}", "`./serve` does not exist", "working_dir"),
    ("path not executable", "services: {a: {command: ‸./services.yaml}}", "is not executable", "permissions"),
    ("path is a directory", "services: {a: {command: ‸./bin}}", "is a directory", "working_dir"),
    ("no command", "services:\n  ‸a: {port: 80}", "service `a` has no `command`", "command: python"),
    ("empty service", "services:\n  ‸a:", "service `a` is empty", "command: python"),
    ("service as text", "services:\n  a: ‸sleep 1", "a service must be a map, found `sleep 1`", "key: value"),
    ("command empty", "services: {a: {command: ‸''}}", "the command is an empty text", "program"),
    ("command an empty list", "services: {a: {command: ‸[]}}", "empty list", "[program"),
    (
        "command a map",
        "services: {a: {command: ‸{b: c}}}",
        "expected a command (a text or a list), found a map",
        "command: program",
    ),
    ("command with null", "services: {a: {command: [sleep, ‸null]}}", "expected an argument, found nothing", ""),
    ("open quote", "services: {a: {command: ‸sleep 'x}}", "the quote ' is not closed", "close the quote"),
    ("shell with a list", "services: {a: {command: [sleep], ‸shell: bash}}", "`shell` runs a command text", "remove `shell`"),
    ("missing shell", "services: {a: {command: ‸sleep 1, shell: nosuchshell}}", "`nosuchshell` is not on PATH", "install"),
    ("missing working_dir", "services: {a: {command: sleep 1, working_dir: ‸nowhere}}", "nowhere` does not exist", "create it"),
    ("working_dir a file", "services: {a: {command: sleep 1, working_dir: ‸bin/sleep}}", "is not a directory", "correct"),
    ("missing env file", "services: {a: {command: sleep 1, env_file: [‸.missing]}}", "env file", "required: false"),
    ("missing env file, of all", "env_file: ‸.missing\nservices: {a: {command: sleep 1}}", "does not exist", "required: false"),
    ("env file without path", "services: {a: {command: sleep 1, env_file: ‸{required: true}}}", "needs a `path`", "{path:"),
    ("env file a directory", "services: {a: {command: sleep 1, env_file: ‸bin}}", "is a directory", ""),
    (
        "required variable",
        "services: {a: {command: 'sleep ‸${N:?say how long}'}}",
        "variable `N` is not set: say how long",
        "set N",
    ),
    (
        "required variable, second line",
        "services:\n  a:\n    command: >\n      sleep\n      ‸${N:?}\n",
        "variable `N` is not set",
        ".env",
    ),
    ("unclosed variable", "services: {a: {command: 'sleep ‸${N'}}", "is not closed", "$$"),
    ("dollar alone", "services: {a: {command: 'sleep ‸$(date)'}}", "neither a name nor", "$$"),
    ("bad operator", "services: {a: {command: 'sleep ‸${N!x}'}}", "`!` cannot stand", "${X:-default}"),
    (
        "reference to nobody",
        "services: {router: {command: sleep 1, port: 1, environment: {A: 'x‸${services.rooter.port}'}}}",
        "unknown service `rooter`",
        "`router`",
    ),
    (
        "reference to no port",
        "services: {a: {command: sleep 1, environment: {A: '‸${services.a.port}'}}}",
        "`a` has no port",
        "port",
    ),
    (
        "reference to no such port",
        "services: {a: {command: sleep 1, ports: {web: 1}, environment: {A: '‸${services.a.ports.wep}'}}}",
        "no port named `wep`",
        "`web`",
    ),
    ("reference to no url", "services: {a: {command: sleep 1, environment: {A: '‸${services.a.url}'}}}", "has no url", "port"),
    (
        "reference to nothing known",
        "services: {a: {command: sleep 1, environment: {A: '‸${services.a.host}'}}}",
        "`host`",
        "port, ports.NAME and url",
    ),
    (
        "incomplete reference",
        "services: {a: {command: sleep 1, environment: {A: '‸${services.a}'}}}",
        "is not known",
        "${services.NAME.port}",
    ),
    (
        "unknown stack value",
        "services: {a: {command: sleep 1, environment: {A: '‸${stack.nam}'}}}",
        "`${stack.nam}` is not known",
        "${stack.name}",
    ),
    (
        "reference with default",
        "services: {a: {command: sleep 1, port: 1, environment: {A: '‸${services.a.port:-1}'}}}",
        "takes no default",
        "${services.a.port}",
    ),
    (
        "reference in a port",
        "services: {a: {command: sleep 1, port: ‸'${services.b.port}'}, b: {command: sleep 1, port: 1}}",
        "cannot be used here",
        "variable",
    ),
    (
        "url cycle",
        "services:\n  a: {command: sleep 1, url: '${services.b.url}'}\n  b: {command: sleep 1, url: ‸'${services.a.url}'}",
        "a → b → a",
        "write one",
    ),
    (
        "reference in environment of all",
        "environment: {A: ‸'${services.b.port}'}\nservices: {a: {command: sleep 1}}".replace("‸'", "'‸"),
        "unknown service `b`",
        "services",
    ),
    ("replica", "services: {a: {command: 'sleep ‸${replica}'}}", "`${replica}` is not supported yet", ""),
    *[
        (f"not yet: {key}", f"services: {{a: {{command: sleep 1, ‸{key}: 1}}}}", f"`{key}` is not supported yet", "remove it")
        for key in ("tty", "replicas", "watch", "schedule", "extends")
    ],
    ("not yet: include", "‸include: [x.yaml]\nservices: {a: {command: sleep 1}}", "`include` is not supported yet", "remove it"),
    ("bad bool", "services: {a: {command: sleep 1, oneshot: ‸maybe}}", "expected true or false, found `maybe`", ""),
    ("bad duration", "services: {a: {command: sleep 1, stop_grace_period: ‸10}}", "`10` is not a duration", "500ms"),
    ("duration of zero", "services: {a: {command: sleep 1, port: 1, healthcheck: {interval: ‸0s}}}", "zero makes no sense", ""),
    ("bad size", "logging: {max_size: ‸20 bananas}\nservices: {a: {command: sleep 1}}", "is not a size", "20MB"),
    ("size out of range", "logging: {max_size: ‸5B}\nservices: {a: {command: sleep 1}}", "out of range", ""),
    (
        "bad number",
        "services: {a: {command: sleep 1, port: 1, healthcheck: {retries: ‸x}}}",
        "expected a whole number, found `x`",
        "",
    ),
    ("number out of range", "services: {a: {command: sleep 1, success_exit_codes: [0, ‸256]}}", "256 is out of range", ""),
    ("number as a list", "services: {a: {command: sleep 1, port: ‸[1]}}", "expected a port, found a list", "number"),
    ("text as a map", "services: {a: {command: sleep 1, description: ‸{}}}", "found an empty map", ""),
    ("bad restart", "services: {a: {command: sleep 1, restart: ‸allways}}", "`allways` is not a restart policy", "`always`"),
    ("bad restart count", "services: {a: {command: sleep 1, restart: ‸on-failure:0}}", "not a restart policy", ""),
    (
        "backoff the wrong way",
        "services: {a: {command: sleep 1, ‸restart_backoff: {initial: 9s, max: 1s}}}",
        "`max` is shorter",
        "longer",
    ),
    (
        "oneshot that restarts",
        "services: {a: {command: sleep 1, oneshot: true, restart: ‸always}}",
        "a oneshot is done",
        "on-failure",
    ),
    ("bad signal", "services: {a: {command: sleep 1, stop_signal: ‸SIGTREM}}", "`SIGTREM` is not a signal", "`SIGTERM`"),
    ("bad stop_command", 'services: {a: {command: sleep 1, stop_command: ‸"x \'y"}}', "not closed", "quote"),
    ("bad on_unhealthy", "services: {a: {command: sleep 1, on_unhealthy: ‸restrt}}", "`restrt`", "`restart`"),
    (
        "two probes",
        "services: {a: {command: sleep 1, healthcheck: {tcp: 'a:1', ‸log: x}}}",
        "two probes, `tcp` and `log`",
        "keep one",
    ),
    ("no probe", "services: {a: {command: sleep 1, ‸healthcheck: {interval: 1s}}}", "has no probe", "port"),
    (
        "check of a oneshot",
        "services: {a: {command: sleep 1, oneshot: true, ‸healthcheck: {tcp: 'a:1'}}}",
        "a oneshot has no healthcheck",
        "remove",
    ),
    (
        "compose's test",
        "services: {a: {command: sleep 1, port: 1, healthcheck: {‸test: [CMD, x]}}}",
        "unknown key `test`",
        "`exec`",
    ),
    ("bad url", "services: {a: {command: sleep 1, healthcheck: {http: ‸localhost/x}}}", "is not an http URL", "http://"),
    ("http without url", "services: {a: {command: sleep 1, healthcheck: {http: ‸{method: GET}}}}", "needs a `url`", "http://"),
    (
        "bad status",
        "services: {a: {command: sleep 1, healthcheck: {http: {url: 'http://a', status: [200, ‸2x]}}}}",
        "`2x` is not an HTTP status",
        "2xx",
    ),
    ("bad tcp", "services: {a: {command: sleep 1, healthcheck: {tcp: ‸localhost}}}", "is not host:port", "127.0.0.1"),
    ("tcp port", "services: {a: {command: sleep 1, healthcheck: {tcp: ‸'localhost:70000'}}}", "70000 is no port", ""),
    ("bad regex", "services: {a: {command: sleep 1, healthcheck: {log: ‸'('}}}", "not a regular expression", "escape"),
    ("reuse blind", "services: {a: {command: sleep 1, ‸reuse: true}}", "`reuse` needs a way", "port"),
    (
        "reuse of a log",
        "services: {a: {command: sleep 1, ‸reuse: true, healthcheck: {log: x}}}",
        "cannot ask another instance",
        "http",
    ),
    ("reuse of a oneshot", "services: {a: {command: sleep 1, ‸reuse: true, oneshot: true}}", "cannot be reused", "remove"),
    ("bad variable name", "services: {a: {command: sleep 1, environment: [‸'A B=1']}}", "not a variable's name", "spaces"),
    ("environment value a list", "services: {a: {command: sleep 1, environment: {A: ‸[1]}}}", "expected a value, found a list", ""),
    ("bad service name", "services:\n  ‸a b: {command: sleep 1}", "`a b` cannot be used as a name", "at most 63"),
    ("long service name", f"services:\n  ‸{'a' * 64}: {{command: sleep 1}}", "cannot be used as a name", "at most 63"),
    ("reserved service name", "services:\n  ‸devctl: {command: sleep 1}", "cannot be named `devctl`", "another"),
    ("bad stack name", "name: ‸a b\nservices: {a: {command: sleep 1}}", "`a b` is not a name", "at most 63"),
    ("no services", "‸name: x", "there is no `services` key", "services:"),
    ("services empty", "services: ‸{}", "`services` is empty", "add"),
    ("services nothing", "name: x\nservices:‸\n", "`services` is empty", "add"),
    ("services a list", "services: ‸[a]", "services must be a map, found a list", ""),
    ("root a list", "‸- a", "a manifest is a map, found a list", "services:"),
    ("root a text", "‸hello", "a manifest is a map, found `hello`", ""),
    ("tab", "services:\n‸\ta: 1", "a tab, where YAML allows only spaces", "spaces"),
    ("second colon", "services: {}\nname: a‸: b", "a second `:`", "quotes"),
    ("no YAML", "services: [\n‸", "not valid YAML", "brackets"),
    ("second document", "services: {a: {command: sleep 1}}\n‸---\na: 1", "a second document", "---"),
    ("unknown alias", "services: ‸*nope", "an alias to an anchor that does not exist", "&name"),
    ("merge of a text", "services: {a: {<<: ‸text, command: sleep 1}}", "`<<` merges maps", "*anchor"),
    ("key that is a list", "services: {a: {command: sleep 1}, ‸[x]: 1}", "a key must be a text", "quotes"),
    ("foreign tag", "services: {a: {command: ‸!!python/name:os.system x}}", "is not supported", "!reset"),
    ("NUL escape", 'services: {a: {command: ‸"a\\0b"}}', "a NUL character", "remove"),
    ("control character", "services: {a: {command: sleep ‸\x01}}", "control character U+0001", "remove"),
]


@pytest.mark.parametrize(("marked", "message", "help"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_error_is_located_and_helped(workspace: Workspace, marked: str, message: str, help: str) -> None:
    """The error stands at the marked place, shows that line, and helps."""
    before = marked[: marked.index("‸")]
    line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
    text = marked.replace("‸", "")
    found = workspace.problems(text)
    at_place = [problem for problem in found if (problem.line, problem.column) == (line, column)]
    assert at_place, "\n".join(map(str, found))
    problem = at_place[0]
    assert message in problem.message
    assert help in problem.help
    assert problem.file == "services.yaml"
    lines = str(problem).split("\n")
    if problem.source:
        assert lines[2].index("^") - 4 == column - 1
        assert lines[1][4:] == text.split("\n")[line - 1].replace("\t", " ").replace("\x01", " ").rstrip()


@pytest.mark.parametrize("case", CASES, ids=[case[0] for case in CASES])
def test_error_is_told_once(workspace: Workspace, case: tuple[str, str, str, str]) -> None:
    """One mistake is one problem: nothing is reported twice or as a consequence."""
    found = workspace.problems(case[1].replace("‸", ""))
    assert len(found) == 1, "\n".join(map(str, found))


def test_all_problems_at_once_in_order(workspace: Workspace) -> None:
    """Problems of several services and files come together, by file and line."""
    workspace.write("services.override.yaml", "services: {a: {port: x}}")
    found = workspace.problems("services:\n  b: {command: nope, oneshot: 7}\n  a: {comand: x, command: sleep 1}\n")
    places = [(problem.file, problem.line, problem.column) for problem in found]
    assert places == [
        ("services.yaml", 2, 16),
        ("services.yaml", 2, 31),
        ("services.yaml", 3, 7),
        ("services.override.yaml", 1, 22),
    ]


def test_many_problems_are_bounded(workspace: Workspace) -> None:
    """Of 200 problems 50 are shown, and how many there are more."""
    found = workspace.problems("services:\n" + "".join(f"  s{i}: {{command: sleep 1, foo: 1}}\n" for i in range(200)))
    assert len(found) == 51
    assert found[-1].message == "and 150 more problems"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"  \n\n", "the file is empty"),
        (b"# only this\n", "only comments"),
        (b"---\n...\n", "only comments"),
        (b"services: {a: {command: '\xff'}}", "byte 0xff is not valid UTF-8"),
        ("services: {}".encode("utf-16"), "UTF-16"),
        (b"a: " + b"x" * 1_000_001, "larger than 1 MB"),
        (b"[" * 100_000, "nested deeper than 60 levels"),
        (b"- " * 100_000, "nested deeper than 60 levels"),
        (b"a: [" + b"a," * 300_000 + b"]", "more than 250,000 values"),
        (b"a: &a [*a]", "contains itself"),
        (
            b"a0: &a0 [x]\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10)) for i in range(1, 10)),
            "aliases make this larger",
        ),
        (
            b"a0: &a0 {k: v}\n"
            + b"".join(b"a%d: &a%d {<<: [%s], k%d: v}\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 10), i) for i in range(1, 10)),
            "aliases make this larger",
        ),
    ],
    ids=[
        "empty",
        "blank",
        "comments",
        "no document",
        "not UTF-8",
        "UTF-16",
        "big",
        "deep flow",
        "deep block",
        "nodes",
        "recursive",
        "laughs",
        "merges",
    ],
)
def test_unusable_content(workspace: Workspace, content: bytes, message: str) -> None:
    """A file that is no manifest at all is refused with the reason."""
    [problem] = workspace.problems(content)
    assert message in problem.message
    assert problem.file == "services.yaml"


def test_invalid_utf8_is_located(workspace: Workspace) -> None:
    """The place of a byte that is not UTF-8 is counted in characters."""
    [problem] = workspace.problems("name: é\nx-é: é".encode() + b"\xff")
    assert (problem.line, problem.column) == (2, 7)


@pytest.mark.parametrize("kind", ["directory", "fifo", "socket", "missing", "loop"])
def test_no_regular_file(workspace: Workspace, kind: str) -> None:
    """-f with something that is no file is refused at once, without waiting for a writer."""
    path = workspace.directory / "m"
    if kind == "directory":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("m")
    elif kind == "loop":
        path.symlink_to(path)
    [problem] = workspace.problems(files=["m"])
    assert problem.message.startswith(("is a", "is not a", "cannot be read"))
    assert problem.file == "m"


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_unreadable_file(workspace: Workspace) -> None:
    """A file without read permission is refused with the mend."""
    workspace.write("services.yaml", "services: {}").chmod(0)
    [problem] = workspace.problems()
    assert "Permission denied" in problem.message
    assert "permissions" in problem.help


def test_no_manifest(tmp_path: Path, workspace: Workspace) -> None:
    """Without any manifest the names that were looked for are told."""
    [problem] = workspace.problems()
    assert "no services.yaml, services.yml or devctl.yaml" in problem.message
    assert "devctl init" in problem.help


def test_too_many_services(workspace: Workspace) -> None:
    """10,001 services are refused."""
    [problem] = workspace.problems("services:\n" + "".join(f"  s{i}: {{command: x}}\n" for i in range(10_001)))
    assert "10,001 services; at most 10,000" in problem.message


def test_env_file_problems_name_the_env_file(workspace: Workspace) -> None:
    """What is wrong inside an env file is located there."""
    workspace.write("my.env", "A=1\nB='x\n")
    [problem] = workspace.problems("services: {a: {command: sleep 1, env_file: my.env}}")
    assert problem.file.endswith("my.env")
    assert (problem.line, problem.column) == (2, 3)


def test_dotenv_problems_name_it(workspace: Workspace) -> None:
    """What is wrong in .env is located there."""
    workspace.write(".env", "A=1\n!\n")
    [problem] = workspace.problems("services: {a: {command: sleep 1}}")
    assert (problem.file, problem.line, problem.column) == (".env", 2, 1)


def test_terminal_controls_are_not_shown(workspace: Workspace) -> None:
    """Escape sequences from a manifest never reach the terminal."""
    found = workspace.problems('services: {a: {command: sleep 1, "\\e[31mx": 1}}')
    assert "\x1b" not in str(ManifestError(found))


def test_long_line_is_cut(workspace: Workspace) -> None:
    """A problem on a very long line does not fill the terminal."""
    found = workspace.problems("services: {a: {command: sleep 1, description: '" + "x" * 50_000 + "', foo: 1}}")
    assert len(str(found[0])) < 1000
