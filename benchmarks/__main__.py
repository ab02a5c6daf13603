"""`python -m benchmarks [NAME…]`: runs the benchmarks, prints the table; all of them together also write docs/BENCHMARKS.md."""

from __future__ import annotations

import os
import sys
import time

from benchmarks import capture, chain, commands, dashboard, gate, idle, peers, report, scale, stack, teardown

ALL = {
    "gate": gate.measure,
    "chain": chain.measure,
    "teardown": teardown.measure,
    "idle": idle.measure,
    "capture": capture.measure,
    "commands": commands.measure,
    "scale": scale.measure,
    "dashboard": dashboard.measure,
    "stack": stack.measure,
}


PACE_ROUNDS = 7
BUSY = 1.5  # times the fastest pace of the run: somebody else was using the machine


def pace() -> float:
    """How fast the machine is for us just now: the median start of an interpreter in seconds."""
    return report.median([commands.interpreter_start() for _ in range(PACE_ROUNDS)])


def busy_notes(paces: dict[str, float]) -> list[str]:
    """Which benchmarks were disturbed, so that nobody takes their numbers for devctl's."""
    fastest = min(paces.values())
    return [
        f"{name}: the machine was busy with something else, an interpreter took {slow / fastest:.1f} x as long to start as at best"
        for name, slow in paces.items()
        if slow > BUSY * fastest
    ]


def main(names: list[str]) -> int:
    """Runs the named ones, all when none is named. Exit status 1 when a target was missed or one could not be measured."""
    if unknown := [name for name in names if name not in ALL]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    load = os.getloadavg()[0]
    rows: list[report.Row] = []
    notes: list[str] = [why for _, why in (peers.honcho(), peers.process_compose()) if why]
    paces: dict[str, float] = {}
    for name in names or list(ALL):
        begin, before = time.monotonic(), pace()
        try:
            rows += ALL[name](notes)
        except Exception as error:  # one that fails must not hide the others
            rows.append(report.Row(name, "could not be measured", met=False))
            notes.append(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
        paces[name] = max(before, pace())
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    # The load says whether the machine did something else as well; the benchmarks alone bring it to about 2.
    facts = f"{report.machine()}, load {load:.1f} before and {os.getloadavg()[0]:.1f} after"
    notes += busy_notes(paces)
    print(facts, report.table(rows), "\n".join(notes), sep="\n\n")
    if not names:
        report.write(rows, notes, facts)
    return 0 if all(row.met is not False for row in rows) else 1


sys.exit(main(sys.argv[1:]))
