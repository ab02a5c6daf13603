"""Log lines over the API."""

from __future__ import annotations

import os
import socket
from typing import Any

import pytest

from devctl.control.client import Client
from devctl.errors import UsageError
from tests.control.running import GUARD, Running

STAMP = "2026-11-20T23:50:{:02d}.000000000Z"


def write(running: Running, *lines: str, stream: str = "stdout", second: int = 0) -> None:
    """Appends to the router's log, as the supervisor would."""
    with open(running.directory / "logs" / "router.log", "a", encoding="utf-8") as log:
        for offset, line in enumerate(lines):
            log.write(f"{STAMP.format(second + offset)} {stream} F {line}\n")


def texts(client: Client, **options: Any) -> list[str]:
    return [line["text"] for line in client.log_lines("router", **options)]


def test_lines_have_all_they_need(running: Running) -> None:
    """A line has its time, service, stream and text."""
    write(running, 'quote " and ü', stream="stderr")
    assert list(running.client.log_lines("router")) == [
        {"time": STAMP.format(0), "service": "router", "stream": "stderr", "text": 'quote " and ü'}
    ]


def test_log_that_does_not_exist_is_empty(running: Running) -> None:
    """A service that has not written anything has no lines."""
    assert texts(running.client) == []


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"tail": 2}, ["ERROR three", "four.five"]),
        ({"tail": 0}, []),
        ({"grep": "one"}, ["one"]),
        ({"grep": "four.five"}, ["four.five"]),
        ({"grep": "f.*e"}, []),
        ({"grep": "(a+)+$"}, []),
        ({"level": "error"}, ["ERROR three"]),
        ({"stream": "stderr"}, []),
        ({"since": STAMP.format(2)}, ["ERROR three", "four.five"]),
        ({"until": STAMP.format(1)}, ["one", "two"]),
        ({"since": STAMP.format(1), "until": STAMP.format(2), "tail": 1}, ["ERROR three"]),
    ],
)
def test_options(running: Running, options: dict[str, Any], expected: list[str]) -> None:
    """Lines are selected as asked; `grep` is plain text, so that no pattern can hold the supervisor up."""
    write(running, "one", "two", "ERROR three", "four.five")
    assert texts(running.client, **options) == expected


@pytest.mark.parametrize(
    "options",
    [
        {"tail": "x"},
        {"tail": -1},
        {"since": "yesterdayish"},
        {"level": "loud"},
        {"stream": "stdin"},
        {"follow": "perhaps"},
        {"grp": "x"},
    ],
)
def test_bad_options_are_refused(running: Running, options: dict[str, Any]) -> None:
    """What cannot be understood is refused before the first line."""
    with pytest.raises(UsageError):
        texts(running.client, **options)


def test_follow_excludes_until(running: Running) -> None:
    """An end and no end at once is a contradiction."""
    with pytest.raises(UsageError, match="exclude each other"):
        texts(running.client, follow=True, until="5m")


def test_many_lines_arrive_in_order(running: Running) -> None:
    """More lines than any buffer holds come complete and in order."""
    lines = [f"{n} {'x' * 200}" for n in range(20_000)]
    with open(running.directory / "logs" / "router.log", "w") as log:
        log.writelines(f"{STAMP.format(0)} stdout F {line}\n" for line in lines)
    assert texts(running.client) == lines


def test_long_line_arrives(running: Running) -> None:
    """A line of 3 MB is one line."""
    write(running, "ü" * 1_500_000)
    assert [len(text) for text in texts(running.client)] == [1_500_000]


def test_follow_gives_what_comes(running: Running) -> None:
    """Following begins with the last lines, goes on with new ones, and ends with the server."""
    write(running, "one", "two")
    lines = running.client.log_lines("router", follow=True, tail=1)
    assert next(lines)["text"] == "two"
    write(running, "three", second=5)
    assert next(lines)["text"] == "three"
    running.begin(lambda: running.server.close())
    assert list(lines) == []


def test_follow_ends_with_its_client(running: Running) -> None:
    """A follower whose client has left is closed, with its files and its watch."""
    write(running, "one")
    before = len(os.listdir("/proc/self/fd"))
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(GUARD)
        client.connect(str(running.socket_path))
        client.sendall(b"GET /v1/services/router/logs?follow=true HTTP/1.1\r\nHost: x\r\n\r\n")
        text = b""
        while b"one" not in text:
            text += client.recv(4096)
    running.until_idle()
    assert len(os.listdir("/proc/self/fd")) == before
