"""What a teardown did, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from devctl.model import Receipt
from devctl.wording import plural, seconds

if TYPE_CHECKING:
    from devctl.control.launch import RecoveryReport
    from devctl.control.teardown import Outcome

NOTHING = "nothing is running"


def sentence(receipt: Receipt) -> str:
    """`3 services, 7 processes, 2 ports: all gone in 0.21 s`."""
    if not receipt.services and not receipt.processes:
        return "nothing was left to stop"
    parts = [plural(receipt.services, "service"), plural(receipt.processes, "process")]
    if receipt.ports:
        parts.append(plural(len(receipt.ports), "port"))
    killed = f" ({receipt.killed} had to be killed)" if receipt.killed else ""
    gone = "all gone" if not receipt.survivors else "not all gone"
    return f"{', '.join(parts)}: {gone} in {seconds(receipt.seconds)}{killed}"


def recovered(report: RecoveryReport) -> list[str]:
    """What a crashed run had left, a line each."""
    ended = len(report.killed) + report.already_reaped
    lines = [f"the last run had crashed ({report.crash}): {plural(ended, 'process') if ended else 'nothing'} of it had to be ended"]
    lines += [f"  pid {pid}  {command}" for pid, command in report.killed]
    return lines


def outcome_lines(outcome: Outcome) -> list[str]:
    """A whole teardown: the receipt or what else was found, then everything that is left."""
    lines = []
    if outcome.receipt is not None:
        lines.append(sentence(outcome.receipt))
    if outcome.recovery is not None:
        lines += recovered(outcome.recovery)
    if not lines:
        lines.append(NOTHING if outcome.clean else "not everything is gone")
    lines += [f"  still there: pid {left.pid}  {left.command}: {left.reason}" for left in outcome.survivors]
    lines += [f"  still in use: port {port}" for port in outcome.held_ports]
    return lines


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    """A teardown for `--json`."""
    recovery = outcome.recovery
    return {
        "running": outcome.receipt is not None,
        "clean": outcome.clean,
        "receipt": None if outcome.receipt is None else outcome.receipt.json(),
        "recovery": None if recovery is None else recovery_json(recovery),
        "survivors": [left.json() for left in outcome.survivors],
        "held_ports": list(outcome.held_ports),
    }


def recovery_json(report: RecoveryReport) -> dict[str, Any]:
    """What a crashed run had left, for `--json`."""
    return {
        "run_id": report.run_id,
        "crash": report.crash,
        "killed": [{"pid": pid, "command": command} for pid, command in report.killed],
        "already_reaped": report.already_reaped,
        "survivors": list(report.survivors),
    }
