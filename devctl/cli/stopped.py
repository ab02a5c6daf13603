"""What is known of a stack that nobody answers for: how it ended, and where its logs are."""

from __future__ import annotations

from pathlib import Path

from devctl.cli.where import Where, read_json

LOG_SUFFIX = ".log"
OWN_LOG = "devctl"  # the supervisor's own story, beside the services'
EVENTS_FILE = "events.jsonl"


def log_directory(where: Where) -> Path:
    """Where the services' logs are: as the last run recorded it, else `logs` beside the manifest."""
    recorded = read_json(where.paths().stack).get("log_dir")
    return Path(recorded) if isinstance(recorded, str) and recorded else where.manifest().parent / "logs"


def log_files(directory: Path) -> dict[str, Path]:
    """Service → its current log file, for every service that ever wrote one. Names of rotated files end in a number."""
    try:
        names = sorted(entry.name for entry in directory.iterdir())
    except OSError:
        return {}
    found = {name.removesuffix(LOG_SUFFIX): directory / name for name in names if name.endswith(LOG_SUFFIX)}
    found.pop(OWN_LOG, None)
    return found


def log_order(where: Where, directory: Path) -> list[str]:
    """The services in the order of the last run's plan, which decides their colours, then those that only have a log."""
    recorded = read_json(where.paths().stack).get("services")
    names = [name for name in recorded if isinstance(name, str)] if isinstance(recorded, list) else []
    return list(dict.fromkeys([*names, *log_files(directory)]))
