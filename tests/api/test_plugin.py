"""The pytest plugin, in pytest runs of its own."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tests.api.project import write

pytest_plugins = ["pytester"]

MANIFEST = """
services:
  web:
    command: {python} -u -m http.server ${{services.web.port}} --bind 127.0.0.1
    port: 8917
    healthcheck: {{http: "http://127.0.0.1:${{services.web.port}}/"}}
"""
BROKEN = """
services:
  broken:
    command: [{python}, -c, "import sys; print('no database here', flush=True); sys.exit(3)"]
    port: 8918
"""


@pytest.fixture
def run(pytester: pytest.Pytester, runtime: Path) -> Run:
    """Runs pytest on a test module in a project; `runtime` keeps its stacks apart."""
    return Run(pytester)


class Run:
    def __init__(self, pytester: pytest.Pytester) -> None:
        self._pytester = pytester
        self.path = pytester.path

    def __call__(self, module: str, *options: str, autoload: bool = False) -> pytest.RunResult:
        """Other plugins stay out without `autoload`: importing them is most of what these short runs take."""
        self._pytester.makepyfile(test_it=module)
        # The package's entry point loads the plugin by itself, where devctl is installed with it.
        autoload = autoload and any(entry.name == "devctl" for entry in entry_points(group="pytest11"))
        plugin = () if autoload else ("-p", "devctl.testing.plugin")
        with pytest.MonkeyPatch.context() as patch:
            if not autoload:
                patch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
            return self._pytester.runpytest_subprocess(*plugin, "-p", "no:cacheprovider", *options)


def test_stack_is_given_and_shared(run: Run, runtime: Path) -> None:
    """Tests get the nearest manifest's stack on free ports, one for all of them, and nothing is left afterwards."""
    write(run.path, MANIFEST)
    result = run(
        """
        import urllib.request
        seen = []
        def test_one(devctl_stack):
            assert devctl_stack["web"].port != 8917
            urllib.request.urlopen(devctl_stack["web"].url).close()
            seen.append(devctl_stack["web"].status.pid)
        def test_two(devctl_stack):
            assert seen == [devctl_stack["web"].status.pid]
        """,
        autoload=True,
    )
    result.assert_outcomes(passed=2)
    assert [path for path in runtime.rglob("*") if path.is_socket()] == []


def test_failing_test_shows_the_logs(run: Run) -> None:
    """What services wrote during a failing test is in its report, and what they wrote before is not."""
    write(run.path, MANIFEST)
    result = run(
        """
        import urllib.request
        def get(stack, path):
            try:
                urllib.request.urlopen(stack["web"].url + path)
            except OSError:
                pass
        def test_before(devctl_stack):
            get(devctl_stack, "/asked-before")
        def test_it(devctl_stack):
            get(devctl_stack, "/asked-now")
            assert False
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*devctl: web*", "*/asked-now*"])
    result.stdout.no_fnmatch_line("*GET /asked-before*")


def test_passing_test_shows_nothing(run: Run) -> None:
    """A passing test has no log sections."""
    write(run.path, MANIFEST)
    result = run("def test_it(devctl_stack): pass")
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*devctl: web*")


def test_stack_that_cannot_start_says_why(run: Run) -> None:
    """A stack that does not become ready is an error of the test, with the reason and the service's last words."""
    write(run.path, BROKEN)
    result = run("def test_it(devctl_stack): pass")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*NotReady*broken*", "*no database here*"])


def test_marker_chooses_the_stack(run: Run) -> None:
    """The marker names another manifest, and `fresh` gives a test a stack of its own."""
    other = run.path / "other"
    other.mkdir()
    write(other, MANIFEST)
    result = run(
        """
        import pytest
        pids = set()
        @pytest.mark.devctl_stack(manifest="other/services.yaml", fresh=True)
        @pytest.mark.parametrize("n", [1, 2])
        def test_fresh(devctl_stack, n):
            pids.add(devctl_stack["web"].status.pid)
            assert len(pids) == n
        """,
        "--strict-markers",
    )
    result.assert_outcomes(passed=2)


def test_marker_with_a_mistake(run: Run) -> None:
    """A marker option that does not exist is refused with those that do."""
    write(run.path, MANIFEST)
    result = run(
        """
        import pytest
        @pytest.mark.devctl_stack(manifst="x")
        def test_it(devctl_stack): pass
        """
    )
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*devctl_stack takes keywords only: manifest, *"])


def test_ini_option_names_the_manifest(run: Run) -> None:
    """The ini option is relative to rootdir."""
    other = run.path / "deploy"
    other.mkdir()
    write(other, MANIFEST)
    (run.path / "pytest.ini").write_text("[pytest]\ndevctl_manifest = deploy/services.yaml\n")
    result = run("def test_it(devctl_stack): assert list(devctl_stack) == ['web']")
    result.assert_outcomes(passed=1)


def test_stopped_service_is_started_for_the_next_test(run: Run) -> None:
    """A test that stops a service of a shared stack does not break the next one."""
    write(run.path, MANIFEST)
    result = run(
        """
        def test_one(devctl_stack):
            devctl_stack["web"].stop()
        def test_two(devctl_stack):
            assert devctl_stack["web"].ready
        """
    )
    result.assert_outcomes(passed=2)


def test_ended_stack_is_started_for_the_next_test(run: Run) -> None:
    """A test that ends the whole shared stack does not break the next one."""
    write(run.path, MANIFEST)
    result = run(
        """
        def test_one(devctl_stack):
            devctl_stack.client.post("/v1/shutdown")
        def test_two(devctl_stack):
            assert devctl_stack["web"].ready
        """
    )
    result.assert_outcomes(passed=2)


def test_plugin_costs_nothing_unused() -> None:
    """Loading the plugin imports no part of devctl that does anything."""
    code = "import sys, pytest, devctl.testing.plugin; print(*sorted(name for name in sys.modules if name.startswith('devctl')))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert loaded == ["devctl", "devctl.testing", "devctl.testing.plugin", "devctl.version"]
