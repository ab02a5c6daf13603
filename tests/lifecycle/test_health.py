"""Health after a service was ready."""

from __future__ import annotations

import pytest

from devctl.plan import RestartMode, RestartPolicy
from tests.lifecycle.history import ALWAYS, History, history_of, spec


def ready(**options: object) -> History:
    history = history_of(spec("web", check=True, **options))
    history.up("web")
    history.actions()
    return history


def test_one_failure_is_none() -> None:
    """`retries` failures in a row make it unhealthy, not one."""
    history = ready()
    history.unhealthy("web")
    assert (history.state("web"), history["web"].failures) == ("ready", 1)


def test_failures_must_be_in_a_row() -> None:
    """A success in between starts the count anew."""
    history = ready()
    history.unhealthy("web")
    history.healthy("web")
    history.unhealthy("web")
    assert history.state("web") == "ready"


def test_unhealthy_and_back() -> None:
    """It says how the check fails, is left running, and becomes ready with the next success."""
    history = ready()
    history.unhealthy("web", times=2)
    assert (history.state("web"), history.why("web")) == ("unhealthy", "fails its health check: connection refused")
    history.healthy("web")
    assert (history.state("web"), history.why("web")) == ("ready", "")
    assert history.actions() == []


def test_on_unhealthy_restart() -> None:
    """Its check ends, its tree is stopped, and it starts again after a backoff, whatever the policy."""
    history = ready(on_unhealthy="restart")
    history.unhealthy("web", times=2)
    assert history.state("web") == "backoff"
    assert history.actions() == [("unprobe", "web"), ("stop", "web")]
    history.ended("web", signal=15)
    history.wake()
    assert history.actions() == [("spawn", "web")]
    assert history["web"].restarts == 1


def test_on_unhealthy_backs_off_further() -> None:
    """Unhealthy again and again waits longer and longer."""
    history = ready(on_unhealthy="restart", restart=RestartPolicy(initial=1))
    waits = []
    for _ in range(3):
        history.unhealthy("web", times=2)
        history.ended("web", signal=15)
        waits.append(history.wake())
        history.up("web")
    assert waits == pytest.approx([1, 2, 4])


def test_on_unhealthy_respects_the_limit() -> None:
    """on-failure:1 is one restart, for bad health too."""
    history = ready(on_unhealthy="restart", restart=RestartPolicy(RestartMode.ON_FAILURE, max_attempts=1))
    history.unhealthy("web", times=2)
    history.ended("web", signal=15)
    history.wake()
    history.up("web")
    history.unhealthy("web", times=2)
    assert history.state("web") == "failed"
    assert history.why("web") == "fails its health check: connection refused; gave up after 1 restart"


def test_an_unhealthy_one_may_exit() -> None:
    """The exit is what counts then."""
    history = ready(restart=ALWAYS)
    history.unhealthy("web", times=2)
    history.exited("web", 1)
    assert (history.state("web"), history.why("web")) == ("backoff", "exited with status 1")


def test_a_clean_exit_after_ready_completes() -> None:
    """One that was ready once and exits well has not failed."""
    history = ready()
    history.unhealthy("web", times=2)
    history.exited("web", 0)
    assert history.state("web") == "completed"


def test_an_exit_ends_the_check() -> None:
    """Nobody probes what has exited."""
    history = ready()
    history.exited("web", 1)
    assert history.actions() == [("unprobe", "web"), ("stop", "web")]


def test_unhealthy_is_enough_for_started() -> None:
    """Dependents that run are not touched by bad health below them."""
    history = history_of(spec("router", check=True), spec("web", "router"))
    history.up("router", "web")
    history.unhealthy("router", times=2)
    assert history.states == {"router": "unhealthy", "web": "ready"}
