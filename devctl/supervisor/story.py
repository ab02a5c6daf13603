"""The supervisor's own log, devctl.log: the history in sentences, with start and stop markers."""

from __future__ import annotations

from collections.abc import Iterator

from devctl.logs.cri import Stream
from devctl.model import Event


def tell_story(event: Event) -> Iterator[tuple[Stream, str]]:
    """The lines that say what happened; most events are one, some none. Trouble goes to stderr."""
    data = event.data
    match event.type:
        case "run_started":
            yield "stdout", f"=== run {event.run_id} of {data['stack']} started: {len(data['services'])} services"
        case "run_ended":
            receipt = data["receipt"]
            yield "stdout", f"=== run {event.run_id} ended: {receipt['processes']} processes gone in {receipt['seconds']} s"
        case "service_state":
            why = f": {data['reason']}" if data["reason"] else ""
            stream: Stream = "stderr" if data["state"] in ("failed", "unhealthy", "backoff") else "stdout"
            yield stream, f"{event.service} is {data['state']}{why}"
        case "service_exited":
            how = f"signal {data['signal']}" if data["signal"] is not None else f"status {data['exit_code']}"
            yield "stdout", f"{event.service} (pid {data['pid']}) ended with {how}"
        case "leftovers":
            yield "stderr", f"{event.service} left {data['processes']} processes behind, which are being ended: {data['commands']}"
        case "reloaded":
            changes = ", ".join(f"{len(data[kind])} {kind}" for kind in ("started", "restarted", "stopped", "unchanged"))
            yield "stdout", f"manifest reloaded: {changes}"
        case _:
            about = f"{event.service}: " if event.service else ""
            yield "stderr", f"{about}{event.type}: {data.get('reason', '')}"
