"""Reading: merged, from the end, by time, by pattern, level and stream."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devctl.errors import UsageError
from devctl.logs.chain import LogPart
from devctl.logs.clock import Clock
from devctl.logs.cri import Stream, format_stamp, header
from devctl.logs.query import PATTERN_LIMIT, read
from devctl.logs.record import Record
from devctl.logs.store import ServiceLog
from devctl.plan import LogSettings

if TYPE_CHECKING:
    from conftest import Stage

BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(["web", "db"]),
        st.sampled_from(["stdout", "stderr"]),
        st.sampled_from([b"plain\n", b"ERROR: bad\n", b"  continued\n", b"WARN x\nINFO y\n", b"no end", b"\n"]),
    ),
    max_size=60,
)


def facts(records: Any) -> list[tuple[int, str, str, str]]:
    return [(record.time_ns, record.service, record.stream, record.text) for record in records]


@settings(max_examples=80, deadline=None)
@given(
    BLOCKS,
    st.integers(60, 2_000),
    st.integers(0, 70),
    st.sampled_from([{}, {"level": "warn"}, {"stream": "stderr"}, {"grep": "a"}, {"level": "error", "stream": "stdout"}]),
)
def test_every_way_of_reading_agrees(
    blocks: list[tuple[str, Stream, bytes]], max_size: int, count: int, options: dict[str, str]
) -> None:
    """All lines come merged by time; the last N, read from the end, are the last N of all; times select what they say."""
    with tempfile.TemporaryDirectory() as directory:
        clock = Clock()
        sources = [(name, Path(directory) / f"{name}.log") for name in ("web", "db")]
        logs = {
            name: ServiceLog(path, LogSettings(max_size=max_size, max_files=99), on_trouble=print, clock=clock)
            for name, path in sources
        }
        for service, stream, block in blocks:
            logs[service].append(stream, block)
        for log in logs.values():
            log.close()
        everything = facts(read(sources, **options))
        assert everything == sorted(everything, key=lambda fact: fact[0])
        assert facts(read(sources, tail=count, **options)) == (everything[-count:] if count else [])
        if everything:
            moment = everything[len(everything) // 2][0]
            later = [fact for fact in everything if fact[0] >= moment]
            assert facts(read(sources, since=moment, stream=options.get("stream"), grep=options.get("grep"))) == [
                fact for fact in facts(read(sources, stream=options.get("stream"), grep=options.get("grep"))) if fact[0] >= moment
            ]
            assert facts(read(sources, since=moment, tail=5, **options)) == later[-5:]
            earlier = [fact for fact in everything if fact[0] <= moment]
            assert facts(read(sources, until=moment, **options)) == earlier
            assert facts(read(sources, until=moment, tail=5, **options)) == earlier[-5:]


def write_records(path: Path, records: list[tuple[int, str]]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"".join(header(format_stamp(t), "stdout", True) + text.encode() + b"\n" for t, text in records))


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes each read of a log file asked for."""
    sizes: list[int] = []
    original = LogPart.read

    def counted(self: LogPart, offset: int, length: int) -> bytes:
        data = original(self, offset, length)
        sizes.append(len(data))
        return data

    monkeypatch.setattr(LogPart, "read", counted)
    return sizes


@pytest.mark.parametrize("options", [{"tail": 50}, {"since": 10**18 + 99_990, "tail": 5}])
def test_the_end_is_read_without_the_rest(stage: Stage, read_bytes: list[int], options: dict[str, int]) -> None:
    """The last lines of a large file cost a block or two."""
    write_records(stage.path(), [(10**18 + i, f"line {i} " + "x" * 60) for i in range(100_000)])
    assert stage.texts(**options)[-1].startswith("line 99999")
    assert sum(read_bytes) < 200_000


def test_a_moment_is_found_by_bisection(stage: Stage, read_bytes: list[int]) -> None:
    """`since` in a large file reads a few blocks."""
    write_records(stage.path(), [(10**18 + i, f"line {i} " + "x" * 60) for i in range(200_000)])
    records = read([("web", stage.path())], since=10**18 + 123_456)
    assert next(records).text.startswith("line 123456 ")
    assert sum(read_bytes) < 6_000_000
    assert stage.path().stat().st_size > 20_000_000


@pytest.mark.parametrize("tail", [None, 10])
def test_foreign_lines_are_shown_as_they_are(stage: Stage, tail: int | None) -> None:
    """What is no record has the time of the line before it, and nothing fails."""
    stage.directory.mkdir()
    good = header(format_stamp(10**18), "stderr", True)
    stage.path().write_bytes(good + b"good\nnot a record\n2026-99-99T00:00:00Z stdout F x\n\n\xff\x00\n" + good + b"again\n")
    records = list(read([("web", stage.path())], tail=tail))
    assert [record.text for record in records] == [
        "good", "not a record", "2026-99-99T00:00:00Z stdout F x", "", "\ufffd\0", "again",
    ]  # fmt: skip
    assert {record.time_ns for record in records} == {10**18}


@pytest.mark.parametrize("tail", [None, 10])
def test_a_file_of_another_make_is_readable(stage: Stage, tail: int | None) -> None:
    """A plain text file is shown with the time when it was written."""
    stage.directory.mkdir()
    stage.path().write_bytes(b"one\ntwo\n")
    assert [(r.text, r.time_ns) for r in read([("web", stage.path())], tail=tail)] == [
        (text, int(stage.path().stat().st_mtime * 10**9)) for text in ("one", "two")
    ]


def test_missing_files_are_empty(stage: Stage) -> None:
    """A service that never wrote has no lines."""
    assert stage.texts() == stage.texts(tail=5) == stage.texts(since=1) == []


def test_crlf_binary_and_invalid_utf8(stage: Stage) -> None:
    """The `\\r` of a line end is not shown, bytes that are no UTF-8 are replaced, others are kept."""
    stage.log().append("stdout", b"dos\r\nbinary \0\x01 \xff\xfe end\n50%\r100%\r\n")
    assert stage.texts() == ["dos", "binary \0\x01 \ufffd\ufffd end", "50%\r100%"]


def test_grep_sees_text_as_people_do(stage: Stage) -> None:
    """Colours do not hide a match."""
    stage.log().append("stdout", b"\x1b[31mERROR\x1b[0m: it broke\nfine\n")
    assert stage.texts(grep="ERROR: it") == ["\x1b[31mERROR\x1b[0m: it broke"]


@pytest.mark.parametrize(
    "options",
    [{"grep": "("}, {"around": "*"}, {"grep": "x" * (PATTERN_LIMIT + 1)}, {"level": "loud"}, {"stream": "stdin"}],
)
def test_wrong_arguments_are_usage_errors(options: dict[str, Any]) -> None:
    """They are found before anything is read."""
    with pytest.raises(UsageError):
        read([], **options)


def test_traceback_belongs_to_its_error(stage: Stage) -> None:
    """Asked for errors, one gets the whole traceback, from either end, and nothing of the other stream in between."""
    log = stage.log()
    log.append("stderr", b"INFO start\nERROR failed\nTraceback (most recent call last):\n")
    log.append("stdout", b"something else\n")
    log.append("stderr", b'  File "x.py", line 1\n    boom()\nValueError: boom\nfine again\n')
    expected = ["ERROR failed", "Traceback (most recent call last):", '  File "x.py", line 1', "    boom()", "ValueError: boom"]
    assert stage.texts(level="error") == stage.texts(level="error", tail=10) == expected


def test_around_shows_context_of_all_services(stage: Stage) -> None:
    """Matches come with the lines before and after them, and where lines were left out is marked."""
    clock = Clock()
    web, db = stage.log("web", clock=clock), stage.log("db", clock=clock)
    for number in range(20):
        (web if number % 2 else db).append("stdout", b"line %d\n" % number)
    sources = [("web", stage.path("web")), ("db", stage.path("db"))]
    records = list(read(sources, around=r"line (5|7|15)$", context=2))
    assert [int(record.text.split()[1]) for record in records] == [3, 4, 5, 6, 7, 8, 9, 13, 14, 15, 16, 17]
    assert [record.text for record in records if record.gap] == ["line 3", "line 13"]


def test_last_line_cut_off_by_a_crash_is_shown(stage: Stage) -> None:
    """Bytes behind the last newline are a line once nobody is writing them any more."""
    write_records(stage.path(), [(10**18, "whole")])
    with stage.path().open("ab") as log:
        log.write(header(format_stamp(10**18 + 1), "stdout", True) + b"cut o")
    import os

    os.utime(stage.path(), (1_000, 1_000))
    assert stage.texts() == stage.texts(tail=2) == ["whole", "cut o"]


def test_json_of_a_record() -> None:
    """The shape that `logs --json` prints."""
    assert Record(10**18 + 5, "web", "stderr", "text").json() == {
        "time": "2001-09-09T01:46:40.000000005Z", "service": "web", "stream": "stderr", "text": "text",
    }  # fmt: skip
