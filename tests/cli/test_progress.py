"""What a client knows from a status and the events since."""

from __future__ import annotations

import io
from typing import Any

from devctl.cli.progress import ENDED, Progress
from devctl.cli.session import Rules
from devctl.cli.style import Style


def status(**states: str) -> dict[str, Any]:
    """A stack's status with these services."""
    unknown = {"reason": None, "url": None, "exit_code": None}
    return {"services": [{"name": name, "state": state, **unknown} for name, state in states.items()]}


def event(service: str, state: str, second: int = 0, **data: Any) -> dict[str, Any]:
    """A change of state."""
    return {"type": "service_state", "service": service, "state": state, "time": f"2026-11-20T10:00:{second:02d}.500Z", **data}


def progress(**states: str) -> Progress:
    """A progress that knows these services; b waits for a."""
    known = Progress({"a": [], "b": ["a"]})
    known.take(status(**states))
    return known


def test_time_to_readiness_is_the_supervisors() -> None:
    """It is counted between the events' own times, however late they arrive."""
    known = progress(a="waiting")
    known.apply(event("a", "starting", 1))
    known.apply(event("a", "ready", 3))
    assert known.services["a"].took == 2.0


def test_signals_become_exit_statuses() -> None:
    """A service that a signal ended has 128 + its number, as in a shell."""
    known = progress(a="ready")
    known.apply({"type": "service_exited", "service": "a", "exit_code": None, "signal": 15})
    assert known.services["a"].exit_code == 143


def test_live_lines_name_what_is_waited_for() -> None:
    """A waiting service says for whom."""
    lines = progress(a="starting", b="waiting").lines(Style(io.StringIO()), 10)
    assert "b" in lines[1]
    assert lines[1].endswith("for a")


def test_live_lines_are_limited() -> None:
    """Of many services the moving ones are shown, and how many there are besides."""
    lines = progress(a="waiting", b="waiting", c="starting", d="waiting", e="ready").lines(Style(io.StringIO()), 3)
    assert len(lines) == 3
    assert " c " in lines[0]
    assert "2 more" in lines[2]


def test_later_status_never_changes_a_state() -> None:
    """Events carry states in order; a status that was asked for meanwhile only adds reasons."""
    known = progress(a="starting")
    known.apply(event("a", "ready"))
    known.refine(status(a="starting"))
    assert known.services["a"].state == "ready"


def test_abort_on_exit_spares_oneshots_that_succeed() -> None:
    """A migration that is through is no reason to stop the rest; a server that ends is."""
    rules = Rules(abort_on_exit=True, oneshots=frozenset({"a"}))
    assert rules.verdict(progress(a="completed", b="ready")) is None
    assert rules.verdict(progress(a="failed", b="ready")) == "a has ended"
    assert rules.verdict(progress(a="completed", b="completed")) == "b has ended"


def test_exit_code_from_ends_with_its_service() -> None:
    """The service that gives the exit status ends the session even when it is a oneshot."""
    assert Rules(exit_code_from="a", oneshots=frozenset({"a"})).verdict(progress(a="completed", b="ready")) == "a has ended"


def test_abort_on_failure_ignores_success() -> None:
    """Only failures count."""
    rules = Rules(abort_on_failure=True)
    assert rules.verdict(progress(a="completed", b="ready")) is None
    assert rules.verdict(progress(a="ready", b="failed")) == "b has failed"


def test_ended_needs_every_service() -> None:
    """A session ends by itself when nothing runs any more."""
    assert progress(a="completed", b="failed").all_in(ENDED)
    assert not progress(a="completed", b="ready").all_in(ENDED)
