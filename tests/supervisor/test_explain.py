"""Why is it not up: sentences, chains, evidence."""

from __future__ import annotations

from devctl.lifecycle import ExitStatus
from devctl.model import Explanation, Health
from devctl.plan import Dependency
from devctl.supervisor.explain import cause_chain, explain, reason
from tests.lifecycle.history import ALWAYS, COMPLETED, STARTED, History, history_of, spec

REFUSED = Health("http", False, "connection refused on 127.0.0.1:8888", "2026-11-20T23:50:01.123Z", failures=4)
PASSED = Health("http", True, "200 in 3 ms", "2026-11-20T23:50:01.123Z")


def why(history: History, name: str, **health: Health) -> str | None:
    return reason(name, history.stack.services, health, history.now)


def explanation(history: History, name: str, **health: Health) -> Explanation:
    return explain(name, history.stack.services, health, history.now)


def evidence(history: History, name: str, label: str, **health: Health) -> list[str]:
    return [text for kind, text in explanation(history, name, **health).evidence if kind == label]


def test_ready_needs_no_reason() -> None:
    """Nothing to explain about what is well."""
    history = history_of(spec("web"))
    history.up("web")
    assert why(history, "web") is None
    assert explanation(history, "web").sentence == "web is ready"


def test_waiting_names_what_it_waits_for() -> None:
    """Each dependency that does not hold yet, what it is to do, and where it is."""
    history = history_of(
        spec("router", check=True), spec("seed", oneshot=True), spec("db"), spec("done"),
        spec("web", "router", Dependency("seed", COMPLETED), Dependency("db", STARTED), "done"),
    )  # fmt: skip
    history.spawned("router")
    history.spawned("done")
    assert why(history, "web", router=REFUSED) == (
        "waiting for router to be ready (starting: connection refused on 127.0.0.1:8888), "
        "seed to complete (starting), db to start (starting)"
    )


def test_waiting_for_the_old_tree() -> None:
    """Gates open, yet processes of the last instance are still there."""
    history = history_of(spec("web", restart=ALWAYS))
    history.up("web")
    history.exited("web", 1)
    history.start("web")
    assert explanation(history, "web").sentence == "web is waiting for its old processes to end"


def test_starting_says_what_the_check_says() -> None:
    """The last answer of the check, or that there is none yet."""
    history = history_of(spec("web", check=True))
    history.spawned("web")
    assert why(history, "web") == "its health check has not answered yet"
    assert explanation(history, "web", web=REFUSED).sentence == "web is starting: connection refused on 127.0.0.1:8888"


def test_a_one_shot_is_running() -> None:
    """It is not slow to start, it works."""
    history = history_of(spec("migrate", oneshot=True))
    history.spawned("migrate")
    assert why(history, "migrate") == "running"


def test_backoff_says_when() -> None:
    """What happened, and in how many seconds which restart comes."""
    history = history_of(spec("web", restart=ALWAYS))
    history.up("web")
    history.ended("web", 1)
    assert explanation(history, "web").sentence == "web will be restarted: exited with status 1; restart 1 in 0.2 s"


def test_backoff_never_counts_below_zero() -> None:
    """A restart that is overdue because the old tree still ends is in 0 seconds."""
    history = history_of(spec("web", restart=ALWAYS))
    history.up("web")
    history.exited("web", 1)
    history.now += 60
    assert why(history, "web") == "exited with status 1; restart 1 in 0.0 s"


def test_unhealthy_in_one_sentence() -> None:
    """How the check fails."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.unhealthy("web", times=2)
    assert explanation(history, "web").sentence == "web fails its health check: connection refused"


def test_ready_with_failures_says_so() -> None:
    """Still ready, and yet the check has begun to fail."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.unhealthy("web")
    assert why(history, "web", web=REFUSED) == "health check failed 1 time: connection refused on 127.0.0.1:8888"


def test_external_in_one_sentence() -> None:
    """Reused, and not ours."""
    history = history_of(spec("web", check=True, reuse=True))
    history.adopted("web")
    assert explanation(history, "web").sentence == "web is reused, not started by devctl"


def broken_chain() -> History:
    """frontend → backend → router, which failed."""
    history = history_of(spec("router", check=True), spec("backend", "router"), spec("frontend", "backend"))
    history.spawned("router")
    history.ended("router", 1)
    return history


def test_the_chain_ends_at_the_root() -> None:
    """From the one that is asked about to the one that is to be mended."""
    told = explanation(broken_chain(), "frontend", router=REFUSED)
    assert told.chain == ("frontend", "backend", "router")
    assert ("root cause", "router failed: exited with status 1 before it was ready") in told.evidence
    assert ("check", "http: connection refused on 127.0.0.1:8888 (4 failures)") in told.evidence


def test_waiting_has_a_chain_too() -> None:
    """Through those that wait to the one that is not ready."""
    history = history_of(spec("router", check=True), spec("backend", "router"), spec("frontend", "backend"))
    history.spawned("router")
    assert cause_chain("frontend", history.stack.services) == ["frontend", "backend", "router"]


def test_the_chain_of_a_missing_dependency_ends_before_it() -> None:
    """What is not in the stack can not be asked."""
    history = history_of(spec("web", "ghost"))
    told = explanation(history, "web")
    assert (told.chain, told.sentence) == (("web",), "web failed: needs ghost, which is not part of the stack")


def test_evidence_of_each_dependency() -> None:
    """Which hold, which do not yet, which can not."""
    history = history_of(spec("a"), spec("b", check=True), spec("c"), spec("web", "a", "b", "c"))
    history.up("a")
    history.spawned("b")
    assert evidence(history, "web", "needs") == [
        "a to be ready: holds (ready)",
        "b to be ready: not yet (starting)",
        "c to be ready: not yet (starting)",
    ]
    history.spawn_failed("c")
    assert evidence(history, "web", "needs")[2] == "c to be ready: can not hold (failed)"


def test_sigkill_hints_at_memory() -> None:
    """The usual suspect is named."""
    history = history_of(spec("web"))
    history.up("web")
    history.ended("web", signal=9)
    assert "out of memory" in evidence(history, "web", "hint")[0]


def test_a_missing_command_in_a_shell() -> None:
    """127 is what shells say of a program that is not there."""
    history = history_of(spec("web"))
    history.up("web")
    history.ended("web", 127)
    assert "a program in the command is missing" in evidence(history, "web", "hint")[0]
    assert history["web"].exit == ExitStatus(127)


def test_outside_evidence_is_passed_on() -> None:
    """Port holders, what was left behind, and the log, in that order at the end."""
    history = broken_chain()
    told = explain(
        "router", history.stack.services, {}, history.now,
        log_tail=["Traceback", "KeyError"], port_holders=["port 1 is held by pid 2 (x)"], leftovers="1 process: sleep (pid 3)",
    )  # fmt: skip
    assert [label for label, _ in told.evidence][-4:] == ["port", "left behind", "log", "log"]


def test_a_long_chain_is_bounded() -> None:
    """However deep the stack: an answer that a person can read."""
    names = [f"s{n}" for n in range(300)]
    history = history_of(*(spec(name, *names[place - 1 : place]) if place else spec(name) for place, name in enumerate(names)))
    assert len(explanation(history, names[-1]).chain) <= 50
