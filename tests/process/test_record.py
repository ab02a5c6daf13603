"""state.json: written whole or not at all, and believed only when it makes sense."""

from __future__ import annotations

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devctl.process import record as module
from devctl.process.record import Identity, Record, read, write

RECORD = Record(
    run=123 << 20,
    run_id="abcdef-1",
    boot_id="b",
    stack="shop",
    directory="/shop",
    started_at="2026-11-20T23:50:01.123Z",
    guard=Identity(10, 100),
    supervisor=Identity(11, 101),
    sweeper=Identity(12, 102),
    leaders="/run/leaders",
)
FUZZ = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["pid", "start_time", "x"]), inner, max_size=3),
    max_leaves=5,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def test_it_comes_back(path: Path) -> None:
    """What was written is what is read."""
    for record in (RECORD, dataclasses.replace(RECORD, cgroup="/sys/fs/cgroup/x", ended=True, crash="the guard was killed")):
        write(path, record)
        assert read(path) == record


def test_only_we_may_read_it(path: Path) -> None:
    """It says what may be killed."""
    write(path, RECORD)
    assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_else_stays(path: Path) -> None:
    """No temporary file, after a success or a failure."""
    write(path, RECORD)
    assert os.listdir(path.parent) == ["state.json"]


def test_a_write_that_fails_leaves_the_old_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the rename the old record is untouched; the error is told."""

    def refuse(fd: int) -> None:
        raise OSError(28, "No space left on device")

    write(path, RECORD)
    monkeypatch.setattr(module.os, "fsync", refuse)
    with pytest.raises(OSError, match="No space left"):
        write(path, dataclasses.replace(RECORD, stack="other"))
    assert read(path) == RECORD
    assert os.listdir(path.parent) == ["state.json"]


def test_a_missing_file_names_nobody(path: Path) -> None:
    """No record, no claim."""
    assert read(path) is None


def test_every_cut_names_nobody(path: Path) -> None:
    """A file that ends too early, wherever."""
    write(path, RECORD)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert read(path) is None


@pytest.mark.parametrize(
    "content", [b"[" * 100_000, b" " * (2 << 20) + b"{}", b"null", b"[]", b"{}", b"\xff\xfe", b'{"version": 1}']
)
def test_other_files(path: Path, content: bytes) -> None:
    """Deep, huge, empty, or something else entirely."""
    path.write_bytes(content)
    assert read(path) is None


def test_another_version_names_nobody(path: Path) -> None:
    """What a later devctl means by its record, we do not know."""
    path.write_text(json.dumps({**json.loads(json.dumps(dataclasses.asdict(RECORD))), "version": 99}))
    assert read(path) is None


@FUZZ
@given(st.binary(max_size=400))
def test_any_bytes(tmp_path: Path, content: bytes) -> None:
    """Random files are no record."""
    path = tmp_path / "state.json"
    path.write_bytes(content)
    assert read(path) is None


@FUZZ
@given(st.dictionaries(st.sampled_from([field.name for field in dataclasses.fields(Record)]), json_values, min_size=1))
def test_any_field_may_be_nonsense(tmp_path: Path, nonsense: dict[str, Any]) -> None:
    """Either nothing is read, or something whose types are what they must be."""
    path = tmp_path / "state.json"
    path.write_text(json.dumps({"version": module.RECORD_VERSION, **dataclasses.asdict(RECORD), **nonsense}))
    record = read(path)
    if record is not None:
        for who in (record.guard, record.supervisor, record.sweeper):
            assert isinstance(who.pid, int)
            assert isinstance(who.start_time, int)
        assert isinstance(record.run, int)
        assert all(isinstance(text, str) for text in (record.run_id, record.boot_id, record.directory, record.leaders))


@FUZZ
@given(st.integers(0), st.integers(1, 8))
def test_a_flipped_bit_never_raises(tmp_path: Path, place: int, bit: int) -> None:
    """A damaged disk is no reason to crash."""
    path = tmp_path / "state.json"
    write(path, RECORD)
    data = bytearray(path.read_bytes())
    data[place % len(data)] ^= 1 << (bit - 1)
    path.write_bytes(data)
    read(path)


def test_leaders(tmp_path: Path) -> None:
    """One a line; a torn last line and nonsense are left out."""
    leaders = tmp_path / "leaders"
    leaders.write_bytes(b"10 100\n11 101\nx y\n-1 5\n1 2 3\n\n12 10")
    assert dataclasses.replace(RECORD, leaders=str(leaders)).read_leaders() == [(10, 100), (11, 101)]


def test_leaders_that_are_not_there(tmp_path: Path) -> None:
    """Nothing was spawned, or the file was lost."""
    assert dataclasses.replace(RECORD, leaders=str(tmp_path / "none")).read_leaders() == []
