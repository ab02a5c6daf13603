"""What a service wrote is what is read, whatever it wrote and however it came."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from devctl.logs.clock import Clock
from devctl.logs.cri import PIECE_SIZE, Stream, parse
from devctl.logs.query import read
from devctl.logs.store import ServiceLog
from devctl.plan import LogSettings

if TYPE_CHECKING:
    from conftest import Stage

STREAMS: st.SearchStrategy[Stream] = st.sampled_from(["stdout", "stderr"])
TEXT = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda text, count: text * count, st.sampled_from([b"x", "ü".encode()]), st.integers(0, 70_000)),
    st.builds(lambda text, count: text * count, st.sampled_from([b"a\n", b"\n", b"\r\n"]), st.integers(0, 2_000)),
)
ACTIONS = st.lists(st.tuples(STREAMS, TEXT, st.sampled_from(["", "flush"])), max_size=12)


def stored(path: Path) -> dict[Stream, bytes]:
    """Each stream's bytes as the file holds them; `F` gives a newline."""
    streams: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
    for line in path.read_bytes().split(b"\n")[:-1]:
        record = parse(line)
        assert record is not None, line[:100]
        streams[record.stream] += record.text + b"\n" * record.full
    return streams


def ended(data: bytes) -> bytes:
    return data if not data or data.endswith(b"\n") else data + b"\n"


@settings(max_examples=60, deadline=None)
@given(ACTIONS)
def test_bytes_in_are_bytes_out(actions: list[tuple[Stream, bytes, str]]) -> None:
    """Each stream's bytes are in the file unchanged, but that a last line without its newline gets one."""
    written: dict[Stream, bytes] = {"stdout": b"", "stderr": b""}
    with tempfile.TemporaryDirectory() as directory:
        log = ServiceLog(Path(directory) / "web.log", LogSettings(), on_trouble=print, clock=Clock())
        for stream, data, then in actions:
            log.append(stream, data)
            written[stream] += data
            if then:
                log.flush_partial(stream)
        log.close()
        assert stored(log.path) == {stream: ended(data) for stream, data in written.items()}
        assert log.lines_written == sum(ended(data).count(b"\n") for data in written.values())
        assert log.lost_bytes == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(TEXT, max_size=4).map(b"".join), st.lists(st.integers(0, 200_000), max_size=8), st.integers(50_000, 200_000))
def test_cuts_make_no_difference(data: bytes, cuts: list[int], max_size: int) -> None:
    """However the bytes are cut into blocks, and wherever the files are rotated, the same lines are read."""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    with tempfile.TemporaryDirectory() as directory:
        for name, blocks in (
            ("whole", [data]),
            ("cut", [data[start:end] for start, end in pairwise(places)]),
        ):
            log = ServiceLog(
                Path(directory) / name, LogSettings(max_size=max_size, max_files=10_000), on_trouble=print, clock=Clock()
            )
            for block in blocks:
                log.append("stdout", block)
            log.close()
        whole, cut = ([r.text for r in read([("web", Path(directory) / name)])] for name in ("whole", "cut"))
        assert whole == cut
        assert whole == [line.removesuffix(b"\r").decode(errors="replace") for line in ended(data).split(b"\n")[:-1]]


def test_unfinished_line_of_one_stream_leaves_the_other_alone(stage: Stage) -> None:
    """A prompt on stdout and lines on stderr meanwhile are three lines, not a mixture."""
    log = stage.log()
    log.append("stdout", b"name? ")
    log.append("stderr", b"one\n")
    log.flush_partial("stdout")
    log.append("stderr", b"two\n")
    log.append("stdout", b"ann\n")
    log.close()
    assert stage.texts() == ["one", "two", "name? ann"]


def test_last_line_without_newline_is_ended_and_not_joined_with_the_next_run(stage: Stage) -> None:
    """The end of a stream ends its line, even one that was flushed before."""
    first = stage.log()
    first.append("stdout", b"killed in mid-")
    first.flush_partial("stdout")
    first.close()
    second = stage.log()
    second.append("stdout", b"hello\n")
    assert stage.texts() == ["killed in mid-", "hello"]


def test_pieces_left_by_a_crash_are_ended_at_the_next_start(stage: Stage) -> None:
    """A supervisor that was killed cannot end a line; the next one does."""
    crashed = stage.log()
    crashed.append("stderr", b"x" * (PIECE_SIZE + 1))
    stage.log().append("stderr", b"next\n")
    assert stage.texts() == ["x" * PIECE_SIZE, "next"]


def test_record_torn_by_a_crash_does_not_swallow_the_next(stage: Stage) -> None:
    """A record without its newline keeps a line of its own."""
    stage.directory.mkdir()
    stage.path().write_bytes(b"2026-11-20T23:50:01.123456789Z stdout F tor")
    stage.log().append("stdout", b"next\n")
    assert stage.texts() == ["tor", "next"]


def test_stamps_never_go_back_when_the_clock_does(stage: Stage) -> None:
    """After the wall clock was set back time goes on at its own pace."""
    wall, monotonic = [10**18], [0]
    log = stage.log(clock=Clock(lambda: wall[0], lambda: monotonic[0]))
    log.append("stdout", b"one\n")
    wall[0] -= 3_600 * 10**9
    monotonic[0] += 5_000
    log.append("stdout", b"two\n")
    times = [record.time_ns for record in read([("web", stage.path())])]
    assert times == [10**18, 10**18 + 5_000]


def test_stamps_go_on_after_those_of_the_run_before(stage: Stage) -> None:
    """A file that ends in the future is continued from there."""
    ahead = stage.log(clock=Clock(lambda: 10**18 + 3_600 * 10**9))
    ahead.append("stdout", b"one\n")
    ahead.close()
    stage.log(clock=Clock(lambda: 10**18)).append("stdout", b"two\n")
    one, two = (record.time_ns for record in read([("web", stage.path())]))
    assert one < two < one + 60 * 10**9


def test_a_foreign_stamp_of_the_far_future_is_not_believed(stage: Stage) -> None:
    """One line from the year 2999 does not carry the whole stack there."""
    stage.directory.mkdir()
    stage.path().write_bytes(b"2999-11-20T23:50:01.123456789Z stdout F odd\n")
    stage.log(clock=Clock(lambda: 10**18)).append("stdout", b"now\n")
    assert [record.time_ns for record in read([("web", stage.path())])][1] == 10**18


def test_rotation_keeps_every_line_and_cuts_between_records(
    stage: Stage, line_writer: Callable[[ServiceLog, int, int], None]
) -> None:
    """No file is larger than allowed, each begins with a record, and together they have all lines."""
    log = stage.log(max_size=1_000, max_files=200)
    line_writer(log, 0, 1_000)
    log.append("stdout", b"".join(b"line %d\n" % number for number in range(1_000, 2_000)))
    files = sorted(stage.directory.iterdir())
    assert max(file.stat().st_size for file in files) <= 1_000
    assert all(parse(file.read_bytes().split(b"\n")[0]) for file in files if file.stat().st_size)
    assert stage.texts() == [f"line {number}" for number in range(2_000)]


def test_only_so_many_files_are_kept(stage: Stage, line_writer: Callable[[ServiceLog, int, int], None]) -> None:
    """`max_files` counts the current file; older ones go, those of a larger setting before too."""
    line_writer(stage.log(max_size=500, max_files=9), 0, 300)
    line_writer(stage.log(max_size=500, max_files=3), 300, 330)
    assert sorted(file.name for file in stage.directory.iterdir()) == ["web.log", "web.log.1", "web.log.2"]
    assert stage.texts()[-1] == "line 329"


def test_one_file_only(stage: Stage, line_writer: Callable[[ServiceLog, int, int], None]) -> None:
    """With `max_files` 1 the current file begins anew."""
    line_writer(stage.log(max_size=500, max_files=1), 0, 100)
    assert [file.name for file in stage.directory.iterdir()] == ["web.log"]
    assert stage.texts()[-1] == "line 99"


def test_a_rotation_that_fails_loses_nothing(stage: Stage, line_writer: Callable[[ServiceLog, int, int], None]) -> None:
    """When a file cannot be renamed, the current one grows on, which is said once."""
    (stage.directory / "web.log.1" / "in the way").mkdir(parents=True)
    (stage.directory / "web.log.2").mkdir()
    (stage.directory / "web.log.2" / "too").touch()
    log = stage.log(max_size=500, max_files=3)
    line_writer(log, 0, 200)
    assert log.lost_bytes == 0
    assert len(stage.troubles) == 1
    assert stage.path().read_bytes().count(b"\n") == 200
