"""The receipt of a teardown, in words."""

from __future__ import annotations

from devctl.cli.style import plural, seconds
from devctl.model import Receipt


def sentence(receipt: Receipt) -> str:
    """`3 services, 7 processes, 2 ports: all gone in 0.21 s`, or who is left."""
    parts = [plural(receipt.services, "service"), plural(receipt.processes, "process")]
    if receipt.ports:
        parts.append(plural(len(receipt.ports), "port"))
    what = ", ".join(parts)
    if receipt.survivors:
        return f"{what}: {plural(len(receipt.survivors), 'process')} could not be ended"
    killed = f" ({receipt.killed} had to be killed)" if receipt.killed else ""
    return f"{what}: all gone in {seconds(receipt.seconds)}{killed}"


def survivors(receipt: Receipt) -> list[str]:
    """A line for each process that is left: pid, command and why."""
    return [f"pid {left.pid}  {left.command}: {left.reason}" for left in receipt.survivors]
