"""The Prometheus text: complete, well-formed, whatever the names are."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from devctl.control.metrics import escape, render
from devctl.model import ServiceState, ServiceStatus, StackState, StackStatus, SupervisorInfo

LINE = re.compile(r'(\w+)(?:\{((?:\w+="(?:[^"\\\n]|\\.)*",?)+)\})? (\S+)')
LABEL = re.compile(r'(\w+)="((?:[^"\\\n]|\\.)*)"')


def stack(name: str, *services: ServiceStatus, directory: str = "/srv") -> StackStatus:
    info = SupervisorInfo(1, 2, 3, "/run/s", "0.1.0")
    return StackStatus(name, directory, "r1", StackState.READY, "2026-11-20T23:50:01Z", info, services)


def unescape(text: str) -> str:
    """As Prometheus reads a label's value."""
    return re.sub(r"\\(.)", lambda match: "\n" if match[1] == "n" else match[1], text)


@given(st.text())
def test_escaping_is_reversible(text: str) -> None:
    """An escaped value has no bare quote or newline, and is read back as it was."""
    escaped = escape(text)
    assert re.fullmatch(r'(?:[^"\\\n]|\\[\\"n])*', escaped)
    assert unescape(escaped) == text


@given(st.text(), st.text(alphabet=st.characters()))
def test_any_name_makes_well_formed_lines(name: str, directory: str) -> None:
    """Every line is a comment or a sample, and the labels hold what they should."""
    text = render(stack(name, ServiceStatus("web", ServiceState.READY), directory=directory)).decode()
    lines = text.split("\n")
    assert lines.pop() == ""
    shown = name.encode("utf-8", "replace").decode()
    for line in lines:
        if not line.startswith("# "):
            match = LINE.fullmatch(line)
            assert match, line
            float(match[3])
            labels = {key: unescape(value) for key, value in LABEL.findall(match[2])}
            assert labels["stack"] == shown


def test_every_family_is_described_once() -> None:
    """Each metric has one HELP and one TYPE, before its samples."""
    both = (ServiceStatus("a", ServiceState.READY), ServiceStatus("b", ServiceState.FAILED))
    lines = render(stack("s", *both)).decode().splitlines()
    families = [line.split()[2] for line in lines if line.startswith("# TYPE")]
    assert len(set(families)) == len(families)
    assert [line.split()[2] for line in lines if line.startswith("# HELP")] == families
    current = ""
    for line in lines:
        if line.startswith("# TYPE"):
            current = line.split()[2]
        elif not line.startswith("#"):
            assert line.startswith(current + "{")


def test_state_is_one_of_all() -> None:
    """Exactly one state of a service is 1."""
    text = render(stack("s", ServiceStatus("a", ServiceState.BACKOFF))).decode()
    states = re.findall(r'devctl_service_state\{stack="s",service="a",state="(\w+)"\} (\d)', text)
    assert len(states) == len(ServiceState)
    assert [state for state, value in states if value == "1"] == ["backoff"]


def test_what_is_unknown_is_absent() -> None:
    """A service that was never ready has no start-up time, instead of a wrong one."""
    both = (ServiceStatus("a", ServiceState.WAITING), ServiceStatus("b", ServiceState.READY, startup_seconds=1.5))
    text = render(stack("s", *both)).decode()
    assert re.findall(r"devctl_service_startup_seconds\{.*", text) == ['devctl_service_startup_seconds{stack="s",service="b"} 1.5']


def test_numbers_have_base_units() -> None:
    """CPU is a ratio, memory bytes."""
    text = render(stack("s", ServiceStatus("a", ServiceState.READY, cpu_percent=150.0, memory_bytes=1024, restarts=3))).decode()
    assert 'devctl_service_cpu_ratio{stack="s",service="a"} 1.5\n' in text
    assert 'devctl_service_memory_bytes{stack="s",service="a"} 1024\n' in text
    assert 'devctl_service_restarts_total{stack="s",service="a"} 3\n' in text
