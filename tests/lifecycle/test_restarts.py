"""What happens after a service ended by itself: policies, backoff, giving up."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl import lifecycle as lc
from devctl.lifecycle import backoff
from devctl.plan import RestartMode, RestartPolicy
from tests.lifecycle.history import ALWAYS, ON_FAILURE, History, history_of, spec

UNLESS_STOPPED = RestartPolicy(RestartMode.UNLESS_STOPPED)


def running(policy: RestartPolicy, **options: object) -> History:
    """A history in which `web` has this policy and is ready."""
    history = history_of(spec("web", restart=policy, **options))
    history.up("web")
    history.actions()
    return history


@pytest.mark.parametrize(
    ("policy", "code", "state"),
    [
        (RestartPolicy(), 0, "completed"),
        (RestartPolicy(), 1, "failed"),
        (ON_FAILURE, 0, "completed"),
        (ON_FAILURE, 1, "backoff"),
        (ALWAYS, 0, "backoff"),
        (ALWAYS, 1, "backoff"),
        (UNLESS_STOPPED, 0, "backoff"),
        (UNLESS_STOPPED, 1, "backoff"),
    ],
)
def test_policies(policy: RestartPolicy, code: int, state: str) -> None:
    """Each policy, after a success and after a failure."""
    history = running(policy)
    history.exited("web", code)
    assert history.state("web") == state


def test_death_by_signal_is_a_failure() -> None:
    """A signal is no exit status, so it is in no list of successes."""
    history = running(ON_FAILURE)
    history.exited("web", signal=9)
    assert (history.state("web"), history.why("web")) == ("backoff", "was killed by SIGKILL")


def test_a_listed_status_is_no_failure() -> None:
    """on-failure follows success_exit_codes."""
    history = running(ON_FAILURE, success_exit_codes=(0, 143))
    history.exited("web", 143)
    assert history.state("web") == "completed"


def test_a_one_shot_that_succeeded_is_done() -> None:
    """Not even `always` runs a completed one-shot again."""
    history = history_of(spec("migrate", oneshot=True, restart=ALWAYS))
    history.spawned("migrate")
    history.ended("migrate", 0)
    assert history.states == {"migrate": "completed"}


def test_a_one_shot_that_failed_is_tried_again() -> None:
    """on-failure is for one-shots too."""
    history = history_of(spec("migrate", oneshot=True, restart=ON_FAILURE))
    history.spawned("migrate")
    history.ended("migrate", 1)
    assert history.state("migrate") == "backoff"


def test_the_old_tree_is_ended_first() -> None:
    """A leader that exits leaves a tree; it is stopped at once, and the restart waits for its end however long that takes."""
    history = running(ALWAYS)
    history.exited("web", 1)
    assert history.actions() == [("stop", "web")]
    history.pass_time(100)
    assert history.actions() == []
    history.gone("web")
    assert history.actions() == [("spawn", "web")]


def test_backoff_runs_while_the_tree_ends() -> None:
    """The wait counts from the exit, and goes on after the tree is gone."""
    history = running(ALWAYS)
    history.exited("web", 1)
    history.now += 0.15
    history.gone("web")
    assert history.wake() == pytest.approx(0.05)
    assert history.actions() == [("stop", "web"), ("spawn", "web")]


def test_a_tick_too_early_changes_nothing() -> None:
    """Time alone does not spawn before it is due."""
    history = running(ALWAYS)
    history.ended("web", 1)
    history.pass_time(0.1)
    assert history.state("web") == "backoff"


def test_waits_double_up_to_the_maximum() -> None:
    """initial times factor each time, and never more than max."""
    history = running(RestartPolicy(RestartMode.ALWAYS, initial=0.5, factor=2, max=3))
    waits = []
    for _ in range(5):
        history.ended("web", 1)
        waits.append(history.wake())
        history.spawned("web")
    assert waits == pytest.approx([0.5, 1, 2, 3, 3])


def test_jitter_spreads_by_a_tenth() -> None:
    """Services that died together come back apart."""
    history = running(RestartPolicy(RestartMode.ALWAYS, initial=10))
    history.jitter = 0.0
    history.ended("web", 1)
    assert history.wake() == pytest.approx(9.0)


@given(st.integers(1, 10**9), st.floats(0, 0.999), st.floats(0.001, 100), st.floats(1, 100), st.floats(0.001, 1000))
def test_delay_is_bounded(attempt: int, jitter: float, initial: float, factor: float, longest: float) -> None:
    """Whatever the policy and however often: a finite delay, a tenth around what it should be."""
    policy = RestartPolicy(RestartMode.ALWAYS, initial=initial, factor=factor, max=longest)
    assert 0.89 * min(initial, longest) <= backoff.delay(policy, attempt, jitter) <= 1.11 * longest


def test_a_long_life_resets_the_backoff() -> None:
    """After reset_after of being ready, the next wait is the first again."""
    history = running(RestartPolicy(RestartMode.ALWAYS, initial=1, reset_after=60))
    history.ended("web", 1)
    history.wake()
    history.spawned("web")
    history.pass_time(60)
    history.ended("web", 1)
    assert history.wake() == pytest.approx(1)


def test_a_short_life_does_not() -> None:
    """One that is ready for a moment and dies again is backed off further."""
    history = running(RestartPolicy(RestartMode.ALWAYS, initial=1, reset_after=60))
    history.ended("web", 1)
    history.wake()
    history.spawned("web")
    history.pass_time(59)
    history.ended("web", 1)
    assert history.wake() == pytest.approx(2)


def test_time_without_being_ready_does_not_count() -> None:
    """reset_after is about being ready; a start that takes long is no long life."""
    history = history_of(spec("web", check=True, restart=RestartPolicy(RestartMode.ALWAYS, initial=1, reset_after=5)))
    history.spawned("web")
    history.pass_time(20)
    history.ended("web", 1)
    history.wake()
    history.spawned("web")
    history.pass_time(20)
    history.ended("web", 1)
    assert history.wake() == pytest.approx(2)


def test_gives_up_after_n() -> None:
    """on-failure:2 is two restarts, and then it says that it gave up."""
    history = running(RestartPolicy(RestartMode.ON_FAILURE, max_attempts=2))
    for _ in range(2):
        history.ended("web", 7)
        history.wake()
        history.spawned("web")
    history.ended("web", 7)
    assert history.state("web") == "failed"
    assert history.why("web") == "exited with status 7; gave up after 2 restarts"
    assert history["web"].restarts == 2


def test_the_limit_is_for_consecutive_failures() -> None:
    """A long life gives all attempts back."""
    history = running(RestartPolicy(RestartMode.ON_FAILURE, max_attempts=1, reset_after=60))
    for _ in range(3):
        history.ended("web", 1)
        history.wake()
        history.spawned("web")
        history.pass_time(60)
    assert history.state("web") == "ready"


def test_restarts_are_counted() -> None:
    """Each start after the first that a failure brought about counts once."""
    history = running(ALWAYS)
    for _ in range(3):
        history.ended("web", 1)
        history.wake()
        history.spawned("web")
    assert history["web"].restarts == 3
    assert history["web"].instance == 4


def test_a_restart_waits_for_its_dependency() -> None:
    """After the backoff, the gates are asked again."""
    history = history_of(spec("router", check=True), spec("web", "router", restart=ALWAYS))
    history.up("router", "web")
    history.unhealthy("router", times=2)
    history.ended("web", 1)
    history.wake()
    assert history.state("web") == "waiting"
    history.healthy("router")
    assert history.state("web") == "starting"
    assert history["web"].restarts == 1


def test_next_wake_is_the_earliest() -> None:
    """Of several waits, the first to end is the one to wake for; without any there is none."""
    history = history_of(spec("a", restart=RestartPolicy(RestartMode.ALWAYS, initial=5)), spec("b", restart=ALWAYS))
    history.up("a", "b")
    assert lc.next_wake(history.stack) is None
    history.ended("a", 1)
    history.ended("b", 1)
    assert history.wake() == pytest.approx(0.2)
    history.spawned("b")
    assert history.wake() == pytest.approx(4.8)
