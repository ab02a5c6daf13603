"""The pytest plugin: the fixture `devctl_stack` is your stack, up and ready on free ports.

    def test_home_page(devctl_stack):
        assert httpx.get(devctl_stack["frontend"].url).status_code == 200

The manifest is the nearest one from pytest's rootdir upwards, or the ini option `devctl_manifest`, or what the marker says:
`@pytest.mark.devctl_stack(manifest="other.yaml", services=["backend"], profiles=["debug"], timeout=120, fresh=True)`.

A stack is started for the first test that wants it and shared by all that want the same one; `fresh=True` gives a test its own. It
runs beside your `devctl up`, and beside other workers of pytest-xdist. When a test fails, what the services wrote during it is part
of its report. The stack is gone after the session, even when pytest is killed.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

# Everybody who has devctl installed loads this module with every pytest run: nothing of devctl is imported before a test asks.
if TYPE_CHECKING:
    from devctl.api import Stack

MARKER = "devctl_stack"
OPTIONS = ("manifest", "services", "profiles", "timeout", "fresh")
REPORTED_LINES = 100  # of each service, the last ones: enough for a traceback, and a report stays readable

_used = pytest.StashKey[tuple[Any, float]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addini("devctl_manifest", "the manifest of the devctl_stack fixture, relative to rootdir", default="")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        f"{MARKER}(manifest, services, profiles, timeout, fresh): which stack the devctl_stack fixture gives",
    )


class Stacks:
    """The stacks of a session, by what they were asked for."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._tmp_path_factory = tmp_path_factory
        self._shared: dict[tuple[Any, ...], Stack] = {}

    def shared(self, manifest: Path, services: tuple[str, ...], profiles: tuple[str, ...]) -> Stack:
        """A running stack that other tests use too. What a test before stopped is started again."""
        from devctl.errors import NotRunning
        from devctl.model import ServiceState

        key = (manifest, services, profiles)
        stack = self._shared.get(key)
        if stack is not None:
            try:
                for name in stack:
                    if stack[name].state in (ServiceState.STOPPED, ServiceState.FAILED):
                        stack[name].start()
                return stack
            except NotRunning:
                # A test has ended it: what is left is cleaned up, and the next one begins anew.
                stack.close()
        self._shared[key] = self.new(manifest, services, profiles)
        return self._shared[key]

    def new(self, manifest: Path, services: tuple[str, ...], profiles: tuple[str, ...]) -> Stack:
        """A stack that was started just now."""
        from devctl.api import Stack

        log_dir = self._tmp_path_factory.mktemp("devctl")
        stack = Stack(manifest, services=services, profiles=profiles, auto_ports=True, private=True, log_dir=log_dir)
        stack.start()
        return stack

    def close(self) -> None:
        """Ends them all."""
        while self._shared:
            self._shared.popitem()[1].close()


@pytest.fixture(scope="session")
def _devctl_stacks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stacks]:
    stacks = Stacks(tmp_path_factory)
    yield stacks
    stacks.close()


@pytest.fixture
def devctl_stack(request: pytest.FixtureRequest, _devctl_stacks: Stacks) -> Iterator[Stack]:
    """The project's stack, ready, on free ports; see the module's description for the marker's options."""
    options = _options(request.node)
    manifest = _manifest(request, options.get("manifest"))
    services, profiles = (tuple(options.get(key, ())) for key in ("services", "profiles"))
    fresh = bool(options.get("fresh", False))
    stack = (_devctl_stacks.new if fresh else _devctl_stacks.shared)(manifest, services, profiles)
    try:
        stack.wait_ready(**({"timeout": options["timeout"]} if "timeout" in options else {}))
        request.node.stash[_used] = (stack, time.time())
        yield stack
    finally:
        if fresh:
            stack.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    used = item.stash.get(_used, None)
    if used is not None and report.failed:
        stack, since = used
        for name in stack:
            lines = stack[name].logs(tail=REPORTED_LINES, since=since)
            if lines:
                report.sections.append((f"devctl: {name}", "\n".join(record.text for record in lines)))
    return report


def _options(node: pytest.Item) -> dict[str, Any]:
    options: dict[str, Any] = {}
    # The nearest marker comes first and wins: a test's over its class's over its module's.
    for marker in node.iter_markers(MARKER):
        unknown = [key for key in marker.kwargs if key not in OPTIONS]
        if unknown or marker.args:
            raise pytest.UsageError(f"the marker {MARKER} takes keywords only: {', '.join(OPTIONS)}")
        options = {**marker.kwargs, **options}
    return options


def _manifest(request: pytest.FixtureRequest, marked: str | None) -> Path:
    if marked is not None:
        return Path(request.path.parent / marked)
    # Without either, the directory: the nearest manifest from there upwards.
    return request.config.rootpath / str(request.config.getini("devctl_manifest"))
