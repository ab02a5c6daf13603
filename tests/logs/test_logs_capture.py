"""From real processes through real pipes into files."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from devctl.logs.capture import CROWDED, Capture
from devctl.logs.cri import Stream
from devctl.logs.store import ServiceLog
from devctl.plan import LogSettings

if TYPE_CHECKING:
    from conftest import Stage

GUARD = 60  # seconds: only there so that a hang fails

FLOOD = "import os\nblock = (b'x' * 99 + b'\\n') * 600\nwhile True:\n    os.write(1, block)"


def child(code: str) -> tuple[subprocess.Popen[bytes], int, int]:
    """A Python process and the read ends of its stdout and stderr."""
    out, out_end = os.pipe()
    err, err_end = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.DEVNULL, stdout=out_end, stderr=err_end)
    os.close(out_end)
    os.close(err_end)
    return process, out, err


async def capture_all(log: ServiceLog, *streams: tuple[int, Stream]) -> None:
    captures = [Capture(fd, stream, log) for fd, stream in streams]
    for capture in captures:
        capture.start()
    async with asyncio.timeout(GUARD):
        for capture in captures:
            await capture.drained()


def test_both_streams_of_a_process_are_captured_to_the_last_byte(stage: Stage) -> None:
    """Every line of both streams, in order, the last one without a newline included."""
    process, out, err = child(
        "import sys\nfor i in range(20000):\n    print('out', i)\n    print('err', i, file=sys.stderr)\nprint('end', end='')"
    )
    log = stage.log(max_size=200_000, max_files=50)
    asyncio.run(capture_all(log, (out, "stdout"), (err, "stderr")))
    log.close()
    assert process.wait(GUARD) == 0
    assert stage.texts(stream="stdout") == [f"out {i}" for i in range(20_000)] + ["end"]
    assert stage.texts(stream="stderr") == [f"err {i}" for i in range(20_000)]


def test_line_of_ten_megabytes(stage: Stage) -> None:
    """One line may be 10 MB long; it is read as one, from either end."""
    process, out, err = child("print('x' * 10_000_000)\nprint('next')")
    os.close(err)
    log = stage.log()
    asyncio.run(capture_all(log, (out, "stdout")))
    process.wait(GUARD)
    assert [len(text) for text in stage.texts()] == [10_000_000, 4]
    assert [len(text) for text in stage.texts(tail=2)] == [10_000_000, 4]


def test_prompt_is_written_after_a_silence(stage: Stage) -> None:
    """A line without its end is in the file soon, while the service waits for an answer."""

    class Watched(ServiceLog):
        def flush_partial(self, stream: Stream) -> None:
            super().flush_partial(stream)
            flushed.set()

    flushed = asyncio.Event()
    read_end, write_end = os.pipe()
    log = Watched(stage.path(), LogSettings(), on_trouble=stage.troubles.append)

    async def scene() -> None:
        capture = Capture(read_end, "stdout", log)
        capture.start()
        os.write(write_end, b"password: ")
        async with asyncio.timeout(GUARD):
            await flushed.wait()
        assert stage.texts() == ["password: "]
        os.write(write_end, b"thanks\n")
        os.close(write_end)
        async with asyncio.timeout(GUARD):
            await capture.drained()

    asyncio.run(scene())
    log.close()
    assert stage.texts() == ["password: thanks"]


def test_finish_keeps_what_is_there_though_somebody_holds_the_pipe(stage: Stage) -> None:
    """A process that escaped cannot keep a capture open, nor make it lose the last words."""
    read_end, write_end = os.pipe()

    async def scene() -> None:
        capture = Capture(read_end, "stdout", log)
        capture.start()
        os.write(write_end, b"one\ntwo")
        capture.finish()
        capture.finish()
        async with asyncio.timeout(GUARD):
            await capture.drained()

    log = stage.log()
    asyncio.run(scene())
    os.close(write_end)
    assert stage.texts() == ["one", "two"]


def test_finish_ends_though_somebody_floods(stage: Stage) -> None:
    """What is read at the end is bounded."""
    process, out, err = child(FLOOD)
    os.close(err)
    log = stage.log()

    async def scene() -> None:
        first = asyncio.Event()
        capture = Capture(out, "stdout", log, on_block=lambda _: first.set())
        capture.start()
        async with asyncio.timeout(GUARD):
            await first.wait()
        capture.finish()

    try:
        asyncio.run(scene())
    finally:
        process.kill()
        process.wait(GUARD)
    assert log.bytes_written > 0


def test_a_flood_starves_nobody(stage: Stage) -> None:
    """While one service floods, another's lines still come, and pipes that were enlarged are given back."""
    process, out, err = child(FLOOD)
    os.close(err)
    read_end, write_end = os.pipe()
    heard: list[bytes] = []
    log = stage.log(max_size=1_000_000, max_files=2)

    async def scene() -> None:
        flooding, answered = asyncio.Event(), asyncio.Event()

        def on_flood(block: bytes) -> None:
            if len(block) >= CROWDED:
                flooding.set()

        def on_quiet(block: bytes) -> None:
            heard.append(block)
            answered.set()

        captures = [Capture(out, "stdout", log, on_block=on_flood), Capture(read_end, "stderr", log, on_block=on_quiet)]
        for capture in captures:
            capture.start()
        async with asyncio.timeout(GUARD):
            await flooding.wait()
            for _ in range(20):
                answered.clear()
                os.write(write_end, b"ping\n")
                await answered.wait()
        for capture in captures:
            capture.finish()

    try:
        asyncio.run(scene())
    finally:
        process.kill()
        process.wait(GUARD)
        os.close(write_end)
    assert b"".join(heard) == b"ping\n" * 20
    assert Capture._large_pipes == 0


def test_end_of_a_terminal_is_an_end(stage: Stage) -> None:
    """A pty answers EIO when its other side is gone: no error, and the last line is kept."""
    master, slave = pty.openpty()
    log = stage.log()

    async def scene() -> None:
        capture = Capture(master, "stdout", log)
        capture.start()
        os.write(slave, b"from a terminal\nlast")
        capture._readable()
        os.close(slave)
        async with asyncio.timeout(GUARD):
            await capture.drained()

    asyncio.run(scene())
    assert stage.texts() == ["from a terminal", "last"]


def test_output_goes_on_though_the_log_cannot_be_written(stage: Stage) -> None:
    """A service whose log directory cannot exist runs to its end and its output still reaches health checks."""
    stage.directory.touch()
    process, out, err = child("for i in range(100000):\n    print('line', i)")
    os.close(err)
    seen = 0

    def count(block: bytes) -> None:
        nonlocal seen
        seen += len(block)

    async def scene(take: Callable[[bytes], None]) -> None:
        capture = Capture(out, "stdout", log, on_block=take)
        capture.start()
        async with asyncio.timeout(GUARD):
            await capture.drained()

    log = stage.log()
    asyncio.run(scene(count))
    assert process.wait(GUARD) == 0
    assert log.lost_bytes == seen
    assert len(stage.troubles) == 1
