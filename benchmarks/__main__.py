"""`python -m benchmarks [NAME…]`: runs the benchmarks, prints the table; all of them together also write docs/BENCHMARKS.md."""

from __future__ import annotations

import sys
import time

from benchmarks import capture, chain, commands, gate, idle, peers, report, scale, teardown

ALL = {
    "gate": gate.measure,
    "chain": chain.measure,
    "teardown": teardown.measure,
    "idle": idle.measure,
    "capture": capture.measure,
    "commands": commands.measure,
    "scale": scale.measure,
}


def main(names: list[str]) -> int:
    """Runs the named ones, all when none is named. Exit status 1 when a target was missed or one could not be measured."""
    if unknown := [name for name in names if name not in ALL]:
        print(f"no benchmark {', '.join(unknown)}; there are {', '.join(ALL)}", file=sys.stderr)
        return 2
    facts = report.machine()
    rows: list[report.Row] = []
    notes: list[str] = [why for _, why in (peers.honcho(), peers.process_compose()) if why]
    for name in names or list(ALL):
        begin = time.monotonic()
        try:
            rows += ALL[name](notes)
        except Exception as error:  # one that fails must not hide the others
            rows.append(report.Row(name, "could not be measured", met=False))
            notes.append(f"{name}: {type(error).__name__}: {str(error).strip().splitlines()[0] if str(error) else ''}")
        print(f"{name}: {time.monotonic() - begin:.0f} s", file=sys.stderr)
    print(facts, report.table(rows), "\n".join(notes), sep="\n\n")
    if not names:
        report.write(rows, notes, facts)
    return 0 if all(row.met is not False for row in rows) else 1


sys.exit(main(sys.argv[1:]))
