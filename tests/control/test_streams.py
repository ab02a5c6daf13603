"""Streams: events over SSE and leases, with clients that stay, leave, stall and die."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devctl.control import client as client_module
from devctl.control import sse
from devctl.control.feed import Filter
from devctl.control.routes import Pace
from devctl.errors import ControlError, NotRunning, UnknownService
from devctl.model import Event
from tests.control.running import GUARD, Running

Start = Callable[..., Running]
RAW = b"GET %b HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n%b\r\n"


def emit(running: Running, count: int = 1, **data: Any) -> None:
    """Lets things happen at the supervisor."""
    running.call(lambda: [running.supervisor.emit(**data) for _ in range(count)])


def ids(events: Iterator[dict[str, Any]], count: int) -> list[int]:
    """The ids of the next events."""
    return [next(events)["id"] for _ in range(count)]


def raw_stream(running: Running, path: bytes = b"/v1/events?after=0", headers: bytes = b"") -> socket.socket:
    """A connection that asked for a stream and reads for itself."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(GUARD)
    connection.connect(str(running.socket_path))
    connection.sendall(RAW % (path, headers))
    return connection


def test_events_come_live(running: Running) -> None:
    """A stream gives what has happened since an id, and then what happens."""
    emit(running, 3)
    events = running.client.events(after=1)
    assert ids(events, 2) == [2, 3]
    emit(running, 2)
    assert ids(events, 2) == [4, 5]


def test_stream_without_an_id_starts_now(running: Running) -> None:
    """Without `after`, only new events are given."""
    emit(running, 3)
    stream = running.client.stream("/v1/events")
    assert next(stream).event == "heartbeat"  # connected: what comes now is not missed
    emit(running)
    assert next(message.id for message in stream if message.id) == 4


def test_last_event_id_wins(running: Running) -> None:
    """A browser that reconnects goes on where it was, whatever its address says."""
    emit(running, 3)
    with raw_stream(running, headers=b"Last-Event-ID: 2\r\n") as connection:
        text = b""
        while b"id: 3" not in text:
            text += connection.recv(4096)
    assert b"id: 1" not in text
    assert b"id: 2" not in text


def test_gap_is_told(start: Start) -> None:
    """A client that comes back after more than memory holds is told what it missed, in an event of its own."""
    running = start(fake={"memory": 5})
    emit(running, 20)
    events = running.client.events(after=3)
    gap = next(events)
    assert (gap["type"], gap["after"], gap["resumes_at"]) == ("gap", 3, 16)
    assert ids(events, 5) == [16, 17, 18, 19, 20]


def test_id_from_the_future_starts_over(running: Running) -> None:
    """When ids began anew, a client with an old, larger one gets everything instead of nothing."""
    emit(running, 2)
    events = running.client.events(after=999)
    assert next(events)["type"] == "gap"
    assert ids(events, 2) == [1, 2]


def test_filters_reach_the_stream(running: Running) -> None:
    """A stream can be narrowed to services and types."""
    emit(running, type="service_state", service="router")
    emit(running, type="service_state", service="backend")
    emit(running, type="service_exited", service="router")
    events = running.client.events(after=0, services=["router"], types=["service_exited"])
    assert ids(events, 1) == [3]


def test_filter_for_an_unknown_service(running: Running) -> None:
    """A filter that could never let anything through is a mistake."""
    with pytest.raises(UnknownService):
        next(running.client.events(services=["nope"]))


names = st.sampled_from(["router", "backend", "ui", None])
types = st.sampled_from(["service_state", "stack_state", "reloaded"])


@given(st.frozensets(names.filter(bool)), st.frozensets(types), names, types)
def test_filter(services: frozenset[str], wanted: frozenset[str], service: str | None, type: str) -> None:
    """An event passes exactly when each given set holds its value."""
    event = Event(1, "t", "r", type, service)
    expected = (not services or service in services) and (not wanted or type in wanted)
    assert Filter(services, wanted).accepts(event) == expected


@given(st.lists(st.tuples(types, st.dictionaries(st.text(), st.text() | st.integers())), max_size=5), st.integers(1, 40))
def test_sse_is_read_as_written(events: list[tuple[str, dict[str, Any]]], size: int) -> None:
    """Whatever events hold, they come out as they went in, and comments are heartbeats."""
    text = b"".join(sse.encode(data, event=type, id=n) for n, (type, data) in enumerate(events)) + sse.HEARTBEAT
    messages = list(sse.decode(text.split(b"\n")[:-1]))
    assert [(m.event, m.data, m.id) for m in messages[:-1]] == [(type, data, n) for n, (type, data) in enumerate(events)]
    assert messages[-1].event == "heartbeat"


def test_heartbeats_show_life(running: Running) -> None:
    """A stream on which nothing happens still gives signs of life."""
    stream = running.client.stream("/v1/events")
    assert [next(stream).event for _ in range(3)] == ["heartbeat"] * 3


def test_close_ends_streams(running: Running) -> None:
    """When the server closes, a stream gets what is left and a final event, and the iterator ends."""
    emit(running, 2)
    events = running.client.events(after=0)
    assert ids(events, 1) == [1]
    running.close_server()
    assert [event["id"] for event in events] == [2]


def test_stream_that_breaks_is_an_error(running: Running) -> None:
    """A connection that ends without a final event is told from the stack's end."""
    emit(running)
    events = running.client.events(after=0)
    next(events)
    running.cut()
    with pytest.raises(ControlError):
        list(events)


def test_reconnect_goes_on(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `reconnect`, a broken stream is taken up where it was."""
    monkeypatch.setattr(client_module, "RECONNECT_SECONDS", 0.0)
    emit(running, 2)
    events = running.client.events(after=0, reconnect=True)
    assert ids(events, 2) == [1, 2]
    running.cut()
    emit(running)
    assert ids(events, 1) == [3]


def test_reconnect_ends_with_the_stack(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reconnecting to nothing is NotRunning."""
    monkeypatch.setattr(client_module, "RECONNECT_SECONDS", 0.0)
    running = start()
    emit(running)
    events = running.client.events(after=0, reconnect=True)
    next(events)

    running.die()
    with pytest.raises(NotRunning):
        next(events)


def test_stalled_client_is_cut_off(start: Start) -> None:
    """A client that takes nothing is disconnected, and nothing is kept for it."""
    running = start(pace=Pace(heartbeat=15, stall=0.05), fake={"memory": 5000})
    connection = raw_stream(running)
    connection.recv(10)
    emit(running, 2000, text="x" * 1000)  # far beyond what the socket's and the transport's buffers hold
    running.until_idle()
    connection.close()


def test_slow_client_skips(start: Start) -> None:
    """A client that falls behind what memory holds goes on after a gap, instead of making memory grow."""
    running = start(fake={"memory": 100})
    connection = raw_stream(running)
    connection.recv(10)
    # More than all buffers on the way hold, in rounds, so that the stream is stuck in the middle of them.
    for _ in range(20):
        emit(running, 100, text="x" * 1000)
    emit(running, type="last")
    text = b""
    while b"event: last" not in text:
        text += connection.recv(65536)
    connection.close()
    assert b"event: gap" in text


def test_many_streams_at_once(running: Running) -> None:
    """Every listener gets every event."""
    streams = [running.client.events(after=0) for _ in range(20)]
    emit(running)
    assert [ids(events, 1) for events in streams] == [[1]] * 20
    emit(running)
    assert [ids(events, 1) for events in streams] == [[2]] * 20


def test_streams_of_clients_that_leave_are_dropped(running: Running) -> None:
    """A stream whose client has closed its connection ends at the server."""
    connection = raw_stream(running)
    connection.recv(10)
    connection.close()
    running.until_idle()


def test_lease_is_held_and_detached(running: Running) -> None:
    """A detached lease is released once, with the stack going on."""
    lease = running.client.lease()
    held = running.supervisor.leases[0]
    assert held.detached is None
    lease.detach()
    assert (held.detached, held.times) == (True, 1)


def test_lease_that_is_closed_stops_the_stack(running: Running) -> None:
    """Letting go without detaching is releasing."""
    lease = running.client.lease()
    held = running.supervisor.leases[0]
    lease.close()
    running.do(held.released.wait)
    assert (held.detached, held.times) == (False, 1)


def test_killed_holder_releases_its_lease(running: Running) -> None:
    """A client that dies by SIGKILL is noticed by its connection's end."""
    code = (
        "import sys, time\nfrom pathlib import Path\nfrom devctl.control.client import Client\n"
        "lease = Client(Path(sys.argv[1])).lease()\nprint(lease.id, flush=True)\ntime.sleep(600)\n"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(running.socket_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    holder.stdout.readline()
    held = running.supervisor.leases[0]
    assert held.detached is None
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    holder.stdout.close()
    running.do(held.released.wait)
    assert held.detached is False


def test_forked_child_does_not_hold_the_lease(running: Running) -> None:
    """A child forked off the holder has no copy of the lease: the holder's close is enough."""
    lease = running.client.lease()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writing)
        os.read(reading, 1)
        os._exit(0)
    os.close(reading)
    try:
        held = running.supervisor.leases[0]
        assert held.detached is None
        lease.close()
        running.do(held.released.wait)
    finally:
        os.close(writing)
        os.waitpid(child, 0)


def test_lease_outlives_other_leases(running: Running) -> None:
    """Each lease is its own."""
    first, second = running.client.lease(), running.client.lease()
    assert first.id != second.id
    first.detach()
    assert running.supervisor.leases[1].detached is None
    second.detach()


def test_lease_is_told_of_the_end(running: Running) -> None:
    """The holder learns that the supervisor ends; the lease is not released then."""
    lease = running.client.lease()
    running.close_server()
    assert lease.wait_end() == "the supervisor is ending"
    assert running.supervisor.leases[0].times == 0
    lease.close()


def test_lost_supervisor_ends_the_wait(running: Running) -> None:
    """A supervisor that is killed ends the wait too."""
    lease = running.client.lease()
    running.cut()
    assert lease.wait_end() == "lost"
    lease.close()


def test_unknown_lease(running: Running) -> None:
    """Detaching what is not held is an error."""
    with pytest.raises(ControlError, match="no such lease"):
        running.client.post("/v1/lease/0123/detach")
