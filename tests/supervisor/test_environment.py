"""What a service finds in its environment, and who wins."""

from __future__ import annotations

from typing import Any

from devctl.supervisor.environment import service_environment
from tests.lifecycle.history import spec


def environment(
    caller: dict[str, str] | None = None, files: dict[str, str] | None = None, notify: str | None = None, **options: Any
) -> dict[str, str]:
    return service_environment(
        spec("web", **options), caller=caller or {}, from_files=files or {}, stack="shop", run_id="abc-1", notify_socket=notify
    )


def test_the_manifest_wins_over_files_over_the_caller() -> None:
    """What is nearer to the service wins."""
    found = environment({"A": "caller", "B": "caller", "C": "caller"}, {"A": "file", "B": "file"}, environment={"A": "manifest"})
    assert (found["A"], found["B"], found["C"]) == ("manifest", "file", "caller")


def test_ports_are_told() -> None:
    """PORT for the main one, PORT_<NAME> for the others, in letters a shell can use."""
    found = environment(ports={"default": 80, "admin": 81, "web-ui.2": 82})
    assert (found["PORT"], found["PORT_ADMIN"], found["PORT_WEB_UI_2"]) == ("80", "81", "82")


def test_the_caller_s_port_is_not_the_service_s() -> None:
    """A PORT in the caller's shell must not win over the service's own."""
    assert environment({"PORT": "1"}, ports={"default": 80})["PORT"] == "80"


def test_the_manifest_may_name_its_own_port() -> None:
    """Who sets PORT by hand means it."""
    assert environment(ports={"default": 80}, environment={"PORT": "81"})["PORT"] == "81"


def test_who_and_where() -> None:
    """The stack, the service and the run, which nobody can overrule."""
    found = environment({"DEVCTL_RUN_ID": "outer"}, environment={"DEVCTL_SERVICE": "liar"})
    assert (found["DEVCTL_STACK"], found["DEVCTL_SERVICE"], found["DEVCTL_RUN_ID"]) == ("shop", "web", "abc-1")


def test_unbuffered_and_in_colour() -> None:
    """Output is read line by line, and by people."""
    found = environment()
    assert (found["PYTHONUNBUFFERED"], found["FORCE_COLOR"], found["CLICOLOR_FORCE"]) == ("1", "1", "1")


def test_no_color_is_respected() -> None:
    """Wherever it was set."""
    for found in (environment({"NO_COLOR": ""}), environment(environment={"NO_COLOR": "1"}), environment(files={"NO_COLOR": "1"})):
        assert "FORCE_COLOR" not in found
        assert "CLICOLOR_FORCE" not in found


def test_a_choice_of_the_user_stays() -> None:
    """Defaults are only that."""
    found = environment({"FORCE_COLOR": "3"}, environment={"PYTHONUNBUFFERED": ""})
    assert (found["FORCE_COLOR"], found["PYTHONUNBUFFERED"]) == ("3", "")


def test_notify_socket_is_ours_or_none() -> None:
    """The caller's socket is not for the service to talk to."""
    assert environment({"NOTIFY_SOCKET": "/run/systemd/notify"}, notify="/run/ours")["NOTIFY_SOCKET"] == "/run/ours"
    assert "NOTIFY_SOCKET" not in environment({"NOTIFY_SOCKET": "/run/systemd/notify"})


def test_nothing_private_leaks() -> None:
    """How devctl starts itself is nobody's business."""
    assert "DEVCTL_LAUNCH" not in environment({"DEVCTL_LAUNCH": "{}"})
