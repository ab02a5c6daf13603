"""Levels: JSON, the common text forms, and what belongs to a line before."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.errors import UsageError
from devctl.logs.level import LEVELS, LevelTracker, detect, parse_level

STATED = [
    ('{"level":"warn","msg":"x"}', "warn"),
    ('{"time":1,"severity":"ERROR","message":"x"}', "error"),
    ('{"lvl":"dbug"}', "debug"),
    ('{"level":10}', "trace"),
    ('{"level":30,"time":1,"msg":"pino"}', "info"),
    ('{"name":"bunyan","level":60}', "fatal"),
    ('{"version":"1.1","level":3,"short_message":"gelf"}', "error"),
    ('{"severityNumber":14}', "warn"),
    ('{"log.level":"info"}', "info"),
    ('{"log":{"level":"error"}}', "error"),
    ('{"level":"ERROR+2","msg":"slog"}', "error"),
    ('{"http":{"level":50},"level":"info"}', "info"),
    ('{"level":"error","cut off', "error"),
    ('{"msg":"nothing here"}', None),
    ('{"level":true}', None),
    ("time=2026-11-20T10:00:00Z level=warn msg=x", "warn"),
    ('lvl=eror msg="log15"', "error"),
    ('level=warn msg="[error] seen"', "warn"),
    ("INFO running with loglevel=debug", "info"),
    ("[ERROR] x", "error"),
    ("2026/11/20 23:50:01 [error] 123#0: nginx", "error"),
    ("[Fri Nov 20 23:50:01 2026] [core:warn] [pid 1] apache", "warn"),
    ("ERROR: x", "error"),
    ("INFO:     127.0.0.1:1234 - uvicorn", "info"),
    ("\x1b[32mINFO\x1b[0m:     coloured", "info"),
    ("WARNING:root:python", "warn"),
    ("2026-11-20 10:00:00,123 - app - CRITICAL - python", "fatal"),
    ("2026-11-20 10:00:00.123 | DEBUG    | mod:f:1 - loguru", "debug"),
    ("2026-11-20T10:00:00.000Z  WARN crate: tracing", "warn"),
    ("[2026-11-20T10:00:00Z ERROR crate] env_logger", "error"),
    ("10:00:00.123 [main] INFO  com.example.App - logback", "info"),
    ("[10:00:00 INF] serilog", "info"),
    ("10:00AM ERR zerolog", "error"),
    ("WARN x", "warn"),
    ("npm ERR! code ENOENT", "error"),
    ("npm warn deprecated", None),
    ("error[E0308]: mismatched types", "error"),
    ("warning: unused variable", "warn"),
    ("fatal: not a git repository", "fatal"),
    ("E1120 10:00:00.000000   123 file.go:12] glog", "error"),
    ("I1120 10:00:00.000000       1 main.go:5] klog", "info"),
    ("[W 2026-11-20 10:00:00.000 app] tornado", "warn"),
    ("<3>sd-daemon", "error"),
    ("2026-11-20 10:00:00 UTC [12] ERROR:  relation does not exist", "error"),
    ("panic: runtime error", "fatal"),
    ("thread 'main' panicked at src/main.rs:1:1:", "fatal"),
    ("Traceback (most recent call last):", "error"),
    ("ValueError: bad", "error"),
    ("Uncaught TypeError: x is not a function", "error"),
    ("Error: Cannot find module 'x'", "error"),
    ("the error rate is fine", None),
    ("information about errors", None),
    ("fine: all good", None),
    ("Server started on port 3000", None),
    ("", None),
]


@pytest.mark.parametrize(("text", "level"), STATED)
def test_stated_level(text: str, level: str | None) -> None:
    """Each form is understood, and prose that mentions a level is not taken for one."""
    assert detect(text) == level


@given(st.one_of(st.text(), st.text().map(lambda text: '{"level":' + text), st.sampled_from(STATED).map(lambda pair: pair[0] * 3)))
def test_any_text_has_a_level_or_none(text: str) -> None:
    """No line makes detection raise."""
    assert detect(text) in (*LEVELS, None)


@pytest.mark.parametrize("text", ["[" * 5_000_000, '{"level":' * 1_000_000, '{"a":' + "[" * 60_000, "level" * 1_000_000])
def test_hostile_lines_have_no_level(text: str) -> None:
    """Megabytes of beginnings, and deep nesting, are neither an error nor a level."""
    assert detect(text) is None


def levels_of(text: str) -> list[str | None]:
    tracker = LevelTracker()
    return [tracker.level(line) for line in text.split("\n")]


def test_python_traceback_inherits() -> None:
    """All lines of a traceback have the level of its line, chained ones too; what follows stands for itself."""
    trace = "Traceback (most recent call last):\n  File\n    x\nKeyError: 1\n\nDuring handling of the above exception, another"
    assert levels_of(f"WARN failed\n{trace}\nordinary") == ["warn"] * 4 + ["error"] * 3 + [None]
    assert levels_of(trace) == ["error"] * 6


def test_java_trace_and_closing_brackets_inherit() -> None:
    """Indented lines, "Caused by" and closing brackets belong to the line before."""
    text = "ERROR x\n\tat Foo.bar(Foo.java:1)\nCaused by: java.io.IOException\n\t... 12 more\n}\nnext"
    assert levels_of(text) == ["error"] * 5 + [None]


def test_crash_dump_inherits() -> None:
    """Everything after a Go panic belongs to it until a line says otherwise."""
    text = "panic: nil\n\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:1\nexit status 2\nINFO restarted"
    assert levels_of(text) == ["fatal"] * 6 + ["info"]


@pytest.mark.parametrize(("text", "level"), [("WARNING", "warn"), ("err", "error"), (" Info ", "info"), ("critical", "fatal")])
def test_levels_as_typed(text: str, level: str) -> None:
    """People may use any common name."""
    assert parse_level(text) == level


def test_unknown_level_is_a_usage_error() -> None:
    """Others are told what there is."""
    with pytest.raises(UsageError, match="trace, debug, info, warn, error, fatal"):
        parse_level("loud")
