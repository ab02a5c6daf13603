"""Reload: the manifest changed while the stack runs."""

from __future__ import annotations

import dataclasses

from tests.lifecycle.history import CHECK, History, history_of, spec


def up() -> History:
    history = history_of(spec("db"), spec("web", "db"))
    history.up("db", "web")
    history.actions()
    return history


def test_a_new_service_starts() -> None:
    """It takes its place in the new order, gated as ever."""
    history = up()
    history.replace(spec("db"), spec("cache", "db"), spec("web", "db"), start=("cache",))
    assert history.actions() == [("spawn", "cache")]
    assert list(history.states) == ["db", "cache", "web"]


def test_a_new_one_that_nobody_asks_for_stays_down() -> None:
    """A profile's service is known and stopped."""
    history = up()
    history.replace(spec("db"), spec("web", "db"), spec("tool"))
    assert history.state("tool") == "stopped"


def test_the_unchanged_run_on() -> None:
    """The same manifest again changes nothing."""
    history = up()
    history.replace(spec("db"), spec("web", "db"))
    assert history.actions() == []
    assert history.states == {"db": "ready", "web": "ready"}


def test_a_changed_one_restarts_with_its_new_definition() -> None:
    """The old instance ends by the old definition, the new one starts by the new."""
    history = up()
    changed = dataclasses.replace(spec("web", "db"), argv=("run", "web", "--faster"))
    history.replace(spec("db"), changed, changed=("web",))
    assert (history.actions(), history.why("web")) == ([("stop", "web")], "its definition changed")
    history.ended("web", signal=15)
    assert history.actions() == [("spawn", "web")]
    assert history["web"].spec.argv[-1] == "--faster"


def test_a_changed_one_that_is_stopped_stays_stopped() -> None:
    """A reload is no start."""
    history = up()
    history.stop("web")
    history.ended("web", signal=15)
    history.replace(spec("db"), spec("web", "db", check=True), changed=("web",))
    assert history.state("web") == "stopped"


def test_a_removed_one_is_stopped_and_forgotten() -> None:
    """It is listed until the last of its processes is gone."""
    history = up()
    history.replace(spec("db"))
    assert history.states == {"db": "ready", "web": "stopping"}
    history.ended("web", signal=15)
    assert history.states == {"db": "ready"}


def test_removed_ones_stop_in_order() -> None:
    """Reverse dependency order is that of the manifest they were started from."""
    history = up()
    history.replace(spec("other"), start=("other",))
    assert history.actions() == [("stop", "web"), ("spawn", "other")]
    history.ended("web", signal=15)
    assert history.actions() == [("stop", "db")]
    history.ended("db", signal=15)
    assert history.states == {"other": "starting"}


def test_a_removed_one_that_is_down_vanishes_at_once() -> None:
    """Nothing to wait for."""
    history = up()
    history.stop("web")
    history.ended("web", signal=15)
    history.replace(spec("db"))
    assert history.states == {"db": "ready"}


def test_a_removed_one_can_not_be_asked_for() -> None:
    """While it is being stopped, no request brings it back, not even as a dependency of others."""
    history = up()
    history.replace(spec("db"))
    history.start("web", needed=("web",))
    history.restart("web")
    history.ended("web", signal=15)
    assert history.states == {"db": "ready"}


def test_it_may_come_back_while_it_stops() -> None:
    """Removed and put back before it was gone: it starts again once it is."""
    history = up()
    history.replace(spec("db"))
    history.replace(spec("db"), spec("web", "db"), start=("web",))
    history.ended("web", signal=15)
    assert history.state("web") == "starting"


def test_instance_numbers_go_on_after_a_removal() -> None:
    """A late event of the old one must not touch a new one of the same name."""
    history = up()
    before = history["web"].instance
    history.replace(spec("db"))
    history.ended("web", signal=15)
    history.replace(spec("db"), spec("web", "db"), start=("web",))
    assert history["web"].instance == before + 1


def test_a_new_edge_gates_the_next_start() -> None:
    """A dependency that was added is waited for."""
    history = up()
    history.replace(spec("db"), spec("cache", check=True), spec("web", "db", "cache"), start=("cache",), changed=("web",))
    history.ended("web", signal=15)
    assert history.state("web") == "waiting"
    history.up("cache")
    assert history.state("web") == "starting"


def test_a_dropped_edge_lets_go() -> None:
    """One that waits for what it no longer needs starts at once."""
    history = history_of(spec("db", check=True), spec("web", "db"))
    history.replace(spec("db", check=True), spec("web"), changed=("web",))
    assert history.state("web") == "starting"


def test_a_dropped_edge_mends_a_blocked_one() -> None:
    """What failed only for a dependency it no longer has is started."""
    history = history_of(spec("db"), spec("web", "db"))
    history.spawn_failed("db")
    history.replace(spec("web"))
    assert history.states == {"web": "starting"}


def test_a_dropped_check_is_ended() -> None:
    """The check of the running instance ends though the new definition has none."""
    history = history_of(spec("web", check=True))
    history.up("web")
    history.actions()
    history.replace(spec("web"), changed=("web",))
    assert history.actions() == [("unprobe", "web"), ("stop", "web")]


def test_a_dropped_check_of_a_reused_one_is_ended() -> None:
    """A reused instance is let go of when its definition changes."""
    history = history_of(spec("web", check=True, reuse=True))
    history.adopted("web")
    history.actions()
    history.replace(spec("web", reuse=True), changed=("web",))
    assert history.actions() == [("unprobe", "web"), ("spawn", "web")]


def test_an_added_check_is_not_ended_before_it_began() -> None:
    """The old instance had none."""
    history = history_of(spec("web"))
    history.up("web")
    history.actions()
    history.replace(spec("web", healthcheck=CHECK), changed=("web",))
    assert history.actions() == [("stop", "web")]


def test_failed_ones_get_another_chance() -> None:
    """A reload starts what had failed, for the mend may be in the manifest."""
    history = history_of(spec("web"))
    history.spawn_failed("web")
    history.actions()
    history.replace(spec("web", check=True), start=("web",))
    assert history.actions() == [("spawn", "web")]
