"""`restart: true`: who is restarted with a dependency."""

from __future__ import annotations

from devctl.plan import Dependency
from tests.lifecycle.history import ALWAYS, COMPLETED, STARTED, History, history_of, spec

FOLLOWS_ROUTER = Dependency("router", restart=True)


def up() -> History:
    """router ← backend (restart) ← frontend (restart), and a bystander."""
    history = history_of(
        spec("router", restart=ALWAYS),
        spec("backend", FOLLOWS_ROUTER),
        spec("frontend", Dependency("backend", restart=True)),
        spec("bystander", "router"),
    )
    history.up("router", "backend", "frontend", "bystander")
    history.actions()
    return history


def test_a_crash_below_restarts_the_follower() -> None:
    """Once the dependency starts anew; before that there is nothing to come back to."""
    history = up()
    history.ended("router", 1)
    assert history.state("backend") == "ready"
    history.wake()
    assert (history.state("backend"), history.why("backend")) == ("stopping", "its dependency router was restarted")


def test_only_those_who_asked_follow() -> None:
    """A plain dependency is left running."""
    history = up()
    history.restart("router")
    history.ended("router", signal=15)
    assert history.states == {"router": "starting", "backend": "stopping", "frontend": "ready", "bystander": "ready"}


def test_it_is_transitive() -> None:
    """The follower's own restart restarts its followers, each when its turn comes."""
    history = up()
    history.restart("router")
    history.ended("router", signal=15)
    history.spawned("router")
    history.ended("backend", signal=15)
    assert history.states == {"router": "ready", "backend": "starting", "frontend": "stopping", "bystander": "ready"}
    history.spawned("backend")
    history.ended("frontend", signal=15)
    history.spawned("frontend")
    assert set(history.states.values()) == {"ready"}
    assert [history[name].restarts for name in history.stack.services] == [1, 1, 1, 0]


def test_the_follower_waits_for_its_dependency() -> None:
    """It comes back when the dependency is ready, not before."""
    history = history_of(spec("router", check=True), spec("backend", FOLLOWS_ROUTER))
    history.up("router", "backend")
    history.restart("router")
    history.ended("router", signal=15)
    history.ended("backend", signal=15)
    assert history.state("backend") == "waiting"
    history.up("router")
    assert history.state("backend") == "starting"


def test_a_stop_and_start_restarts_followers() -> None:
    """A new start of the dependency is what counts, however it came about."""
    history = up()
    history.stop("router")
    history.ended("router", signal=15)
    history.start("router")
    assert history.state("backend") == "stopping"


def test_the_first_start_restarts_nobody() -> None:
    """A follower that needs only that it started is not restarted by that start."""
    history = history_of(spec("router", check=True), spec("web", Dependency("router", STARTED, restart=True)))
    history.spawned("router")
    history.spawned("web")
    history.healthy("router")
    assert history["web"].instance == 1


def test_a_stopped_follower_stays_stopped() -> None:
    """What somebody stopped is not brought back."""
    history = up()
    history.stop("backend")
    history.ended("backend", signal=15)
    history.restart("router")
    history.ended("router", signal=15)
    assert history.state("backend") == "stopped"


def test_a_follower_being_stopped_stays_so() -> None:
    """A stop that is under way is not turned into a restart."""
    history = up()
    history.stop("backend")
    history.restart("router")
    history.ended("router", signal=15)
    history.ended("backend", signal=15)
    assert history.state("backend") == "stopped"


def test_a_follower_that_failed_is_not_revived() -> None:
    """Neither while its tree is still being ended nor after."""
    history = up()
    history.exited("backend", 1)
    history.restart("router")
    history.ended("router", signal=15)
    assert history.state("backend") == "failed"


def test_a_completed_one_shot_is_not_run_again() -> None:
    """It has done its work; following is for what runs."""
    history = history_of(spec("router", restart=ALWAYS), spec("seed", FOLLOWS_ROUTER, oneshot=True))
    history.up("router", "seed")
    history.exited("seed", 0)
    history.ended("router", 1)
    history.wake()
    assert history.state("seed") == "completed"


def test_one_restart_for_both() -> None:
    """Asked to restart both at once, the follower is restarted once."""
    history = up()
    history.restart("router", "backend")
    history.ended("backend", signal=15)
    history.ended("router", signal=15)
    history.spawned("router")
    history.spawned("backend")
    assert (history["backend"].instance, history["backend"].restarts) == (2, 1)


def test_a_one_shot_below_that_runs_again() -> None:
    """A migration that is run again restarts those who asked for it."""
    history = history_of(spec("migrate", oneshot=True), spec("web", Dependency("migrate", COMPLETED, restart=True)))
    history.spawned("migrate")
    history.ended("migrate", 0)
    history.spawned("web")
    history.start("migrate")
    assert history.states == {"migrate": "starting", "web": "stopping"}
