"""What goes wrong on the way up, and what it does to those who wait."""

from __future__ import annotations

from devctl.lifecycle import ExitStatus
from devctl.plan import Dependency, RestartMode, RestartPolicy
from tests.lifecycle.history import ALWAYS, COMPLETED, ON_FAILURE, history_of, spec


def test_the_start_period_ends() -> None:
    """A service that is not ready in time has failed, and its tree is stopped."""
    history = history_of(spec("web", check=True))
    history.spawned("web")
    assert history.wake() == 30
    assert (history.state("web"), history.why("web")) == ("failed", "was not ready after 30 s")
    assert history.actions() == [("spawn", "web"), ("probe", "web"), ("unprobe", "web"), ("stop", "web")]


def test_the_start_period_begins_with_the_process() -> None:
    """Time before the spawn does not count."""
    history = history_of(spec("web", check=True))
    history.pass_time(100)
    history.spawned("web")
    history.pass_time(29)
    assert history.state("web") == "starting"


def test_the_start_period_is_over_once_ready() -> None:
    """What became ready in time is left alone."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.pass_time(1000)
    assert history.state("web") == "ready"


def test_failing_checks_do_not_end_a_start() -> None:
    """Until the start period ends, a check may fail as often as it likes."""
    history = history_of(spec("web", check=True))
    history.spawned("web")
    history.unhealthy("web", times=50)
    history.healthy("web")
    assert (history.state("web"), history["web"].failures) == ("ready", 0)


def test_the_policy_applies_to_a_late_start() -> None:
    """Not ready in time is a failure like another."""
    history = history_of(spec("web", check=True, restart=ON_FAILURE))
    history.spawned("web")
    history.wake()
    history.ended("web", signal=15)
    assert (history.state("web"), history.why("web")) == ("backoff", "was not ready after 30 s")
    history.wake()
    assert history.actions()[-1] == ("spawn", "web")


def test_exit_before_ready() -> None:
    """Even a clean exit is a failure when the service was to become ready."""
    history = history_of(spec("web", check=True))
    history.spawned("web")
    history.exited("web", 0)
    assert (history.state("web"), history.why("web")) == ("failed", "exited with status 0 before it was ready")


def test_a_failed_spawn_is_final() -> None:
    """What is missing stays missing: no policy tries again."""
    history = history_of(spec("web", restart=ALWAYS))
    history.spawn_failed("web", "the program uv is not on PATH")
    assert (history.state("web"), history.why("web")) == ("failed", "the program uv is not on PATH")


def test_a_passing_spawn_error_is_tried_again() -> None:
    """A busy port may be free in a moment, so the policy applies."""
    history = history_of(spec("web", restart=ALWAYS))
    history.spawn_failed("web", "port 80 is busy", retry=True)
    assert (history.state("web"), history.why("web")) == ("backoff", "port 80 is busy")
    history.wake()
    assert history.state("web") == "starting"


def test_a_passing_spawn_error_without_a_policy() -> None:
    """`restart: no` means no."""
    history = history_of(spec("web"))
    history.spawn_failed("web", "port 80 is busy", retry=True)
    assert history.state("web") == "failed"


def test_spawn_errors_count_against_the_limit() -> None:
    """on-failure:1 tries a passing error once more."""
    history = history_of(spec("web", restart=RestartPolicy(RestartMode.ON_FAILURE, max_attempts=1)))
    history.spawn_failed("web", "port 80 is busy", retry=True)
    history.wake()
    history.spawn_failed("web", "port 80 is busy", retry=True)
    assert history.why("web") == "port 80 is busy; gave up after 1 restart"


def test_dependents_fail_at_once() -> None:
    """Nothing waits for what can no longer happen; the reason names the cause."""
    history = history_of(spec("router", check=True), spec("backend", "router"), spec("frontend", "backend"))
    history.spawned("router")
    history.exited("router", 1)
    assert history.states == {"router": "failed", "backend": "failed", "frontend": "failed"}


def test_the_reason_is_the_whole_chain() -> None:
    """Down the chain, each reason holds the one below."""
    history = history_of(spec("router"), spec("backend", "router"), spec("frontend", "backend"))
    history.spawn_failed("router", "the program x is not on PATH")
    assert history.why("backend") == "needs router, which failed: the program x is not on PATH"
    assert history.why("frontend") == "needs backend, which needs router, which failed: the program x is not on PATH"
    reason = history["frontend"].reason
    assert reason is not None
    assert (reason.kind, reason.cause) == ("dependency", "backend")


def test_a_dependent_that_runs_keeps_running() -> None:
    """A failure below does not take down what is up."""
    history = history_of(spec("router"), spec("web", "router"))
    history.up("router", "web")
    history.ended("router", 1)
    assert history.states == {"router": "failed", "web": "ready"}


def test_a_restarting_dependency_is_no_failure() -> None:
    """While the policy tries again, dependents wait."""
    history = history_of(spec("router", check=True, restart=ON_FAILURE), spec("web", "router"))
    history.spawned("router")
    history.ended("router", 1)
    assert history.states == {"router": "backoff", "web": "waiting"}


def test_giving_up_reaches_the_dependents() -> None:
    """When the last attempt failed, they fail in the same step."""
    policy = RestartPolicy(RestartMode.ON_FAILURE, max_attempts=1)
    history = history_of(spec("router", check=True, restart=policy), spec("web", "router"))
    history.spawned("router")
    history.ended("router", 1)
    history.wake()
    history.spawned("router")
    history.exited("router", 1)
    assert history.states == {"router": "failed", "web": "failed"}


def test_a_blocked_service_mends_itself() -> None:
    """When the dependency is started again, those that failed for it wait again, and start."""
    history = history_of(spec("router"), spec("backend", "router"), spec("frontend", "backend"))
    history.spawn_failed("router")
    history.start("router")
    assert history.states == {"router": "starting", "backend": "waiting", "frontend": "waiting"}
    history.spawned("router")
    history.spawned("backend")
    assert history.state("frontend") == "starting"


def test_a_stopped_dependency_blocks() -> None:
    """Stopping what others wait for fails them, and starting it mends them."""
    history = history_of(spec("router", check=True), spec("web", "router"))
    history.stop("router")
    history.gone("router")
    assert (history.state("web"), history.why("web")) == ("failed", "needs router, which is stopped")
    history.start("router")
    assert history.state("web") == "waiting"


def test_one_that_failed_by_itself_is_not_mended() -> None:
    """Only those that failed for a dependency come back by themselves."""
    history = history_of(spec("router"), spec("web", "router"))
    history.up("router", "web")
    history.ended("web", 1)
    history.restart("router")
    history.ended("router", signal=15)
    history.spawned("router")
    assert history.states == {"router": "ready", "web": "failed"}


def test_a_failed_one_shot_blocks() -> None:
    """A migration that failed can not complete any more."""
    history = history_of(spec("migrate", oneshot=True), spec("web", Dependency("migrate", COMPLETED)))
    history.spawned("migrate")
    history.exited("migrate", 2)
    assert history.why("web") == "needs migrate, which failed: exited with status 2"


def test_a_tree_that_vanished() -> None:
    """Should nobody be able to tell how it ended, it has failed all the same."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.gone("web")
    assert (history.state("web"), history["web"].live) == ("failed", False)
    assert history.actions()[-1] == ("unprobe", "web")


def test_exits_in_words() -> None:
    """Statuses, signals with and without a name, and nothing at all."""
    endings = [ExitStatus(3), ExitStatus(signal=15), ExitStatus(signal=999), ExitStatus()]
    assert [str(ending) for ending in endings] == [
        "exited with status 3",
        "was killed by SIGTERM",
        "was killed by signal 999",
        "ended, nobody could tell how",
    ]
