"""What the dashboard remembers from one time to the next: theme, sizes and switches."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

PLACE = Path("devctl") / "dashboard.json"
LIMIT = 64 * 1024  # bytes


@dataclass(slots=True)
class Preferences:
    """The switches. Values of a wrong type in the file are left at their defaults."""

    theme: str = ""
    sort: str = ""
    wrap: bool = False
    timestamps: str = "off"
    pretty: bool = False
    detail: bool = True
    services_width: int = 0


def path_of(environ: Mapping[str, str] = os.environ) -> Path:
    """$XDG_STATE_HOME/devctl/dashboard.json, by default in ~/.local/state."""
    base = environ.get("XDG_STATE_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".local" / "state") / PLACE


def load(path: Path) -> tuple[Preferences, str]:
    """The preferences, and what is wrong with the file ("" when nothing is)."""
    found = Preferences()
    try:
        with open(path, "rb") as file:
            data = json.loads(file.read(LIMIT))
    except FileNotFoundError:
        return found, ""
    except (OSError, ValueError, RecursionError) as error:
        return found, f"{path} cannot be used and is ignored: {error}"
    if not isinstance(data, dict):
        return found, f"{path} cannot be used and is ignored: it is no object"
    for field in fields(Preferences):
        value = data.get(field.name)
        if type(value) is type(getattr(found, field.name)):
            setattr(found, field.name, value)
    return found, ""


def save(path: Path, preferences: Preferences) -> None:
    """Replaces the file in one step. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".dashboard-")
    try:
        with open(handle, "w") as file:
            json.dump(asdict(preferences), file, indent=2)
        os.replace(name, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise
