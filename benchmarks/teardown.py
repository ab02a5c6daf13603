"""How long `down` takes: of services that obey, and of services that ignore TERM."""

from __future__ import annotations

from benchmarks import peers
from benchmarks.place import PROGRAMS, PYTHON, await_files, place
from benchmarks.report import Row, beside, median, milliseconds

SERVICES = 20
ROUNDS = 5
GRACE = 1.0  # seconds
OBEDIENT, ABOVE_GRACE = 0.300, 0.200  # seconds


def _obedient() -> float:
    with place() as here:
        here.write({f"s{index}": {"command": ["sleep", "600"]} for index in range(SERVICES)})
        here.run("up", "-d")
        return here.run("down")


def _deaf() -> float:
    with place() as here:
        files = [here.root / f"deaf-{index}" for index in range(SERVICES)]
        probe = [["test", "-e", str(file)] for file in files]
        here.write(
            {
                f"s{index}": {
                    "command": [*PYTHON, str(PROGRAMS / "deaf.py"), str(file)],
                    "stop_grace_period": f"{GRACE}s",
                    "healthcheck": {"exec": probe[index]},
                }
                for index, file in enumerate(files)
            }
        )
        here.run("up", "-d")
        return here.run("down")


def _marked(directory: str, index: int) -> str:
    return f"echo up > {directory}/up-{index}; exec sleep 600"


def _honcho() -> float:
    with place() as here:
        commands = {f"s{index}": _marked(str(here.root), index) for index in range(SERVICES)}
        with peers.running_honcho(commands, here.project) as process:
            await_files([here.root / f"up-{index}" for index in range(SERVICES)])
            return peers.seconds_to_stop(process)


def _process_compose() -> float:
    with place() as here:
        processes = {f"s{index}": {"command": _marked(str(here.root), index)} for index in range(SERVICES)}
        with peers.running_process_compose(processes, here.project) as process:
            await_files([here.root / f"up-{index}" for index in range(SERVICES)])
            return peers.seconds_to_stop(process)


def measure(notes: list[str]) -> list[Row]:
    """Medians of five rounds; three of the slow one."""
    obedient = median([_obedient() for _ in range(ROUNDS)])
    others = []
    if peers.honcho()[0]:
        peer = median([_honcho() for _ in range(ROUNDS)])
        others.append(beside("honcho", milliseconds(peer), obedient / peer))
    if peers.process_compose()[0]:
        peer = median([_process_compose() for _ in range(ROUNDS)])
        others.append(beside("process-compose", milliseconds(peer), obedient / peer))
    deaf = median([_deaf() for _ in range(3)])
    limit = GRACE + ABOVE_GRACE
    notes.append("down: the whole command, from its start to its exit; honcho proves only that its direct children have gone")
    return [
        Row(
            f"`down` of {SERVICES} obedient services",
            milliseconds(obedient),
            f"≤ {milliseconds(OBEDIENT)}",
            obedient <= OBEDIENT,
            "; ".join(others),
        ),
        Row(
            f"`down` of {SERVICES} that ignore TERM, grace {GRACE:.0f} s",
            milliseconds(deaf),
            f"≤ {milliseconds(limit)}",
            deaf <= limit,
        ),
    ]
