"""The rhythm of probes, as arithmetic."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from devctl.health.cadence import LONGEST_GAP, SHORTEST_GAP, SLOT, StartCadence, next_on_grid, together

CLOCK = st.floats(min_value=0, max_value=1e6)
ROUNDING = 1e-6


def probe_times(cadence: StartCadence, seconds: float, duration: float, crowd: int = 1, nudge_always: bool = False) -> list[float]:
    """When probes that take `duration` seconds begin, in the first `seconds`."""
    began = cadence.started
    times = []
    while began < cadence.started + seconds:
        times.append(began)
        ended = began + duration
        if nudge_always:
            cadence.nudge(ended)
        began = cadence.after(began, ended, ended, crowd)
    return times


@given(started=CLOCK, duration=st.floats(0, 0.01), crowd=st.integers(1, 1000))
@settings(max_examples=30, deadline=None)
def test_the_gap_is_never_longer_than_promised(started: float, duration: float, crowd: int) -> None:
    """From the end of one probe to the start of the next are at most 100 ms, whoever else is starting."""
    times = probe_times(StartCadence(started), 60, duration, crowd)
    assert all(later - earlier - duration <= LONGEST_GAP + ROUNDING for earlier, later in pairwise(times))


@given(started=CLOCK)
@settings(max_examples=20, deadline=None)
def test_a_minute_of_waiting_costs_a_bounded_number_of_probes(started: float) -> None:
    """The gap grows with the wait, so that a slow service is not asked thousands of times."""
    assert len(probe_times(StartCadence(started), 60, 0)) <= 850


@given(started=CLOCK)
@settings(max_examples=10, deadline=None)
def test_a_service_that_never_stops_writing_cannot_drive_the_rate_up(started: float) -> None:
    """With a nudge after every single probe, a minute still costs a bounded number of them."""
    assert len(probe_times(StartCadence(started), 60, 0, nudge_always=True)) <= 3000


@given(wait=st.floats(0.01, 60))
@settings(max_examples=50, deadline=None)
def test_a_service_is_found_within_a_small_share_of_the_time_it_took(wait: float) -> None:
    """Able to answer after `wait` seconds, it is asked within 2 % of that (2 ms at least, 100 ms at most)."""
    first = next(time for time in probe_times(StartCadence(0), wait + 1, 0) if time >= wait)
    assert first - wait <= min(max(SHORTEST_GAP, 0.021 * wait), LONGEST_GAP) + ROUNDING


@given(waited=st.floats(0, 3600), hint=st.floats(0, 0.1))
def test_a_nudge_never_makes_it_later(waited: float, hint: float) -> None:
    """The next probe after a hint is due no later than without it, and soon."""
    plain, nudged = StartCadence(0), StartCadence(0)
    nudged.nudge(waited + hint)
    now = waited + hint
    due = nudged.after(waited, waited, now)
    assert due <= plain.after(waited, waited, now)
    assert due <= waited + max(SHORTEST_GAP, 0.0021 * waited)


@given(waited=st.floats(0, 100), duration=st.floats(0.01, 5))
def test_a_costly_command_is_left_twice_its_time(waited: float, duration: float) -> None:
    """The gap after an exec probe is at least twice what it took, up to the ceiling."""
    cadence = StartCadence(0, busy_share=2.0, ceiling=1.0)
    ended = waited + duration
    cadence.nudge(ended)
    assert cadence.after(waited, ended, ended) - ended >= min(2 * duration, 1.0) - ROUNDING


@given(began=CLOCK, duration=st.floats(0, 10), fixed=st.floats(0.01, 10))
def test_a_given_start_interval_is_kept(began: float, duration: float, fixed: float) -> None:
    """`start_interval` counts from start to start, hints or not, and a probe that takes longer is followed at once."""
    cadence = StartCadence(0, fixed)
    ended = began + duration
    cadence.nudge(ended)
    assert cadence.after(began, ended, ended) == max(began + fixed, ended)


@given(scheduled=CLOCK, interval=st.floats(0.01, 100), late=st.floats(0, 1e5))
def test_the_schedule_neither_bursts_nor_stalls(scheduled: float, interval: float, late: float) -> None:
    """The next slot is in the future, at most an interval away, however long the process was stopped."""
    now = scheduled + late
    due = next_on_grid(scheduled, interval, now)
    assert now <= due <= now + interval + ROUNDING


@given(interval=st.floats(0.01, 100), slots=st.integers(1, 1000))
def test_the_schedule_does_not_drift(interval: float, slots: int) -> None:
    """Probes that take most of an interval leave the following ones on the grid."""
    due = 0.0
    for _ in range(slots):
        due = next_on_grid(due, interval, due + 0.9 * interval)
    assert abs(due - slots * interval) < 1e-3


@given(due=CLOCK, interval=st.floats(0.01, 100))
def test_services_are_asked_together(due: float, interval: float) -> None:
    """A due time is put off by a slot at most, and never when the interval is short."""
    shared = together(due, interval)
    assert due <= shared <= due + SLOT
    if interval < 2 * SLOT:
        assert shared == due
