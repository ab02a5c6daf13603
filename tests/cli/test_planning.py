"""The plan of a start."""

from __future__ import annotations

from devctl.cli.planning import patience, plan_json, waves
from devctl.plan import Dependency, HealthCheck, LogSettings, Plan, ServiceSpec, TcpProbe


def plan(**needs: list[str]) -> Plan:
    """A plan of services, each with what it depends on and a start period of 50 s."""
    check = HealthCheck(TcpProbe("127.0.0.1:1"), start_period=50)
    services = {
        name: ServiceSpec(name, ("true",), "true", "/", depends_on=tuple(map(Dependency, others)), healthcheck=check)
        for name, others in needs.items()
    }
    return Plan("demo", "/", ("/services.yaml",), services, LogSettings("/logs"))


def test_waves_follow_dependencies() -> None:
    """Each service is in the step after the last one it waits for."""
    assert waves(plan(a=[], b=["a"], c=["a"], d=["b", "c"])) == [["a"], ["b", "c"], ["d"]]


def test_patience_adds_up_along_the_longest_chain() -> None:
    """A chain of three gets three start periods, services side by side only one, and nobody less than a minute."""
    assert patience(plan(a=[], b=["a"], c=["b"])) == 150
    assert patience(plan(a=[], b=[], c=[])) == 60


def test_dry_run_is_json() -> None:
    """The plan for programs has the waves and the arguments."""
    data = plan_json(plan(a=[], b=["a"]))
    assert data["waves"] == [["a"], ["b"]]
    assert data["services"][1]["depends_on"] == ["a"]
