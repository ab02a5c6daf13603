"""Every adversary with every ending: no process that a service ever started survives.

Each alone once, without the cgroup and, where the tests run as root, as another user: the layers that work everywhere. Then the
cheap ones as one company, once in each mode (DEVCTL_GUARANTEE_REPEAT times, 3 by default; more for a long night), then all of them.

`make test` has the hardest ending for each adversary, and all adversaries at once for every ending; `make thorough`, which CI runs
as well, has the rest.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.guarantee.cast import ADVERSARIES, Adversary
from tests.guarantee.conftest import MakeDevctl
from tests.guarantee.endings import FURTHER, REQUIRED, Ending
from tests.guarantee.harness import AS_IS, NO_CGROUP, OTHER_USER, Devctl

REPEAT = int(os.environ.get("DEVCTL_GUARANTEE_REPEAT", "3"))
OBEDIENT = Adversary("obedient")  # keeps a foreground `up` alive when the adversary's first process leaves by itself
# The one in which nobody of us is left to do anything until somebody comes.
DISTINCT = frozenset({"kill_all_then_down"})
HARDEST = OTHER_USER if os.getuid() == 0 else NO_CGROUP


def play(devctl: Devctl, ending: Ending, adversaries: list[Adversary]) -> None:
    """A run with these adversaries, ended so."""
    devctl.write(devctl.cast(OBEDIENT, *adversaries))
    with ending.begin(devctl) as terminal:
        ending.act(devctl, terminal)
        if ending.finished:
            left = devctl.survivors()
            assert not left, f"alive after {ending.name} had returned:\n" + "\n".join(map(str, left))
        devctl.await_nothing()


def some(ending: Ending) -> Any:
    """The ending, for `make thorough` only unless it is the hardest."""
    return pytest.param(ending, id=ending.name, marks=() if ending.name in DISTINCT else pytest.mark.thorough)


@pytest.mark.parametrize("ending", [some(ending) for ending in REQUIRED])
@pytest.mark.parametrize("adversary", ADVERSARIES.values(), ids=ADVERSARIES.keys())
def test_one_adversary(make_devctl: MakeDevctl, adversary: Adversary, ending: Ending) -> None:
    """One adversary, one ending: 0 survivors."""
    if not adversary.possible:
        pytest.skip("namespaces are not permitted here")
    if ending.name in adversary.beyond:
        pytest.skip("beyond what can be done without a cgroup; see docs/guarantee.md, Where it ends")
    play(make_devctl(HARDEST), ending, [adversary])


def company(ending: Ending) -> list[Adversary]:
    """The cheap ones that this machine and this ending allow."""
    return [a for a in ADVERSARIES.values() if not a.costly and a.possible and ending.name not in a.beyond]


@pytest.mark.thorough
@pytest.mark.parametrize("repetition", range(REPEAT))
@pytest.mark.parametrize("ending", REQUIRED, ids=lambda ending: ending.name)
def test_company(make_devctl: MakeDevctl, ending: Ending, repetition: int) -> None:
    """The cheap ones at once in one stack, the modes taking turns: 0 survivors, every time."""
    modes = [mode for mode in (AS_IS, NO_CGROUP, OTHER_USER) if mode.possible]
    play(make_devctl(modes[repetition % len(modes)]), ending, company(ending))


@pytest.mark.thorough
@pytest.mark.parametrize("ending", FURTHER, ids=lambda ending: ending.name)
def test_further_endings(make_devctl: MakeDevctl, ending: Ending) -> None:
    """Other pairs, other orders, other signals: 0 survivors."""
    play(make_devctl(HARDEST), ending, company(ending))


@pytest.mark.parametrize("ending", REQUIRED, ids=lambda ending: ending.name)
def test_everybody(make_devctl: MakeDevctl, ending: Ending) -> None:
    """All of them at once, the costly too: the noise of one does not hide another."""
    play(make_devctl(HARDEST), ending, [a for a in ADVERSARIES.values() if a.possible and ending.name not in a.beyond])
