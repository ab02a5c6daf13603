"""Several files as one stack."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from devctl.plan import Condition, EnvFile, ExecProbe, HttpProbe, TcpProbe

if TYPE_CHECKING:
    from devctl.plan import Plan, ServiceSpec
    from tests.manifest.conftest import Workspace

BASE = "services:\n  db: {command: sleep 1}\n  web:\n    command: sleep 1\n"


def merged(workspace: Workspace, base: str, over: str) -> Plan:
    workspace.write("a.yaml", base)
    workspace.write("b.yaml", over)
    return workspace.load(files=["a.yaml", "b.yaml"])


def web(workspace: Workspace, base: str, over: str) -> ServiceSpec:
    return merged(
        workspace,
        "services: {db: {command: sleep 1}, web: {command: sleep 1, " + base + "}}",
        "services: {web: {" + over + "}}",
    ).services["web"]


def test_override_file_is_found(workspace: Workspace) -> None:
    """services.override.yaml lies over the manifest by itself."""
    workspace.write("services.override.yaml", "services: {web: {port: 8000}}")
    plan = workspace.load(BASE)
    assert plan.services["web"].ports == {"default": 8000}
    assert [file.rpartition("/")[2] for file in plan.files] == ["services.yaml", "services.override.yaml"]


def test_named_files_skip_the_override(workspace: Workspace) -> None:
    """With -f only what is named counts."""
    workspace.write("services.override.yaml", "nonsense")
    workspace.write("services.yaml", BASE)
    assert len(workspace.load(files=["services.yaml"]).files) == 1


def test_single_values_are_replaced(workspace: Workspace) -> None:
    """The later of two single values counts, commands as lists too."""
    spec = web(workspace, "port: 1, description: a", "port: 2, command: [sleep, '2']")
    assert (spec.ports, spec.description, spec.argv) == ({"default": 2}, "a", ("sleep", "2"))


@pytest.mark.parametrize("over", ["environment: {B: 2, C: 3}", "environment: [B=2, C=3]"])
@pytest.mark.parametrize("base", ["environment: {A: 1, B: 1}", "environment: [A=1, B=1]"])
def test_environments_merge_across_forms(workspace: Workspace, base: str, over: str) -> None:
    """Variables merge by name, whether written as maps or lists."""
    assert web(workspace, base, over).environment == {"A": "1", "B": "2", "C": "3"}


def test_bare_variable_replaces(workspace: Workspace) -> None:
    """A bare KEY in the later file passes the caller's value through."""
    assert web(workspace, "environment: {HOME: x}", "environment: [HOME]").environment == {"HOME": str(workspace.directory)}


@pytest.mark.parametrize("over", ["depends_on: [db]", "depends_on: {db: {restart: true}}"])
def test_dependencies_merge_by_name(workspace: Workspace, over: str) -> None:
    """A dependency of both files is one edge, with what either says."""
    [edge] = web(workspace, "depends_on: {db: {condition: service_started}}", over).depends_on
    assert edge.condition is Condition.STARTED
    assert edge.restart is ("restart" in over)


def test_lists_are_appended(workspace: Workspace) -> None:
    """Env files, profiles and exit codes grow."""
    workspace.write("a.env", "A=1")
    spec = web(
        workspace, "env_file: a.env, success_exit_codes: [0]", "env_file: [{path: b.env, required: false}], success_exit_codes: [3]"
    )
    assert spec.env_files == (
        EnvFile(str(workspace.directory / "a.env")),
        EnvFile(str(workspace.directory / "b.env"), required=False),
    )
    assert spec.success_exit_codes == (0, 3)


def test_new_probe_ousts_the_old(workspace: Workspace) -> None:
    """A healthcheck keeps its times and has the later probe only."""
    check = web(workspace, "healthcheck: {http: 'http://a', interval: 9s}", "healthcheck: {exec: [sleep, '0']}").healthcheck
    assert check is not None
    assert check.probe == ExecProbe(("sleep", "0"))
    assert check.interval == 9


def test_http_probes_merge(workspace: Workspace) -> None:
    """Two http maps merge by key."""
    check = web(
        workspace, "healthcheck: {http: {url: 'http://a', headers: {X: y}}}", "healthcheck: {http: {status: 204, headers: {Z: q}}}"
    ).healthcheck
    assert check is not None
    assert check.probe == HttpProbe("http://a", headers=(("X", "y"), ("Z", "q")), status=((204, 204),))


def test_reset(workspace: Workspace) -> None:
    """!reset takes a value away."""
    spec = web(workspace, "port: 1, environment: {A: 1, B: 2}", "port: !reset null, environment: {A: !reset null}")
    assert (spec.ports, spec.environment) == ({}, {"B": "2"})


def test_override_tag(workspace: Workspace) -> None:
    """!override replaces a map whole."""
    assert web(workspace, "environment: {A: 1, B: 2}", "environment: !override {C: 3}").environment == {"C": "3"}


def test_services_are_added(workspace: Workspace) -> None:
    """A later file may bring services and stack-wide values."""
    plan = merged(workspace, "name: one\n" + BASE, "name: two\nlogging: {max_files: 2}\nservices: {new: {command: sleep 1}}")
    assert (plan.name, plan.logging.max_files, set(plan.services)) == ("two", 2, {"db", "web", "new"})


def test_empty_keys_change_nothing(workspace: Workspace) -> None:
    """A service or map without content in a later file leaves the earlier one as it is."""
    plan = merged(workspace, BASE + "    environment: {A: 1}\n", "services:\n  db:\n  web:\n    environment:\n")
    assert plan.services["web"].environment == {"A": "1"}


def test_problem_is_in_the_file_it_came_from(workspace: Workspace) -> None:
    """A wrong value of the second file is located there."""
    workspace.write("a.yaml", BASE)
    workspace.write("b.yaml", "\nservices: {web: {port: x}}")
    [problem] = workspace.problems(files=["a.yaml", "b.yaml"])
    assert (problem.file, problem.line, problem.column) == ("b.yaml", 2, 24)


def test_default_probe_after_merge(workspace: Workspace) -> None:
    """A port from the later file brings the default check."""
    check = web(workspace, "description: x", "port: 80").healthcheck
    assert check is not None
    assert isinstance(check.probe, TcpProbe)


def test_paths_start_at_the_first_file(workspace: Workspace) -> None:
    """Relative paths of every file start in the first one's directory."""
    workspace.write("a.yaml", BASE)
    workspace.write("sub/b.yaml", "services: {web: {working_dir: bin}}")
    plan = workspace.load(files=["a.yaml", "sub/b.yaml"])
    assert plan.services["web"].working_dir == str(workspace.directory / "bin")
