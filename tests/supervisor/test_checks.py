"""The history of health checks."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from devctl.health import ProbeResult
from devctl.plan import HealthCheck, TcpProbe
from devctl.supervisor.checks import KEPT, Checks

CHECK = HealthCheck(TcpProbe("127.0.0.1:1"))


def test_answers_that_differ_in_time_only_are_one() -> None:
    """A thousand good answers are one entry with a count, the last one's words and the slowest one's time."""
    checks = Checks()
    for number, took in enumerate((0.003, 0.0112, 0.002)):
        checks.add("web", ProbeResult(True, f"200 in {took * 1000:.3g} ms", took), f"2026-11-20T23:50:0{number}.000Z")
    [run] = checks.history("web", CHECK).history
    assert (run.count, run.detail, run.seconds, run.slowest) == (3, "200 in 2 ms", 0.002, 0.0112)
    assert (run.time, run.until) == ("2026-11-20T23:50:00.000Z", "2026-11-20T23:50:02.000Z")


def test_another_answer_is_another_entry() -> None:
    """What changed, and when, can be read off."""
    checks = Checks()
    for ok, detail in ((False, "connection refused"), (True, "200 in 3 ms"), (False, "503 in 3 ms"), (False, "500 in 3 ms")):
        checks.add("web", ProbeResult(ok, detail, 0.003), "2026-11-20T23:50:01.000Z")
    assert [run.detail for run in checks.history("web", CHECK).history] == [
        "connection refused", "200 in 3 ms", "503 in 3 ms", "500 in 3 ms",
    ]  # fmt: skip


def test_services_do_not_mix() -> None:
    """Each service has its own history, and one that was never checked an empty one."""
    checks = Checks()
    checks.add("web", ProbeResult(True, "exit 0", 0.1), "2026-11-20T23:50:01.000Z")
    assert checks.history("db", None).json() == {"check": None, "history": []}
    assert checks.history("web", CHECK).json()["check"]["interval"] == CHECK.interval


@given(st.lists(st.tuples(st.booleans(), st.sampled_from(["a", "b in 3 ms", "b in 4 s"])), max_size=600))
def test_nothing_is_lost_but_the_oldest(answers: list[tuple[bool, str]]) -> None:
    """Neighbours always differ, the counts add up, and there are never more than `KEPT` entries."""
    checks = Checks()
    for ok, detail in answers:
        checks.add("web", ProbeResult(ok, detail, 0.0), "2026-11-20T23:50:01.000Z")
    runs = checks.history("web", CHECK).history
    assert len(runs) <= KEPT
    total = sum(run.count for run in runs)
    assert total == len(answers) or (len(runs) == KEPT and total < len(answers))
    assert all((one.ok, one.detail[0]) != (other.ok, other.detail[0]) for one, other in pairwise(runs))
