"""Adopting what runs already, and losing it."""

from __future__ import annotations

from devctl.plan import Dependency
from tests.lifecycle.history import COMPLETED, History, history_of, spec


def external() -> History:
    """A history in which `router` is reused."""
    history = history_of(spec("router", check=True, reuse=True), spec("web", Dependency("router", restart=True)))
    history.adopted("router")
    return history


def test_it_looks_before_it_starts() -> None:
    """With `reuse`, the first action is a look, and nothing is spawned until it is answered."""
    history = history_of(spec("router", check=True, reuse=True))
    assert history.actions() == [("adopt", "router")]
    assert history.state("router") == "starting"


def test_a_healthy_one_is_used() -> None:
    """It counts as ready for those who wait, and is watched."""
    history = external()
    assert history.states == {"router": "external", "web": "starting"}
    assert history.actions() == [("adopt", "router"), ("probe", "router"), ("spawn", "web")]


def test_without_one_our_own_starts() -> None:
    """Nothing there: an ordinary start."""
    history = history_of(spec("router", check=True, reuse=True))
    history.not_adopted("router")
    history.up("router")
    assert history.actions() == [("adopt", "router"), ("spawn", "router"), ("probe", "router")]
    assert (history.state("router"), history["router"].restarts) == ("ready", 0)


def test_without_a_check_there_is_nothing_to_look_with() -> None:
    """`reuse` without a health check is an ordinary start."""
    assert history_of(spec("router", reuse=True)).actions() == [("spawn", "router")]


def test_it_is_never_stopped() -> None:
    """A stop only lets go of it."""
    history = external()
    history.stop("router")
    assert history.state("router") == "stopped"
    assert ("stop", "router") not in history.actions()


def test_a_shutdown_lets_go_of_it() -> None:
    """Even by force, what is not ours is not touched."""
    history = external()
    history.actions()
    history.shutdown(force=True)
    assert history.actions() == [("unprobe", "router"), ("kill", "web")]


def test_when_it_is_lost_we_look_again() -> None:
    """After `retries` failures it is gone, and the search begins anew."""
    history = external()
    history.actions()
    history.unhealthy("router")
    assert history.state("router") == "external"
    history.unhealthy("router")
    assert history.actions() == [("unprobe", "router"), ("adopt", "router")]
    assert history.why("router") == "the reused instance is gone: connection refused"


def test_when_it_is_lost_our_own_starts() -> None:
    """Then it is one of ours, and those who follow its restarts are restarted."""
    history = external()
    history.up("web")
    history.actions()
    history.unhealthy("router", times=2)
    history.not_adopted("router")
    assert history.actions() == [("unprobe", "router"), ("adopt", "router"), ("spawn", "router"), ("stop", "web")]


def test_one_failure_in_between_is_forgiven() -> None:
    """Only failures in a row lose it."""
    history = external()
    history.unhealthy("router")
    history.healthy("router")
    history.unhealthy("router")
    assert history.state("router") == "external"


def test_it_will_not_complete() -> None:
    """Nobody learns the exit status of a process that is not ours."""
    history = history_of(spec("job", check=True, reuse=True), spec("web", Dependency("job", COMPLETED)))
    history.adopted("job")
    assert history.why("web") == "needs job, which is reused, so it will not complete"


def test_a_look_that_comes_too_late() -> None:
    """Stopped while it looks: the answer no longer matters."""
    history = history_of(spec("router", check=True, reuse=True))
    before = history["router"].instance
    history.stop("router")
    for answer in (history.adopted, history.not_adopted):
        answer("router")
    assert history["router"].instance > before
    assert history.states == {"router": "stopped"}
    assert history.actions() == [("adopt", "router")]


def test_a_restart_while_it_looks() -> None:
    """The old look is forgotten, a new one begins."""
    history = history_of(spec("router", check=True, reuse=True))
    history.restart("router")
    assert history.actions() == [("adopt", "router"), ("adopt", "router")]
    assert history["router"].instance == 2


def test_a_restart_of_an_external_one() -> None:
    """It can not be stopped, so a restart is another look."""
    history = external()
    history.actions()
    history.restart("router")
    assert history.actions() == [("unprobe", "router"), ("adopt", "router")]


def test_a_dependency_lost_while_looking() -> None:
    """The look takes a while; if the gate shut meanwhile, our own is not started before it opens again."""
    history = History(spec("db", check=True), spec("router", "db", check=True, reuse=True))
    history.start()
    history.up("db")
    history.stop("db")
    history.not_adopted("router")
    assert history.states == {"db": "stopping", "router": "waiting"}
