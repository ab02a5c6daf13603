"""From a plan to a file of Docker Compose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from devctl.errors import ManifestError, StackError
from devctl.interop.compose import compose, remarks, render
from devctl.interop.container import LABELS
from devctl.plan import (
    Condition,
    Dependency,
    HealthCheck,
    LogSettings,
    Plan,
    RestartMode,
    RestartPolicy,
    ServiceSpec,
    TcpProbe,
    reference,
)


def service(name: str, *, image: str = "redis:8", labels: dict[str, str] | None = None, **values: Any) -> ServiceSpec:
    """A service that has a container unless `image` is empty. Labels are written without `container.`."""
    written = {"image": image, **(labels or {})}
    given = {f"container.{key}": text for key, text in written.items() if text}
    return ServiceSpec(name=name, argv=("true",), command="true", working_dir="/home/me", labels=given, **values)


def stack(*services: ServiceSpec, name: str = "shop") -> Plan:
    """A plan of these."""
    return Plan(name, "/home/me", ("/home/me/services.yaml",), {spec.name: spec for spec in services}, LogSettings())


def exported(*services: ServiceSpec) -> Any:
    """The services of the file."""
    return compose(stack(*services))["services"]


def problems(*services: ServiceSpec) -> list[str]:
    """What is wrong with the labels."""
    with pytest.raises(ManifestError) as caught:
        compose(stack(*services))
    return [problem.message for problem in caught.value.problems]


def test_only_what_has_an_image_is_exported() -> None:
    """The others are named, with what would mend it."""
    plan = stack(service("db"), service("web", image=""))
    assert list(compose(plan)["services"]) == ["db"]
    (remark,) = remarks(plan)
    assert remark.startswith("left out: web\n")
    assert "container.image" in remark


def test_nothing_to_export_is_a_failure() -> None:
    """Exit status 1, as the manifest is not wrong."""
    with pytest.raises(StackError, match="nothing to export") as caught:
        compose(stack(service("web", image="")))
    assert caught.value.exit_status == 1


def test_nothing_of_the_process_is_exported() -> None:
    """Environment, command and directory are those of this machine, and may hold its secrets."""
    spec = service("db", environment={"API_TOKEN": "hunter2", "HOME": "/home/me"})
    assert exported(spec) == {"db": {"image": "redis:8"}}


def test_ports_are_published_on_this_machine_only() -> None:
    """At the service's fixed port, else at the number they have inside."""
    labels = {"port": "80", "ports": "admin:9000, metrics:9100"}
    spec = service("web", labels=labels, ports={"default": 8080, "admin": None, "metrics": 9101})
    assert exported(spec)["web"]["ports"] == ["127.0.0.1:8080:80", "127.0.0.1:9000:9000", "127.0.0.1:9101:9100"]


def test_references_become_published_numbers() -> None:
    """Those of fixed ports, of ports that only containers have fixed, and of URLs."""
    command = f"--db={reference('services.db.port')} --api={reference('services.api.url')}"
    api = service("api", image="", ports={"default": 81}, url=f"http://127.0.0.1:{reference('services.api.port')}/v1")
    db = service("db", labels={"port": "6379"}, ports={"default": None})
    found = exported(api, db, service("web", labels={"command": command}))
    assert found["web"]["command"] == ["--db=6379", "--api=http://127.0.0.1:81/v1"]


def test_conditions_between_containers_stay() -> None:
    """In Compose's own words; those to what is left out go."""
    edges = (
        Dependency("db", restart=True),
        Dependency("init", Condition.COMPLETED, required=False),
        Dependency("host"),
    )
    found = exported(
        service("db", labels={"health": "ping"}), service("init"), service("host", image=""), service("web", depends_on=edges)
    )
    assert found["web"]["depends_on"] == {
        "db": {"condition": "service_healthy", "restart": True},
        "init": {"condition": "service_completed_successfully", "required": False},
    }


def test_no_container_waits_for_a_check_that_another_lacks() -> None:
    """Compose would refuse the start; the user is told."""
    plan = stack(service("db"), service("web", depends_on=(Dependency("db"),)))
    assert compose(plan)["services"]["web"]["depends_on"] == {"db": {"condition": "service_started"}}
    assert any("container.health" in remark for remark in remarks(plan))


def test_health_has_the_rhythm_of_the_plan() -> None:
    """With the label's command in place of the probe, and times that Compose can read."""
    check = HealthCheck(TcpProbe("127.0.0.1:1"), interval=0.5, timeout=2, retries=7, start_period=86400, start_interval=1.25)
    found = exported(service("db", labels={"health": "redis-cli PING"}, healthcheck=check))["db"]["healthcheck"]
    assert found == {
        "test": ["CMD-SHELL", "redis-cli PING"],
        "interval": "0.5s",
        "timeout": "2s",
        "retries": 7,
        "start_period": "86400s",
        "start_interval": "1.25s",
    }


def test_a_container_without_a_health_label_keeps_its_own() -> None:
    """The plan's probe is not asked from inside."""
    assert "healthcheck" not in exported(service("db", healthcheck=HealthCheck(TcpProbe("127.0.0.1:1"))))["db"]


@pytest.mark.parametrize(
    ("policy", "written"),
    [
        (RestartPolicy(), None),
        (RestartPolicy(RestartMode.ON_FAILURE), "on-failure"),
        (RestartPolicy(RestartMode.ON_FAILURE, max_attempts=3), "on-failure:3"),
        (RestartPolicy(RestartMode.UNLESS_STOPPED), "unless-stopped"),
    ],
)
def test_restart_policies(policy: RestartPolicy, written: str | None) -> None:
    """The same words."""
    assert exported(service("db", restart=policy))["db"].get("restart") == written


def test_stopping_is_as_in_the_plan() -> None:
    """Where it is not the default, which both have in common."""
    found = exported(service("db", stop_signal="SIGINT", stop_grace_period=90))["db"]
    assert (found["stop_signal"], found["stop_grace_period"]) == ("SIGINT", "90s")


def test_named_volumes_are_declared() -> None:
    """Once each, paths not."""
    plan = stack(service("a", labels={"volumes": "data:/data, ./conf:/etc/a:ro"}), service("b", labels={"volumes": "data:/data"}))
    content = compose(plan)
    assert content["volumes"] == {"data": {}}
    assert content["services"]["a"]["volumes"] == ["data:/data", "./conf:/etc/a:ro"]


def test_environment_of_the_container() -> None:
    """Pairs, quoted where a value has a comma; a name alone comes from whoever starts it."""
    labels = {"environment": 'MODE=fast, "HOSTS=a,b", REGION'}
    assert exported(service("db", labels=labels))["db"]["environment"] == {"MODE": "fast", "HOSTS": "a,b", "REGION": None}


def test_secrets_are_not_written() -> None:
    """A value that is secret by name or shape is left to the environment, and the user is told its name only."""
    plan = stack(service("db", labels={"environment": "DB_PASSWORD=hunter2, DB=pg://me:hunter2@h/db"}))
    assert compose(plan)["services"]["db"]["environment"] == {"DB_PASSWORD": None, "DB": None}
    said = "\n".join([*remarks(plan), render(plan, "devctl")])
    assert "DB_PASSWORD" in said
    assert "hunter2" not in said


@pytest.mark.parametrize("key", ["command", "health"])
def test_secrets_in_commands_are_refused(key: str) -> None:
    """They cannot be left out; a variable of the container can stand there."""
    (problem,) = problems(service("db", labels={key: "serve --password hunter2"}))
    assert "secret" in problem
    assert "hunter2" not in problem
    assert exported(service("db", labels={key: 'serve --password "$PASSWORD"'}))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"comand": "x"}, "`container.comand`: there is no such label"),
        ({"port": "http"}, "`http` is no port"),
        ({"port": "65536"}, "`65536` is no port"),
        ({"ports": "9000"}, "`9000` is not NAME:PORT"),
        ({"ports": "admin:9000"}, "the service has no port `admin`"),
        ({"volumes": "/data"}, "`/data` is no volume"),
        ({"volumes": "a/b:/data"}, "`a/b:/data` is no volume"),
        ({"environment": "1=2"}, "`1` is no variable"),
        ({"network": "mine"}, "there is no network `mine`"),
        ({"network": "host", "port": "80"}, "a container with network host publishes no ports"),
        ({"command": "sh -c 'x"}, "a quotation mark is not closed"),
        ({"command": reference("services.db.port")}, "nobody knows the port of `db` before it starts"),
    ],
)
def test_labels_that_cannot_be_used(labels: dict[str, str], message: str) -> None:
    """Each is a problem of the manifest that names service and label."""
    (problem,) = problems(service("db", labels=labels, ports={"default": None}))
    assert problem.startswith("service `db`, label `container.")
    assert message in problem


def test_all_problems_are_told_at_once() -> None:
    """Of all services, two that want one port among them."""
    found = problems(service("a", labels={"port": "80", "network": "x"}), service("b", labels={"port": "80", "volumes": "x"}))
    assert len(found) == 3
    assert any("port 80 of 127.0.0.1 is published for `a` already" in problem for problem in found)


def test_the_command_that_made_it_is_the_first_line() -> None:
    """As a comment, on one line."""
    assert render(stack(service("db")), "devctl\nexport").startswith("# Made by `devctl export`")


def test_every_label_is_in_the_reference() -> None:
    """docs/manifest.md lists each."""
    text = (Path(__file__).parents[2] / "docs" / "manifest.md").read_text()
    assert [label for label in LABELS if f"| `container.{label}` |" not in text] == []


def test_the_name_is_one_that_compose_allows() -> None:
    """Small letters, digits, `_` and `-`, the first a letter or digit."""
    assert compose(stack(service("db"), name="My.Shop"))["name"] == "my-shop"
    assert compose(stack(service("db"), name="_"))["name"] == "stack"


@pytest.mark.parametrize("text", ["1e3", "0o17", "1_0", "0x1f", "yes", "null", "6379:22", "1.5", "~", "2001-01-01"])
def test_texts_stay_texts(text: str) -> None:
    """What any YAML reader might take for something else is quoted."""
    written = render(stack(service("db", labels={"environment": f"A={text}"})), "devctl")
    assert f"A: '{text}'\n" in written


@settings(max_examples=50)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])).map(lambda text: f"x{text}".strip()))
def test_what_is_written_is_what_a_container_gets(text: str) -> None:
    """Anything survives YAML and the variables of Compose."""
    (written,) = yaml.safe_load(render(stack(service("db", image=text)), "devctl"))["services"].values()
    assert "$" not in written["image"].replace("$$", "")
    assert written["image"].replace("$$", "$") == text
