"""Stop, start and restart in every state."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.lifecycle.history import ALWAYS, History, history_of, spec


def waiting() -> History:
    history = history_of(spec("router", check=True), spec("web", "router"))
    history.spawned("router")
    return history


def spawning() -> History:
    return history_of(spec("web", check=True))


def starting() -> History:
    history = spawning()
    history.spawned("web")
    return history


def adopting() -> History:
    return history_of(spec("web", check=True, reuse=True))


def external() -> History:
    history = adopting()
    history.adopted("web")
    return history


def ready() -> History:
    history = starting()
    history.healthy("web")
    return history


def unhealthy() -> History:
    history = ready()
    history.unhealthy("web", times=2)
    return history


def backoff() -> History:
    history = history_of(spec("web", restart=ALWAYS))
    history.spawned("web")
    history.ended("web", 1)
    return history


def backoff_with_tree() -> History:
    history = history_of(spec("web", restart=ALWAYS))
    history.spawned("web")
    history.exited("web", 1)
    return history


def stopping() -> History:
    history = ready()
    history.stop("web")
    return history


def stopped() -> History:
    history = stopping()
    history.ended("web", signal=15)
    return history


def completed() -> History:
    history = history_of(spec("web", oneshot=True))
    history.spawned("web")
    history.ended("web", 0)
    return history


def failed() -> History:
    history = spawning()
    history.spawn_failed("web")
    return history


def blocked() -> History:
    history = history_of(spec("router"), spec("web", "router"))
    history.spawn_failed("router")
    return history


EVERY = [
    waiting, spawning, starting, adopting, external, ready, unhealthy, backoff, backoff_with_tree,
    stopping, stopped, completed, failed, blocked,
]  # fmt: skip
UP = [waiting, spawning, starting, adopting, external, ready, unhealthy]
every_state = pytest.mark.parametrize("make", EVERY, ids=lambda make: make.__name__)
Make = Callable[[], History]


def finish_stop(history: History) -> None:
    """Where it is being stopped, it ends."""
    if history.state("web") == "stopping":
        history.ended("web", signal=15)


def until_ready(history: History) -> None:
    """The shell answers well until `web` is where it wants to be."""
    for name in history.stack.services:
        service = history[name]
        if service.state == "starting" and not service.live:
            history.not_adopted(name)
        if history[name].live and not history[name].leader:
            history.spawned(name)
        if history[name].spec.oneshot:
            history.ended(name, 0)
        elif history.state(name) == "starting":
            history.healthy(name)


@every_state
def test_stop(make: Make) -> None:
    """A stop ends in `stopped`, with no process, no check and no timer left."""
    history = make()
    history.stop("web")
    finish_stop(history)
    history.pass_time(1000)
    service = history["web"]
    assert (service.state, service.live, service.wanted, service.reason) == ("stopped", False, False, None)
    actions = history.actions()
    assert actions.count(("probe", "web")) == actions.count(("unprobe", "web"))


@every_state
def test_a_stop_can_be_repeated(make: Make) -> None:
    """The second stop changes nothing and sends nothing."""
    history = make()
    history.stop("web")
    once = history.stack
    history.actions()
    history.stop("web")
    assert (history.stack, history.actions()) == (once, [])


@every_state
def test_stop_then_start(make: Make) -> None:
    """A start after a stop runs it, as soon as the old tree is gone."""
    history = make()
    before = history["web"].instance
    history.stop("web")
    history.start("router", "web")
    finish_stop(history)
    until_ready(history)
    assert history.state("web") in ("ready", "completed")
    assert history["web"].instance > before


@every_state
def test_restart(make: Make) -> None:
    """A restart ends in a new instance that runs, from wherever it is asked."""
    history = make()
    before = history["web"].instance
    history.start("router")
    history.restart("web")
    finish_stop(history)
    until_ready(history)
    assert history.state("web") in ("ready", "completed")
    assert history["web"].instance > before


@every_state
def test_restart_then_stop(make: Make) -> None:
    """The last word counts: no new instance."""
    history = make()
    history.restart("web")
    history.stop("web")
    finish_stop(history)
    history.pass_time(1000)
    assert history.state("web") == "stopped"


@pytest.mark.parametrize("make", UP, ids=lambda make: make.__name__)
def test_start_of_what_is_up(make: Make) -> None:
    """What runs, or is on its way, is left alone."""
    history = make()
    before = history.stack
    history.start("web")
    assert history.stack == before


@pytest.mark.parametrize("make", [backoff, stopped, completed, failed], ids=lambda make: make.__name__)
def test_start_of_what_is_down(make: Make) -> None:
    """It starts at once, without waiting for a backoff, and with all attempts."""
    history = make()
    history.actions()
    history.start("web")
    assert history.actions() == [("spawn", "web")]
    assert history["web"].attempts == 0


def test_start_skips_the_backoff_but_not_the_old_tree() -> None:
    """An old tree that still ends is waited for."""
    history = backoff_with_tree()
    history.actions()
    history.start("web")
    assert (history.state("web"), history.actions()) == ("waiting", [])
    history.gone("web")
    assert history.actions() == [("spawn", "web")]


def test_what_is_needed_runs_already() -> None:
    """A dependency that runs is not restarted for those who need it."""
    history = ready()
    before = history.stack
    history.start("nobody", needed=("web",))
    assert history.stack == before


def test_restart_waits_for_the_old_tree() -> None:
    """The new one is spawned when the last process of the old one is gone, not when its leader is."""
    history = ready()
    history.actions()
    history.restart("web")
    history.exited("web", signal=15)
    assert history.actions() == [("unprobe", "web"), ("stop", "web")]
    history.gone("web")
    assert history.actions() == [("spawn", "web")]
    assert history["web"].restarts == 1


def test_restart_is_counted_when_it_happens() -> None:
    """Asked twice before it could happen, it has been restarted once; asked for a first start, not at all."""
    history = backoff()
    history.restart("web")
    history.restart("web")
    assert history["web"].restarts == 1
    first = History(spec("web"))
    first.restart("web")
    assert (first.state("web"), first["web"].restarts) == ("starting", 0)


def test_an_exit_while_stopping() -> None:
    """An exit that we asked for is no failure, whatever its status and the policy."""
    history = history_of(spec("web", restart=ALWAYS))
    history.up("web")
    history.stop("web")
    history.exited("web", 1)
    assert history.state("web") == "stopping"
    history.gone("web")
    history.pass_time(1000)
    assert history.state("web") == "stopped"


def test_a_spawn_error_while_stopping() -> None:
    """There is nothing to stop any more."""
    history = spawning()
    history.stop("web")
    history.spawn_failed("web")
    assert history.state("web") == "stopped"


def test_spawned_while_stopping() -> None:
    """Stopped before it was there: it is ended, and never probed."""
    history = spawning()
    history.stop("web")
    history.spawned("web")
    assert history.actions() == [("spawn", "web"), ("stop", "web")]


def test_unknown_names() -> None:
    """A request for what does not exist changes nothing."""
    history = ready()
    before = history.stack
    history.stop("nobody")
    history.restart("nobody")
    history.start("nobody", needed=("nobody",))
    assert history.stack == before


def test_needed_leaves_completed_ones_alone() -> None:
    """A migration that has run is not run again for those who need it, unless it is named."""
    history = completed()
    history.start("nobody", needed=("web",))
    assert history.state("web") == "completed"
    history.start("web")
    assert history.state("web") == "starting"


def test_needed_starts_what_has_ended() -> None:
    """A service that is no one-shot and ended well can not be ready for those who need it, so it is started again."""
    history = ready()
    history.ended("web", 0)
    assert history.state("web") == "completed"
    history.start("nobody", needed=("web",))
    assert history.state("web") == "starting"


@pytest.mark.parametrize("make", [stopped, failed, blocked], ids=lambda make: make.__name__)
def test_needed_starts_what_is_down(make: Make) -> None:
    """What failed or was stopped is started for those who need it."""
    history = make()
    history.start("router", needed=("web",))
    until_ready(history)
    assert history.state("web") in ("starting", "ready")


def test_needed_turns_a_stop_around() -> None:
    """What is being stopped comes back when somebody needs it."""
    history = stopping()
    history.start("nobody", needed=("web",))
    finish_stop(history)
    assert history.state("web") == "starting"
