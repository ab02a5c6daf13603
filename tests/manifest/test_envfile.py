"""Env files: the dialect, and its errors."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devctl.errors import ManifestError
from devctl.manifest.envfile import read_env_file, read_env_files
from devctl.plan import EnvFile


def read(tmp_path: Path, text: str | bytes, **environ: str) -> dict[str, str]:
    path = tmp_path / "x.env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_env_file(path, environ)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("", {}),
        ("\n\n# only a comment", {}),
        ("A=1", {"A": "1"}),
        ("A=1\nB=2\n", {"A": "1", "B": "2"}),
        ("A=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
        ("\ufeffA=1", {"A": "1"}),
        ("export A=1", {"A": "1"}),
        ("  A = 1  ", {"A": "1"}),
        ("A: 1", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=  # comment", {"A": ""}),
        ("A=x # comment", {"A": "x"}),
        ("A=x#y", {"A": "x#y"}),
        ("A=x=y", {"A": "x=y"}),
        ("A='x # $B' # comment", {"A": "x # $B"}),
        ('A="x # y"', {"A": "x # y"}),
        ('A="a\\nb\\t\\"\\\\"', {"A": 'a\nb\t"\\'}),
        ("A='one\ntwo'\nB=3", {"A": "one\ntwo", "B": "3"}),
        ('A="one\ntwo"\nB=3', {"A": "one\ntwo", "B": "3"}),
        ("A=1\nB=${A}2$A", {"A": "1", "B": "121"}),
        ('A=1\nB="${A}\\$A"', {"A": "1", "B": "1$A"}),
        ("B=${NO:-d}", {"B": "d"}),
        ("B=$NO", {"B": ""}),
        ("B=pa$!word", {"B": "pa$!word"}),
        ("B=$$x", {"B": "$x"}),
        ("CALLER", {"CALLER": "c"}),
        ("B=${CALLER}", {"B": "c"}),
        ("NOT_SET", {}),
        ("A=1\nA=2", {"A": "2"}),
    ],
)
def test_dialect(tmp_path: Path, text: str, result: dict[str, str]) -> None:
    """Each form is read as Compose reads it."""
    assert read(tmp_path, text, CALLER="c") == result


def test_the_caller_wins_in_references(tmp_path: Path) -> None:
    """`${A}` is the caller's A where both are set."""
    assert read(tmp_path, "A=file\nB=$A", A="caller") == {"A": "file", "B": "caller"}


@pytest.mark.parametrize(
    ("text", "line", "column", "message"),
    [
        ("A=1\n!x", 2, 1, "`!x` is not NAME=value"),
        ("A=1\n\n  B C", 3, 5, "expected `=` after `B`"),
        ("A='x\ny", 1, 3, "the quote ' is not closed"),
        ('A="x', 1, 3, 'the quote " is not closed'),
        ('A="x" y', 1, 6, "text after the closing quote"),
        ("A=${B:?give it}", 1, 3, "variable `B` is not set: give it"),
        ("A=${", 1, 3, "not followed by a name"),
        ("A=\0", 1, 3, "control character U+0000"),
    ],
)
def test_located_errors(tmp_path: Path, text: str, line: int, column: int, message: str) -> None:
    """A malformed line is named with its place."""
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, text)
    problem = caught.value.problems[0]
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message


def test_all_errors_at_once(tmp_path: Path) -> None:
    """Reading goes on after a malformed line."""
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, "!\nA=1\n?\n")
    assert [problem.line for problem in caught.value.problems] == [1, 3]


@pytest.mark.parametrize(("content", "message"), [(b"A=\xff", "0xff"), (b"A=" + b"x" * 1_000_000, "larger than 1 MB")])
def test_unusable_file(tmp_path: Path, content: bytes, message: str) -> None:
    """Size and encoding are bounded."""
    with pytest.raises(ManifestError, match=message):
        read(tmp_path, content)


def test_missing_file(tmp_path: Path) -> None:
    """A missing file is an error; an optional one is not."""
    with pytest.raises(ManifestError, match="No such file"):
        read_env_file(tmp_path / "no", {})
    assert read_env_files([EnvFile(str(tmp_path / "no"), required=False)], {}) == {}


def test_later_files_win(tmp_path: Path) -> None:
    """Of several files the last one counts."""
    (tmp_path / "a").write_text("A=1\nB=1")
    (tmp_path / "b").write_text("B=2")
    assert read_env_files([EnvFile(str(tmp_path / name)) for name in "ab"], {}) == {"A": "1", "B": "2"}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.one_of(st.binary(max_size=200), st.text(alphabet="AB=:'\"\\$#{} \n\r\t-?x", max_size=100).map(str.encode)))
def test_never_breaks(tmp_path: Path, content: bytes) -> None:
    """Any bytes are read or refused."""
    with contextlib.suppress(ManifestError):
        assert isinstance(read(tmp_path, content), dict)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.text(alphabet=st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=40))
def test_single_quotes_keep_all(tmp_path: Path, value: str) -> None:
    """Between single quotes a text is taken as it is."""
    value = value.replace("'", "")
    assert read(tmp_path, f"A='{value}'") == {"A": value}


def test_needs_no_yaml() -> None:
    """The supervisor reads env files without the memory of YAML and pydantic."""
    code = "import sys, devctl.manifest.envfile; print([m for m in ('yaml', 'pydantic', 'dotenv') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
