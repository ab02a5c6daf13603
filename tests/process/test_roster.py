"""The supervisor's roster, in subprocesses of its own: exits, strays, and trees that resist."""

from __future__ import annotations

from tests.process.conftest import Play


def test_every_exit_status_is_right(play: Play) -> None:
    """200 quick children: each one's own status, none lost, none mixed up."""
    assert play("quick_exits") == {"right": True}


def test_leaders_are_listed(play: Play) -> None:
    """Every leader's pid and start time is on disk, for whoever has to clean up after us."""
    assert play("leaders_are_listed") == {"right": True}


def test_a_stray_is_ended_with_its_service(play: Play) -> None:
    """A daemon that left its session, forked twice and emptied its environment; another service is left alone."""
    found = play("stray")
    assert found["strays"] == 1
    assert (found["left"], found["empty"], found["other"]) == ([], True, True)


def test_a_stray_without_a_dye(play: Play) -> None:
    """Where the limit could not be set, the environment tells the owner."""
    assert play("stray_by_cookie")["left"] == []


def test_a_leader_whose_first_thread_exited(play: Play) -> None:
    """It shows as a zombie and is alive; only SIGKILL ends it, and then it is gone."""
    assert play("leader_thread_exited") == {"looked": "Z", "killed": 1, "processes": 1, "left": [], "exit": [None, 9]}


def test_a_stopped_process_can_still_obey(play: Play) -> None:
    """SIGTERM is followed by SIGCONT, so its handler runs."""
    found = play("stopped")
    assert (found["exit"], found["left"]) == ([7, None], [])


def test_obedience(play: Play) -> None:
    """Who obeys is not killed, and its own exit status is kept."""
    found = play("obedient")
    assert (found["exit"], found["killed"], found["left"]) == ([7, None], 0, [])


def test_a_group_that_outlives_its_leader(play: Play) -> None:
    """The leader's exit is not the end: what ignores SIGTERM is killed after the grace period."""
    found = play("group_outlives_leader")
    assert found["left"] == []
    assert found["killed"] >= 1


def test_force_cuts_the_grace_period_short(play: Play) -> None:
    """Somebody who insists does not wait for an hour."""
    assert play("forced") == {"killed": 1, "processes": 1, "left": [], "exit": [None, 9]}


def test_owners_are_ended_one_by_one(play: Play) -> None:
    """Killing one leaves the other, and who waits for the first is told."""
    assert play("one_of_two") == {"one": [], "two": True}


def test_the_dye_is_inherited(play: Play) -> None:
    """A child and its child carry the index; the supervisor goes back to 0; another run's is not ours."""
    assert play("dyed") == {"indices": [9, 9], "own": 0, "other_run": None}


def test_how_a_service_is_started(play: Play) -> None:
    """In a session of its own, with an empty input, as a better victim of memory shortage than we are."""
    assert play("session") == {"own_session": True, "oom": 300}


def test_the_kill_loop_proves_emptiness(play: Play) -> None:
    """Detached or not, every child is ended, and the kernel says that there is none."""
    found = play("kill_children")
    assert (found["empty"], found["refused"], found["children"]) == (True, [], [])
    assert found["signalled"] >= 1


def test_the_kill_loop_can_spare(play: Play) -> None:
    """What is named stays, and the loop ends all the same."""
    assert play("spared") == {"empty": True, "kept": True}
