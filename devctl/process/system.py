"""The facts about processes on this system: Linux, or macOS with less."""

from __future__ import annotations

import sys

if sys.platform == "linux":
    from devctl.process.linux import (
        Stat,
        age,
        all_pids,
        become_subreaper,
        boot_id,
        children,
        command_line,
        descendants,
        environment_value,
        is_dead,
        newest_pid,
        own_rttime_limit,
        read_stat,
        rttime_limit,
        set_rttime_limit,
        signal_process,
        start_time,
        started_at,
    )
else:
    from devctl.process.darwin import (
        Stat,
        age,
        all_pids,
        become_subreaper,
        boot_id,
        children,
        command_line,
        descendants,
        environment_value,
        is_dead,
        newest_pid,
        own_rttime_limit,
        read_stat,
        rttime_limit,
        set_rttime_limit,
        signal_process,
        start_time,
        started_at,
    )

__all__ = [
    "Stat",
    "age",
    "all_pids",
    "become_subreaper",
    "boot_id",
    "children",
    "command_line",
    "descendants",
    "environment_value",
    "is_dead",
    "newest_pid",
    "own_rttime_limit",
    "read_stat",
    "rttime_limit",
    "set_rttime_limit",
    "signal_process",
    "start_time",
    "started_at",
]
