"""The log probe: a pattern in a stream of blocks."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from devctl.health.log import LINE_LIMIT, TEXT_LIMIT, LogWatcher
from devctl.plan import LogProbe

OUTPUT = st.lists(
    st.sampled_from([b"ready", b"rea", b"dy", b" ", b"x", b"\n", b"\r", b"\r\n", b"\x1b[1;32m", b"\x1b[", b"\x1b]t\x07", b"\xc3"])
    | st.binary(max_size=2).filter(lambda data: b"\x1b" not in data)  # escapes come from the list, whole or half
).map(b"".join)


def watch(pattern: str, *blocks: bytes) -> LogWatcher:
    watcher = LogWatcher(LogProbe(pattern))
    for block in blocks:
        watcher.feed(block)
    return watcher


@given(output=OUTPUT, cuts=st.lists(st.integers(0, 60), max_size=6), pattern=st.sampled_from(["ready", "^ready$", "^$", "ü"]))
@example(output=b"a\r\n", cuts=[2], pattern="^$")
@example(output=b"\n", cuts=[], pattern="^$")
def test_where_blocks_are_cut_makes_no_difference(output: bytes, cuts: list[int], pattern: str) -> None:
    """Any split of the same output gives the same answer."""
    edges = [0, *sorted(min(cut, len(output)) for cut in cuts), len(output)]
    pieces = [output[start:end] for start, end in pairwise(edges)]
    assert watch(pattern, *pieces).ready == watch(pattern, output).ready


@given(output=OUTPUT)
@settings(max_examples=50)
def test_byte_by_byte_finds_the_lines_of_the_whole(output: bytes) -> None:
    """The smallest blocks give what a plain reading of the lines gives."""
    text = output.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode(errors="replace")
    clean = re.sub("\x1b\\[[0-?]*[ -/]*[@-~]|\x1b\\][^\x07\x1b\n]+\x07", "", text)
    expected = any("ready" in line for line in clean.split("\n")[:-1])
    assert watch("ready", *(bytes([byte]) for byte in output)).ready == expected


@pytest.mark.parametrize("sequence", [b"\x1b[1;32m", b"\x1b[K", b"\x1b]8;;u:v\x1b\\", b"\x1b(B", b"\x1b7", b"\x1bPq\x1b\\"])
def test_escape_sequences_are_taken_out(sequence: bytes) -> None:
    """Colours in the middle of a word do not hide it."""
    assert watch("^Server ready$", b"Server re" + sequence + b"ady\n").ready


def test_stdout_and_stderr_do_not_mix() -> None:
    """Each stream has its own unfinished line."""
    watcher = LogWatcher(LogProbe("^ready$"))
    watcher.feed(b"rea", "stdout")
    watcher.feed(b"oops\n", "stderr")
    assert watcher.feed(b"dy\n", "stdout")
    assert watcher.ready


def test_an_unfinished_line_counts_after_a_silence_alone() -> None:
    """A prompt has no newline; a line in the making must not match by accident."""
    watcher = watch("^ready$", b"ready")
    assert not watcher.ready
    assert watcher.pending
    assert watcher.match_pending()
    assert watcher.ready


def test_once_found_it_stays() -> None:
    """Later output changes nothing, and keeps nothing."""
    watcher = watch("ready", b"ready\n", b"shutting down\n", b"half")
    assert watcher.ready
    assert not watcher.pending
    assert watcher.detail() == "'ready' was written"


def test_memory_is_bounded_without_newlines() -> None:
    """Of a line that never ends, the first 64 KiB are kept."""
    watcher = LogWatcher(LogProbe("needle"))
    for _ in range(100):
        watcher.feed(b"x" * 65_536)
    assert sum(len(part.line) for part in watcher._unfinished.values()) <= LINE_LIMIT


@pytest.mark.parametrize("size", [1000, 16_384, 10_000_000])
def test_a_long_line_is_matched_by_its_beginning(size: int) -> None:
    """The first characters count, the rest is skipped, and the next line is a line again."""
    long = b"x" * max(size, TEXT_LIMIT)
    assert watch("start", b"start" + long + b"\n").ready
    assert not watch("end", long + b"end\n").ready
    assert watch("^next$", long + b"\nnext\n").ready
    assert not watch("^xnext$", long + b"\rnext\n").ready


def test_a_catastrophic_pattern_is_given_up() -> None:
    """Three interruptions, and it is not tried again: the service is not held up any more."""
    line = b"a" * 60 + b"!\n"
    watcher = watch("(a+)+$", line, line, line, line, line)
    assert not watcher.ready
    assert watcher.detail().endswith("make it simpler; given up")


def test_a_broken_pattern_is_an_error() -> None:
    """The loader has refused it before; nobody else gets this far."""
    with pytest.raises(re.error):
        LogWatcher(LogProbe("("))
