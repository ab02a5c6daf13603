"""The notify probe and its socket."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.errors import UnsafePath
from devctl.health import NotifySocket
from devctl.health.notify import MESSAGE_LIMIT, NotifyWatcher


def told(*messages: bytes) -> NotifyWatcher:
    watcher = NotifyWatcher()
    for message in messages:
        watcher.take(message)
    return watcher


def test_ready_passes_with_the_status_as_detail() -> None:
    """Several assignments may come in one datagram."""
    watcher = told(b"STATUS=Loading 3 of 7\nMAINPID=4711", b"READY=1\nSTATUS=Serving\n")
    assert watcher.ready
    assert watcher.detail() == "READY=1 received, status: Serving"


def test_waiting_shows_the_status() -> None:
    """What a service says while it starts answers why it is not ready."""
    assert told(b"STATUS=Loading \x1b[1m3 of 7").detail() == "waiting for READY=1, status: Loading [1m3 of 7"


@pytest.mark.parametrize(
    "message", [b"RELOADING=1", b"STOPPING=1", b"WATCHDOG=1", b"READY=0", b"READY=", b"XREADY=1", b"", b"\n\n", b"=", b"\xff\xfe=1"]
)
def test_other_messages_do_no_harm(message: bytes) -> None:
    """They make nothing ready, and nothing unready."""
    assert not told(message).ready
    assert told(b"READY=1", message).ready


@given(message=st.binary(max_size=300))
def test_any_datagram_is_read(message: bytes) -> None:
    """Garbage raises nothing, and the detail stays printable."""
    assert told(message).detail().isprintable()


class Received:
    """Collects datagrams and awaits their number."""

    def __init__(self) -> None:
        self.messages: list[bytes] = []
        self._more = asyncio.Event()

    def __call__(self, message: bytes) -> None:
        self.messages.append(message)
        self._more.set()

    async def count(self, number: int) -> list[bytes]:
        async with asyncio.timeout(30):
            while len(self.messages) < number:
                self._more.clear()
                await self._more.wait()
        return self.messages


async def send(path: Path, *messages: bytes) -> None:
    """As a service does: blocking, so in a thread."""

    def run() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(os.fspath(path))
            for message in messages:
                sock.send(message)

    await asyncio.to_thread(run)


@pytest.fixture
def short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path in tmp_path that is short enough for a socket, wherever that is."""
    monkeypatch.chdir(tmp_path)
    return Path("run/notify-router")


def test_datagrams_arrive_in_order(short: Path) -> None:
    """More than the kernel queues (unix(7), max_dgram_qlen) come through."""

    async def run() -> None:
        received = Received()
        notify = NotifySocket(short, received)
        sent = [b"STATUS=%d" % number for number in range(100)]
        await send(short, *sent)
        assert await received.count(100) == sent
        notify.close()

    asyncio.run(run())


def test_oversized_and_empty_datagrams_are_dropped(short: Path) -> None:
    """What follows them still arrives."""

    async def run() -> None:
        received = Received()
        notify = NotifySocket(short, received)
        await send(short, b"x" * (MESSAGE_LIMIT + 1), b"", b"y" * MESSAGE_LIMIT, b"READY=1")
        assert await received.count(2) == [b"y" * MESSAGE_LIMIT, b"READY=1"]
        notify.close()

    asyncio.run(run())


def test_a_descriptor_that_comes_along_is_closed(short: Path) -> None:
    """sd_notify_barrier(3) waits for the end of a pipe whose other end it sends."""

    async def run() -> None:
        received = Received()
        notify = NotifySocket(short, received)
        reading, writing = os.pipe()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.connect(os.fspath(short))
            socket.send_fds(sock, [b"BARRIER=1"], [writing])
        os.close(writing)
        await received.count(1)
        async with asyncio.timeout(30):
            assert await asyncio.to_thread(os.read, reading, 1) == b""
        os.close(reading)
        notify.close()

    asyncio.run(run())


def test_the_socket_is_private_and_goes_with_close(short: Path) -> None:
    """0600 in a 0700 directory; closing twice is allowed."""

    async def run() -> None:
        notify = NotifySocket(short, lambda message: None)
        assert stat.S_IMODE(os.lstat(short).st_mode) == 0o600
        assert stat.S_IMODE(os.lstat(short.parent).st_mode) == 0o700
        notify.close()
        notify.close()

    asyncio.run(run())
    assert not short.exists()


def test_a_stale_socket_is_replaced(short: Path) -> None:
    """A crashed run leaves its socket behind."""
    short.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as stale:
        stale.bind(os.fspath(short))

    async def run() -> None:
        received = Received()
        notify = NotifySocket(short, received)
        await send(short, b"READY=1")
        assert await received.count(1) == [b"READY=1"]
        notify.close()

    asyncio.run(run())


def test_a_file_in_the_way_is_not_removed(short: Path) -> None:
    """Only sockets are stale sockets."""
    short.parent.mkdir(mode=0o700)
    short.write_text("mine")

    async def run() -> None:
        with pytest.raises(UnsafePath, match="in the way"):
            NotifySocket(short, lambda message: None)

    asyncio.run(run())
    assert short.read_text() == "mine"


def test_a_directory_behind_a_link_is_refused(short: Path, tmp_path: Path) -> None:
    """Somebody else may have planted it."""
    (tmp_path / "elsewhere").mkdir()
    short.parent.symlink_to(tmp_path / "elsewhere")

    async def run() -> None:
        with pytest.raises(UnsafePath):
            NotifySocket(short, lambda message: None)

    asyncio.run(run())


def test_a_path_too_long_for_the_kernel_is_said(tmp_path: Path) -> None:
    """With the mend, instead of "AF_UNIX path too long"."""

    async def run() -> None:
        with pytest.raises(UnsafePath) as error:
            NotifySocket(tmp_path / ("n" * 120), lambda message: None)
        assert "DEVCTL_RUNTIME_DIR" in error.value.mend

    asyncio.run(run())
