"""Health: asks a service whether it is ready, quickly at first, then at its interval.

prober    the task that asks, one per service
cadence   when to ask next: pure
http  tcp  exec        probes that ask
log  notify            probes that are told
address  stream        finding the host, talking to it without blocking
pattern                the user's regexes, bounded in text and time
"""

from __future__ import annotations

from devctl.health.notify import NotifySocket
from devctl.health.prober import Prober, probe_once
from devctl.health.result import ExecResult, ExecRunner, ProbeResult

__all__ = ["ExecResult", "ExecRunner", "NotifySocket", "ProbeResult", "Prober", "probe_once"]
