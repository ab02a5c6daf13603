"""Who may start when: dependencies and their conditions."""

from __future__ import annotations

from devctl.plan import Dependency
from tests.lifecycle.history import ALWAYS, COMPLETED, STARTED, History, history_of, spec


def test_one_without_dependencies_starts_at_once() -> None:
    """Nothing to wait for: it is spawned in the same step."""
    assert history_of(spec("web")).actions() == [("spawn", "web")]


def test_a_dependent_waits_for_ready() -> None:
    """The list form gates on the health check, not on the start."""
    history = history_of(spec("router", check=True), spec("web", "router"))
    history.spawned("router")
    assert history.state("web") == "waiting"
    history.healthy("router")
    assert history.actions() == [("spawn", "router"), ("probe", "router"), ("spawn", "web")]


def test_without_a_check_started_is_ready() -> None:
    """A service that has neither check nor port is ready once it runs."""
    history = history_of(spec("router"), spec("web", "router"))
    history.spawned("router")
    assert history.states == {"router": "ready", "web": "starting"}


def test_started_does_not_wait_for_health() -> None:
    """service_started holds as soon as the leader runs."""
    history = history_of(spec("router", check=True), spec("web", Dependency("router", STARTED)))
    assert history.state("web") == "waiting"
    history.spawned("router")
    assert history.states == {"router": "starting", "web": "starting"}


def test_completed_waits_for_the_exit() -> None:
    """service_completed_successfully holds once the one-shot exited with success."""
    history = history_of(spec("migrate", oneshot=True), spec("web", Dependency("migrate", COMPLETED)))
    history.spawned("migrate")
    assert history.states == {"migrate": "starting", "web": "waiting"}
    history.exited("migrate", 0)
    assert history.states == {"migrate": "completed", "web": "starting"}


def test_a_one_shot_is_ready_when_completed() -> None:
    """For a one-shot, the plain form means completed too."""
    history = history_of(spec("migrate", oneshot=True), spec("web", "migrate"))
    history.spawned("migrate")
    assert history.state("web") == "waiting"
    history.exited("migrate", 0)
    assert history.state("web") == "starting"


def test_a_running_one_shot_has_started() -> None:
    """service_started does not wait for a one-shot's end."""
    history = history_of(spec("migrate", oneshot=True), spec("web", Dependency("migrate", STARTED)))
    history.spawned("migrate")
    assert history.state("web") == "starting"


def test_success_may_be_another_exit_status() -> None:
    """success_exit_codes says what counts as completed."""
    history = history_of(spec("migrate", oneshot=True, success_exit_codes=(0, 3)), spec("web", "migrate"))
    history.spawned("migrate")
    history.exited("migrate", 3)
    assert history.states == {"migrate": "completed", "web": "starting"}


def test_zero_is_no_success_when_it_is_not_listed() -> None:
    """success_exit_codes replaces the default, it does not add to it."""
    history = history_of(spec("migrate", oneshot=True, success_exit_codes=(3,)))
    history.spawned("migrate")
    history.exited("migrate", 0)
    assert history.state("migrate") == "failed"


def test_all_dependencies_must_hold() -> None:
    """One of two is not enough."""
    history = history_of(spec("a", check=True), spec("b", check=True), spec("web", "a", "b"))
    history.up("a")
    assert history.state("web") == "waiting"
    history.up("b")
    assert history.state("web") == "starting"


def test_a_chain_starts_link_by_link() -> None:
    """Each link waits for the one before it."""
    history = history_of(spec("a"), spec("b", "a"), spec("c", "b"))
    history.spawned("a")
    assert history.state("c") == "waiting"
    history.spawned("b")
    assert history.actions() == [("spawn", "a"), ("spawn", "b"), ("spawn", "c")]


def test_independent_services_start_together() -> None:
    """Order is only where it is asked for."""
    assert history_of(spec("a"), spec("b"), spec("c")).actions() == [("spawn", "a"), ("spawn", "b"), ("spawn", "c")]


def test_an_unhealthy_dependency_holds_back() -> None:
    """A dependency that was ready and is not any more gates nobody open."""
    history = History(spec("router", check=True), spec("web", "router"))
    history.start("router")
    history.up("router")
    history.unhealthy("router", times=2)
    history.start("web")
    assert history.states == {"router": "unhealthy", "web": "waiting"}
    history.healthy("router")
    assert history.state("web") == "starting"


def test_a_dependency_outside_the_stack_can_never_hold() -> None:
    """A required dependency that does not exist fails its dependent, with words."""
    history = history_of(spec("web", "router"))
    assert (history.state("web"), history.why("web")) == ("failed", "needs router, which is not part of the stack")


def test_an_optional_dependency_may_be_absent() -> None:
    """required: false tolerates that it does not exist."""
    history = history_of(spec("web", Dependency("router", required=False)))
    assert history.state("web") == "starting"


def test_an_optional_dependency_is_waited_for_while_it_can_come() -> None:
    """required: false gates like any other as long as the dependency is on its way."""
    history = history_of(spec("router", check=True), spec("web", Dependency("router", required=False)))
    history.spawned("router")
    assert history.state("web") == "waiting"
    history.healthy("router")
    assert history.state("web") == "starting"


def test_an_optional_dependency_may_fail() -> None:
    """Once it can not come any more, the dependent starts without it."""
    history = history_of(spec("router"), spec("web", Dependency("router", required=False)))
    history.spawn_failed("router")
    assert history.states == {"router": "failed", "web": "starting"}


def test_an_optional_dependency_may_be_stopped() -> None:
    """One that nobody started does not hold anybody back."""
    history = History(spec("router"), spec("web", Dependency("router", required=False)))
    history.start("web")
    assert history.states == {"router": "stopped", "web": "starting"}


def test_one_that_ended_will_not_become_ready() -> None:
    """A service that is no one-shot and ended, though well, can not be what others need."""
    history = history_of(spec("router", check=True), spec("web", "router"))
    history.up("router")
    history.stop("web")
    history.gone("web")
    history.ended("router", 0)
    history.start("web")
    assert history.why("web") == "needs router, which has ended, so it will not become ready"


def test_a_long_running_service_may_still_complete() -> None:
    """service_completed_successfully on one that runs on waits, also through its restarts."""
    history = history_of(spec("job", restart=ALWAYS), spec("web", Dependency("job", COMPLETED)))
    history.spawned("job")
    history.ended("job", 0)
    assert history.states == {"job": "backoff", "web": "waiting"}
