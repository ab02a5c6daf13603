"""Identity, not names: what is reported late about an old instance touches nothing."""

from __future__ import annotations

import pytest

from devctl import lifecycle as lc
from devctl.lifecycle import ExitStatus
from tests.lifecycle.history import History, history_of, spec


def restarted() -> History:
    """`web` in its second instance, ready."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.restart("web")
    history.ended("web", signal=15)
    history.up("web")
    history.actions()
    return history


@pytest.mark.parametrize(
    "event",
    [
        lc.Spawned("web", 1),
        lc.SpawnFailed("web", 1, "too late"),
        lc.Exited("web", 1, ExitStatus(1)),
        lc.Gone("web", 1),
        lc.Healthy("web", 1),
        lc.Unhealthy("web", 1, "too late"),
        lc.Adopted("web", 1),
        lc.NotAdopted("web", 1),
        lc.Gone("web", 3),
        lc.Gone("nobody", 1),
    ],
    ids=str,
)
def test_nothing_changes(event: lc.Event) -> None:
    """Events of an instance that was, one that is not yet, and a service that does not exist."""
    history = restarted()
    before = history.stack
    history.take(event)
    assert (history.stack, history.actions()) == (before, [])


@pytest.mark.parametrize("event", [lc.Adopted("web", 2), lc.NotAdopted("web", 2), lc.SpawnFailed("web", 2, "no")], ids=str)
def test_answers_nobody_waits_for(event: lc.Event) -> None:
    """An answer to a look that was never taken leaves a running service alone."""
    history = restarted()
    if isinstance(event, lc.SpawnFailed):
        history.ended("web", 1)
    before = history.stack
    history.take(event)
    assert history.stack == before


def test_health_of_what_has_ended() -> None:
    """A check's last words after the exit do not bring it back."""
    history = restarted()
    history.ended("web", 1)
    history.healthy("web")
    history.unhealthy("web", times=5)
    assert history.state("web") == "failed"


def test_a_second_exit() -> None:
    """A leader ends once."""
    history = restarted()
    history.exited("web", 1)
    history.exited("web", 0)
    assert (history.state("web"), history["web"].exit) == ("failed", ExitStatus(1))


def test_the_step_leaves_its_input_alone() -> None:
    """The old state is still what it was: it can be compared, logged, and stepped again."""
    history = restarted()
    old = history.stack
    history.exited("web", 1)
    again, _ = lc.step(old, lc.Exited("web", 2, ExitStatus(1)), history.now)
    assert old.services["web"].state == "ready"
    assert again == history.stack
