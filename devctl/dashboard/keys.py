"""Every command of the dashboard and its keys: one table behind bindings, footer, help and palette; and the user's changes."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from textual.binding import Binding
from textual.keys import KEY_NAME_REPLACEMENTS

CONFIG = Path("devctl") / "keys.toml"
CONFIG_LIMIT = 64 * 1024  # bytes


class Key(NamedTuple):
    """One command.

    Attributes:
        id: its name in keys.toml, and that of the method in `commands.Commands`.
        keys: comma-separated, in Textual's names; "" for the palette only.
        words: what it does, in a few words.
        short: for the footer; "" keeps it out of there.
    """

    id: str
    keys: str
    words: str
    short: str = ""


GROUPS: dict[str, tuple[Key, ...]] = {
    "Moving": (
        Key("down", "j,down", "down a line in the pane"),
        Key("up", "k,up", "up a line in the pane"),
        Key("page_down", "pagedown,space,ctrl+f", "down a page"),
        Key("page_up", "pageup,b,ctrl+b", "up a page"),
        Key("home", "g,home", "to the beginning: of the log, the first line in the files"),
        Key("end", "G,end", "to the end; the log follows from there"),
        Key("left", "h,left", "long lines to the right again"),
        Key("right", "l,right", "long lines to the left"),
        Key("next_service", "J", "select the next service, from any pane"),
        Key("previous_service", "K", "select the service before"),
        Key("next_pane", "tab", "to the next pane"),
        Key("previous_pane", "shift+tab", "to the pane before"),
    ),
    "Services": (
        Key("solo", "enter", "the selected service's log alone, and back to all", "solo"),
        Key("start", "s", "start it, and what it needs", "start"),
        Key("stop", "x", "stop it", "stop"),
        Key("restart", "r", "restart it", "restart"),
        Key("restart_all", "R", "restart it and what depends on it"),
        Key("signal", "S", "send it a signal"),
        Key("wait", "W", "say when it is ready"),
        Key("open", "o", "open its URL"),
        Key("attach", "a", "how to get into it from a terminal"),
        Key("sort", "c", "sort the services another way"),
        Key("find_service", "F", "show only some services"),
    ),
    "Log": (
        Key("search", "slash", "search", "search"),
        Key("next_match", "n", "the next match, downwards"),
        Key("previous_match", "N", "the next match, upwards"),
        Key("filter", "ampersand", "show only lines with a text", "filter"),
        Key("follow", "f", "follow the end, or stay", "follow"),
        Key("wrap", "w", "wrap long lines"),
        Key("times", "t", "times: none, time of day, full"),
        Key("level", "L", "only errors, warnings and worse, …"),
        Key("stream", "O", "only stdout, only stderr, both"),
        Key("since", "T", "only lines since a time"),
        Key("next_error", "e", "the next error, downwards"),
        Key("previous_error", "E", "the next error, upwards"),
        Key("mark", "m", "mark the line"),
        Key("next_mark", "apostrophe", "to the next mark"),
        Key("pretty", "p", "JSON lines on several rows"),
        Key("fold", "plus", "fold or unfold what belongs to the line"),
        Key("folds", "P", "fold every traceback, or none"),
        Key("copy", "y", "copy the selection, else the line"),
        Key("editor", "v", "open the file that the line names in $EDITOR"),
        Key("save", "ctrl+s", "save what is shown to a file"),
        Key("clear", "C", "begin with an empty screen; the files keep everything"),
    ),
    "Detail": (
        Key("detail", "i", "show or hide the detail pane", "detail"),
        Key("why", "1", "why the service is in its state"),
        Key("timeline", "2", "the start-up and its critical path"),
        Key("events", "3", "events; again: of all services"),
        Key("health", "4", "what its checks said"),
        Key("environment", "5", "its environment, secrets masked"),
        Key("processes", "6", "the processes of its tree"),
        Key("depends", "7", "what it needs, and what needs it"),
    ),
    "Window": (
        Key("zoom", "z", "the pane alone, and back", "zoom"),
        Key("wider", "greater_than_sign", "a wider services pane"),
        Key("narrower", "less_than_sign", "a narrower services pane"),
        Key("back", "escape", "back: ends a search, a filter, solo, zoom"),
        Key("palette", "ctrl+p", "every command by name", "commands"),
        Key("help", "question_mark", "this", "help"),
        Key("suspend", "ctrl+z", "back to the shell; fg comes here again"),
        Key("detach", "d", "close the dashboard, leave the stack running"),
        Key("quit", "q,ctrl+q", "quit: asks whether to stop the stack", "quit"),
        Key("interrupt", "ctrl+c", "stop the stack when it is ours; twice: at once"),
    ),
}

KEYS: dict[str, Key] = {key.id: key for group in GROUPS.values() for key in group}

# These work while something is typed, and over dialogs.
ALWAYS = frozenset({"interrupt"})


def bindings() -> list[Binding]:
    """The table as Textual's bindings, with ids so that a key map can change them."""
    return [
        Binding(
            key.keys,
            f"do('{key.id}')",
            key.short or key.words,
            show=bool(key.short),
            # The footer would show the last of several.
            key_display=display(key.keys.split(",")[0]),
            id=key.id,
            priority=key.id in ALWAYS,
        )
        for key in KEYS.values()
        if key.keys
    ]


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where users change keys: $XDG_CONFIG_HOME/devctl/keys.toml, by default in ~/.config."""
    base = environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if os.path.isabs(base) else Path.home() / ".config") / CONFIG


def load(path: Path) -> tuple[dict[str, str], list[str]]:
    """The user's key map, {command id: "key,key"}, and what is wrong with the file. What is wrong is left out.

    The file: a line for each command, `restart = "ctrl+r"`, or several keys, `down = ["j", "down"]`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(CONFIG_LIMIT + 1)
    except FileNotFoundError:
        return {}, []
    except OSError as error:
        return {}, [f"cannot read {path}: {error.strerror}"]
    if len(data) > CONFIG_LIMIT:
        return {}, [f"{path} is larger than {CONFIG_LIMIT} bytes; it is ignored"]
    try:
        values = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        return {}, [f"{path} is no TOML: {error}; it is ignored"]
    return _checked(values, path)


def _checked(values: Mapping[str, object], path: Path) -> tuple[dict[str, str], list[str]]:
    keymap: dict[str, str] = {}
    problems: list[str] = []
    for name, value in values.items():
        keys = [value] if isinstance(value, str) else value
        if name not in KEYS:
            problems.append(f"{path}: there is no command {name[:60]!r}; ? lists them")
        elif not isinstance(keys, list) or not keys or not all(isinstance(key, str) and key.strip() for key in keys):
            problems.append(f'{path}: {name} needs a key ("ctrl+r") or a list of keys')
        else:
            keymap[name] = ",".join(_named(key.strip()) for key in keys)
    taken: dict[str, str] = {}
    for name, key in KEYS.items():
        for one in keymap.get(name, key.keys).split(","):
            if one in taken and (name in keymap or taken[one] in keymap):
                problems.append(f"{path}: {display(one)} is a key of {taken[one]} and of {name}")
            taken.setdefault(one, name)
    return keymap, problems


_CHARACTERS = {
    "/": "slash", "&": "ampersand", "'": "apostrophe", "+": "plus", "?": "question_mark", "<": "less_than_sign",
    ">": "greater_than_sign", " ": "space",
}  # fmt: skip


def _named(key: str) -> str:
    """A key as Textual calls it: `/` is `slash`."""
    return _CHARACTERS.get(key, key)


def display(key: str) -> str:
    """A key as people know it: `slash` is /."""
    found = {name: character for character, name in _CHARACTERS.items() if character != " "}.get(key)
    if found:
        return found
    names = {"pagedown": "PgDn", "pageup": "PgUp", "escape": "Esc", "shift+tab": "Shift-Tab"}
    if key in names:
        return names[key]
    if key.startswith("ctrl+"):
        return f"Ctrl-{key[5:].upper() if len(key) == 6 else key[5:]}"
    return KEY_NAME_REPLACEMENTS.get(key, key).capitalize() if len(key) > 1 else key


def shown(name: str, keymap: Mapping[str, str]) -> str:
    """The keys of a command, for help and palette."""
    return " ".join(display(key) for key in keymap.get(name, KEYS[name].keys).split(",") if key)
