"""The CRI format: stamps, records, foreign lines."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from devctl.logs.cri import PIECE_SIZE, encode, format_stamp, parse, parse_stamp

END_OF_9999 = 253_402_300_800 * 10**9


@given(st.integers(0, END_OF_9999 - 1))
@example(951_782_400 * 10**9)  # 29 February 2000
def test_stamp_survives_writing_and_reading(time_ns: int) -> None:
    """A stamp says the same moment as the standard library, and gives it back."""
    stamp = format_stamp(time_ns)
    assert stamp[:19].decode() == datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    assert parse_stamp(stamp) == time_ns


@given(st.binary(max_size=80))
@example(b"2026-99-99T99:99:99.999999999Z stdout F text")
def test_parse_takes_any_bytes(line: bytes) -> None:
    """No line makes the parser raise; what it takes as a record has its text at the end of the line."""
    record = parse(line)
    assert record is None or line.endswith(record.text)


@given(st.lists(st.binary(max_size=60).map(lambda text: text.replace(b"\n", b"")), min_size=1))
def test_encoded_lines_come_back(lines: list[bytes]) -> None:
    """Every line in a block comes back with its bytes unchanged."""
    parts, count = encode(b"\n".join(lines), format_stamp(5), "stderr")
    records = [parse(line) for line in b"".join(parts)[:-1].split(b"\n")]
    assert count == len(lines)
    assert records == [(5, "stderr", True, line) for line in lines]


@pytest.mark.parametrize("length", [PIECE_SIZE - 1, PIECE_SIZE, PIECE_SIZE + 1, 3 * PIECE_SIZE])
def test_no_record_is_longer_than_a_piece(length: int) -> None:
    """A long line becomes pieces of 64 KiB at most and a final rest."""
    body = b"a\n" + b"x" * length + b"\nb"
    parts, count = encode(body, format_stamp(5), "stdout")
    records = [record for line in b"".join(parts)[:-1].split(b"\n") if (record := parse(line))]
    assert max(len(record.text) for record in records) <= PIECE_SIZE
    assert b"".join(record.text + b"\n" * record.full for record in records) == body + b"\n"
    assert count == 3


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"2026-11-20T23:50:01Z stdout F no fraction", b"no fraction"),
        (b"2026-11-20T23:50:01.5+02:00 stderr P offset", b"offset"),
        (b"2026-11-20T23:50:01.123456789Z stdout F:x more tags", b"more tags"),
        (b"2026-11-20T23:50:01.123456789Z stdout F", b""),
    ],
)
def test_other_writers_are_understood(line: bytes, text: bytes) -> None:
    """What other writers of the format do differently is read too."""
    record = parse(line)
    assert record is not None
    assert record.text == text


def test_offset_is_taken_off() -> None:
    """A stamp with an offset is the moment in UTC."""
    assert parse_stamp(b"2026-11-20T23:50:01+02:00") == parse_stamp(b"2026-11-20T21:50:01Z")
