"""Stopping: reverse dependency order, shutdown, force."""

from __future__ import annotations

import pytest

from tests.lifecycle.history import ALWAYS, History, history_of, spec


def chain(**options: object) -> History:
    """db ← backend ← frontend, all ready."""
    history = history_of(spec("db", **options), spec("backend", "db", **options), spec("frontend", "backend", **options))
    history.up("db", "backend", "frontend")
    history.actions()
    return history


def test_dependents_stop_first() -> None:
    """Each is told to stop once those that depend on it are gone."""
    history = chain()
    history.stop("db", "backend", "frontend")
    assert history.actions() == [("stop", "frontend")]
    history.ended("frontend", signal=15)
    assert history.actions() == [("stop", "backend")]
    history.ended("backend", signal=15)
    assert history.actions() == [("stop", "db")]


def test_gone_counts_not_the_leaders_exit() -> None:
    """A dependent whose leader exited still has processes that may need what is below."""
    history = chain()
    history.stop("backend", "frontend")
    history.exited("frontend", signal=15)
    assert history.actions() == [("stop", "frontend")]


def test_siblings_stop_together() -> None:
    """Where order allows, in parallel."""
    history = history_of(spec("db"), spec("a", "db"), spec("b", "db"))
    history.up("db", "a", "b")
    history.actions()
    history.shutdown()
    assert history.actions() == [("stop", "a"), ("stop", "b")]
    history.ended("a", signal=15)
    assert history.actions() == []
    history.ended("b", signal=15)
    assert history.actions() == [("stop", "db")]


def test_a_dependent_that_stays_does_not_hold_back() -> None:
    """Stopping only what is below is done at once; who depends on it keeps running."""
    history = chain()
    history.stop("db")
    assert history.actions() == [("stop", "db")]
    history.ended("db", signal=15)
    assert history.states == {"db": "stopped", "backend": "ready", "frontend": "ready"}


def test_the_order_holds_for_restarts() -> None:
    """A restart of a whole chain goes down in reverse order and up in order."""
    history = chain()
    history.restart("db", "backend", "frontend")
    for name in ("frontend", "backend", "db"):
        assert history.actions() == [("stop", name)]
        history.ended(name, signal=15)
    for name in ("db", "backend", "frontend"):
        assert history.actions() == [("spawn", name)]
        history.up(name)


def test_shutdown_stops_everything() -> None:
    """In reverse order, until nothing is live."""
    history = chain()
    history.shutdown()
    for name in ("frontend", "backend", "db"):
        history.ended(name, signal=15)
    assert history.actions() == [("stop", "frontend"), ("stop", "backend"), ("stop", "db")]
    assert set(history.states.values()) == {"stopped"}


def test_force_kills_at_once() -> None:
    """Without order, everything that lives, in one step."""
    history = chain()
    history.shutdown(force=True)
    assert history.actions() == [("kill", "db"), ("kill", "backend"), ("kill", "frontend")]


def test_force_escalates() -> None:
    """After a gentle shutdown, those that are left are killed, also those that were told already."""
    history = chain()
    history.shutdown()
    history.ended("frontend", signal=15)
    history.actions()
    history.shutdown(force=True)
    assert history.actions() == [("kill", "db"), ("kill", "backend")]


def test_nothing_starts_after_a_shutdown() -> None:
    """No start, restart, reload, policy or dependency brings anything back."""
    history = chain(restart=ALWAYS)
    history.ended("frontend", 1)
    history.shutdown()
    history.actions()
    history.start()
    history.restart("db", "backend", "frontend")
    history.replace(spec("db"), spec("new"), start=("db", "new"))
    history.pass_time(1000)
    history.ended("backend", 1)
    history.ended("db", 1)
    history.pass_time(1000)
    assert history.actions() == [("stop", "db")]
    assert history.states == {"db": "stopped", "backend": "stopped", "frontend": "stopped"}


@pytest.mark.parametrize("force", [False, True])
def test_shutdown_of_what_is_being_ended(force: bool) -> None:
    """A tree that ends already is not told again, but killed by force; its outcome stays known."""
    history = history_of(spec("web"))
    history.up("web")
    history.exited("web", 3)
    history.actions()
    history.shutdown(force=force)
    assert history.actions() == ([("kill", "web")] if force else [])
    history.gone("web")
    assert (history.state("web"), history.why("web")) == ("failed", "exited with status 3")


def test_shutdown_while_starting() -> None:
    """What waits never starts; what starts is stopped."""
    history = history_of(spec("db", check=True), spec("web", "db"), spec("tool", check=True, reuse=True))
    history.spawned("db")
    history.actions()
    history.shutdown()
    history.not_adopted("tool")
    history.healthy("db")
    assert history.actions() == [("unprobe", "db"), ("stop", "db")]
    assert history.states == {"db": "stopping", "web": "stopped", "tool": "stopped"}


def test_shutdown_before_the_spawn() -> None:
    """A spawn that was called for and not answered is stopped like a process."""
    history = history_of(spec("web"))
    history.shutdown()
    assert history.actions() == [("spawn", "web"), ("stop", "web")]
    history.gone("web")
    assert history.state("web") == "stopped"


def test_shutdown_turns_restarts_into_stops() -> None:
    """A restart under way ends with the stop half."""
    history = chain()
    history.restart("db")
    history.shutdown()
    for name in ("frontend", "backend", "db"):
        history.ended(name, signal=15)
    assert set(history.states.values()) == {"stopped"}


def test_outcomes_survive_a_shutdown() -> None:
    """What completed or failed before is still said afterwards."""
    history = history_of(spec("migrate", oneshot=True), spec("broken"), spec("needy", "broken"))
    history.spawned("migrate")
    history.ended("migrate", 0)
    history.spawn_failed("broken")
    history.shutdown()
    assert history.states == {"migrate": "completed", "broken": "failed", "needy": "failed"}


def test_a_backoff_ends_with_the_shutdown() -> None:
    """No timer is left."""
    history = history_of(spec("web", restart=ALWAYS))
    history.up("web")
    history.ended("web", 1)
    history.shutdown()
    history.pass_time(1000)
    assert history.state("web") == "stopped"
    assert history.actions()[-1] == ("stop", "web")
