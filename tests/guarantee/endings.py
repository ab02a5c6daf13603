"""The ways in which a run can end. Each brings one about and checks what must hold at once; that nothing is left in the end is
checked by the caller."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.guarantee.harness import Devctl
from tests.guarantee.terminal import Terminal


@dataclass(frozen=True)
class Ending:
    """One way.

    Attributes:
        name: for test ids.
        begin: starts the stack: detached, or in the foreground of a terminal.
        act: ends it.
        finished: when `act` has returned, no process of a service may be alive, not even for a moment.
    """

    name: str
    act: Callable[[Devctl, Terminal | None], None]
    foreground: bool = False
    finished: bool = False

    @contextlib.contextmanager
    def begin(self, devctl: Devctl) -> Iterator[Terminal | None]:
        """The stack with every adversary in position."""
        if not self.foreground:
            devctl.up()
            yield None
            return
        terminal = Terminal(devctl, "up", "--no-ui")
        try:
            devctl.await_in_position()
            yield terminal
        finally:
            terminal.close()


def _down(devctl: Devctl, _: Terminal | None) -> None:
    devctl.run("down")


def _ctrl_c(_: Devctl, terminal: Terminal | None) -> None:
    assert terminal is not None
    terminal.press("\x03")
    assert terminal.await_exit() == 130, terminal.text


def _hang_up(_: Devctl, terminal: Terminal | None) -> None:
    assert terminal is not None
    terminal.hang_up()


def _client_killed(_: Devctl, terminal: Terminal | None) -> None:
    assert terminal is not None
    terminal.process.kill()


def _kill(*roles: str, number: int = signal.SIGKILL) -> Callable[[Devctl, Terminal | None], None]:
    return lambda devctl, _: devctl.kill(*roles, number=number)


def _kill_then_down(*roles: str) -> Callable[[Devctl, Terminal | None], None]:
    def act(devctl: Devctl, _: Terminal | None) -> None:
        devctl.kill(*roles)
        devctl.run("down")

    return act


REQUIRED = (
    Ending("down", _down, finished=True),
    Ending("ctrl_c", _ctrl_c, foreground=True, finished=True),
    Ending("hang_up", _hang_up, foreground=True),
    Ending("kill_supervisor", _kill("supervisor")),
    Ending("kill_guard", _kill("guard")),
    Ending("kill_sweeper_then_down", _kill_then_down("sweeper"), finished=True),
    Ending("kill_supervisor_and_guard", _kill("supervisor", "guard")),
    Ending("kill_all_then_down", _kill_then_down("supervisor", "guard", "sweeper"), finished=True),
)

FURTHER = (
    Ending("kill_client", _client_killed, foreground=True),
    Ending("kill_guard_and_supervisor", _kill("guard", "supervisor")),
    Ending("kill_sweeper_and_supervisor", _kill("sweeper", "supervisor")),
    Ending("kill_sweeper_and_guard", _kill("sweeper", "guard")),
    Ending("term_supervisor", _kill("supervisor", number=signal.SIGTERM)),
    Ending("term_guard", _kill("guard", number=signal.SIGTERM)),
    Ending("hang_up_supervisor_and_guard", _kill("supervisor", "guard", number=signal.SIGHUP)),
)
