"""Unusual places and environments: everything works there, or says why not."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.conftest import MakeDevctl
from tests.guarantee.harness import AS_IS, OTHER_USER, Devctl
from tests.guarantee.terminal import Terminal

OBEDIENT = Adversary("obedient")
DAEMON = ADVERSARIES["forgetful_daemon"]

PLACES = {
    "200_characters": "p" * 100 + "/" + "q" * 100,
    "spaces": "my project (copy) 2",
    "non_ascii": "Übung/проект/日本語/🙂",
    "quotes": 'it\'s "quoted" $HOME `x` ; & | * ?',
    "newline": "two\nlines",
    "leading_dash": "-rf",
    "deep": "/".join("d" * 20 for _ in range(12)),
}


def round_trip(devctl: Devctl) -> None:
    """Up, logs, status, down: all work and nothing is left."""
    services: dict[str, Any] = devctl.cast(OBEDIENT, DAEMON)
    services["speaker"] = {"command": ["/bin/sh", "-c", "echo häuser 🙂; exec sleep 100"]}
    devctl.write(services)
    devctl.run("up", "-d")
    devctl.await_in_position()
    assert devctl.status()["state"] == "ready"
    assert "häuser 🙂" in devctl.run("logs", "speaker").stdout
    devctl.run("down")
    assert not devctl.survivors()
    devctl.await_nothing()


@pytest.mark.parametrize("name", PLACES)
def test_project_directory(make_devctl: MakeDevctl, name: str) -> None:
    """A project directory with an unusual name is as good as any."""
    round_trip(make_devctl(project=PLACES[name]))


ASCII = {"LANG": None, "LC_ALL": "POSIX", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
ENVIRONMENTS: dict[str, dict[str, str | None]] = {
    "no_home": {"HOME": None},
    "home_missing": {"HOME": "/nonexistent"},
    "lang_c": {"LANG": "C", "LC_ALL": "C"},
    "bad_bytes": {"ODD": "\udcff\udcfe", "MULTI\nLINE": "x"},
    "no_term": {"TERM": None},
    "python_settings": {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "error"},
}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_environment(make_devctl: MakeDevctl, name: str) -> None:
    """An unusual environment changes nothing."""
    round_trip(make_devctl(environ=ENVIRONMENTS[name]))


def test_ascii_output(make_devctl: MakeDevctl) -> None:
    """With an ASCII locale, text that cannot be encoded is replaced or escaped; the command does not fail."""
    devctl = make_devctl(environ=ASCII)
    devctl.write({"speaker": {"command": ["/bin/sh", "-c", "echo häuser 🙂 end; exec sleep 100"]}})
    devctl.run("up", "-d")
    devctl.run("status")
    assert "end" in devctl.run("logs", "speaker").stdout
    devctl.run("down")


def test_unset_path(make_devctl: MakeDevctl) -> None:
    """Without PATH devctl's own parts still start: it needs no program by name."""
    round_trip(make_devctl(environ={"PATH": None}))


def test_closed_standard_streams(devctl: Devctl) -> None:
    """`up -d` and `down` from a program that has closed its streams: descriptors 0, 1, 2 are not taken for something else."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    closed = ["/bin/sh", "-c", 'exec 0<&- 1>&- 2>&-; exec "$@"', "sh"]
    subprocess.run([*closed, *devctl.command, "up", "-d"], cwd=devctl.project, env=devctl.environ, timeout=60, check=True)
    devctl.await_in_position()
    subprocess.run([*closed, *devctl.command, "down"], cwd=devctl.project, env=devctl.environ, timeout=60, check=True)
    assert not devctl.survivors()


def test_read_only_project(make_devctl: MakeDevctl) -> None:
    """A project directory that cannot be written to: the stack runs with logs elsewhere, or the refusal names the directory."""
    devctl = make_devctl(OTHER_USER if os.getuid() == 0 else AS_IS)
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    devctl.project.chmod(0o555)
    try:
        done = devctl.run("up", "-d", status=None)
        if done.returncode == 0:
            devctl.await_in_position()
        else:
            assert str(devctl.project / "logs") in done.stderr + done.stdout
        devctl.run("down")
        assert not devctl.survivors()
    finally:
        devctl.project.chmod(0o755)


def test_read_only_project_with_logs_elsewhere(make_devctl: MakeDevctl) -> None:
    """With `logging.dir` in a writable place nothing else needs the project directory to be writable."""
    devctl = make_devctl(OTHER_USER if os.getuid() == 0 else AS_IS)
    logs = devctl.directory("elsewhere")
    devctl.write(devctl.cast(OBEDIENT, DAEMON), logging={"dir": str(logs)})
    devctl.project.chmod(0o555)
    try:
        devctl.up()
        devctl.run("down")
        assert not devctl.survivors()
    finally:
        devctl.project.chmod(0o755)


def test_foreground_without_a_terminal(devctl: Devctl) -> None:
    """`up` with pipes instead of a terminal, as in CI: SIGTERM to it stops the stack."""
    devctl.write(devctl.cast(OBEDIENT, DAEMON))
    up = devctl.popen("up")
    devctl.await_in_position()
    up.terminate()
    up.communicate(timeout=30)
    devctl.await_nothing()


def test_terminal_is_left_as_it_was(devctl: Devctl) -> None:
    """After Ctrl-C the terminal's settings are those from before."""
    devctl.write(devctl.cast(OBEDIENT))
    terminal = Terminal(devctl, "up", "--no-ui")
    try:
        before = terminal.before
        devctl.await_in_position()
        terminal.press("\x03")
        terminal.await_exit()
        assert terminal.settings() == before
    finally:
        terminal.close()
